//! Stands in for the module `postgres` in a program that is built without that feature.
//!
//! No value of these types exists. The configuration refuses the address of a server, with a cure, before a command comes
//! here (`config/file/store.rs`).

use std::convert::Infallible;

use super::{Judge, PostgresSettings, Sqlite, StoreError};

fn missing() -> StoreError {
    StoreError::Unusable("this program was built without PostgreSQL".to_owned())
}

/// The store in a PostgreSQL database.
pub struct Postgres(Infallible);

impl Postgres {
    /// Fails. The type is that of a store that there is, because callers need one.
    pub async fn open(_: PostgresSettings) -> Result<Sqlite, StoreError> {
        Err(missing())
    }
}

pub(super) struct Unmigrated(Infallible);

impl Unmigrated {
    pub(super) async fn open(_: PostgresSettings) -> Result<Self, StoreError> {
        Err(missing())
    }

    pub(super) fn is_new(&self) -> bool {
        match self.0 {}
    }

    pub(super) async fn migrate(self, _: Option<Judge>) -> Result<Sqlite, StoreError> {
        match self.0 {}
    }
}
