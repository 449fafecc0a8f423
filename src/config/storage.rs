//! Where the store is.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, file};
use crate::secret::{KeySource, Secret};

/// The `[store]` table.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The SQLite database, which is the store unless there is one in PostgreSQL.
    pub sqlite: PathBuf,
    /// The database of a server that is the store.
    pub postgres: Option<PostgresPlace>,
    /// The source of the keys that seal its values.
    pub key: KeySource,
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresPlace {
    /// Its URL, which may hold a password.
    pub url: Secret,
    /// The file of the password.
    pub password_file: Option<PathBuf>,
    /// The same database without a pooler, for notices.
    pub listen_url: Option<Secret>,
    /// How long remembered records open logins while the database is away.
    pub stale_seconds: u64,
}

impl Config {
    /// This configuration with the store at `url`, and the same key.
    pub fn with_store(&self, url: &str, password_file: Option<&Path>) -> Result<Self, ConfigError> {
        let postgres = file::store_at(url, password_file).map_err(|problem| problem.in_file(None, ""))?;
        Ok(Self { store: StoreSettings { postgres, ..self.store.clone() }, ..self.clone() })
    }
}
