//! Where a store is, and the way into it.
//!
//! A store is opened in two steps. The first reads what is there, and migrates nothing. The second judges the sealed
//! values with the keys, which are not known before, and then migrates: a process that cannot use a store must not
//! change it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::tables::WholeStore;
use super::{Judge, Postgres, Sqlite, Store, StoreError, postgres, sqlite};
use crate::secret::Secret;

/// Where a store is.
#[derive(Clone)]
pub enum Place {
    /// In a file. The caller holds the state directory's lock while it opens the store, so that two processes never
    /// migrate at once.
    Sqlite(PathBuf),
    /// In a database of a server.
    Postgres(PostgresSettings),
}

/// Where the database is. Not printable, because a URL may hold the password.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user@host/database?sslmode=…`.
    pub url: String,
    /// The password, unless the URL has it, or the server asks for none.
    pub password: Option<Secret>,
    /// A URL of the same database for LISTEN, where `url` leads to a pooler that does not pass LISTEN on; else `url` is
    /// used.
    pub listen_url: Option<String>,
    /// How long a remembered record opens logins while the database is away.
    pub stale: Duration,
}

impl PostgresSettings {
    /// The address of the database, without a password.
    pub fn shown(&self) -> String {
        without_password(&self.url)
    }
}

impl Place {
    /// The place in words, without a password.
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("the database {}", path.display()),
            Self::Postgres(settings) => format!("the database {}", settings.shown()),
        }
    }
}

/// Opens the store at `place`, or makes it, to read or fill all its tables.
pub async fn open_whole(place: Place) -> Result<Box<dyn WholeStore>, StoreError> {
    Ok(match place {
        Place::Sqlite(path) => Box::new(Sqlite::open(&path).await?),
        Place::Postgres(settings) => Box::new(Postgres::open(settings).await?),
    })
}

/// Opens the store at `place`, or makes it.
pub async fn open(place: Place) -> Result<Opening, StoreError> {
    Ok(match place {
        Place::Sqlite(path) => {
            let store = sqlite::Unmigrated::open(&path).await?;
            Opening { is_new: store.is_new(), store: Unmigrated::Sqlite(Box::new(store)) }
        }
        Place::Postgres(settings) => {
            let store = postgres::Unmigrated::open(settings).await?;
            Opening { is_new: store.is_new(), store: Unmigrated::Postgres(Box::new(store)) }
        }
    })
}

/// An open store that is not migrated yet, because the keys that open its sealed values are not known yet.
pub struct Opening {
    store: Unmigrated,
    /// Whether it holds no sealed value, so that any key will do.
    pub is_new: bool,
}

enum Unmigrated {
    Sqlite(Box<sqlite::Unmigrated>),
    Postgres(Box<postgres::Unmigrated>),
}

impl Opening {
    /// The store, migrated if an earlier version wrote it. `judge` checks its sealed values before that, and later the
    /// sealed values of a database that replaces this one.
    pub async fn judged_by(self, judge: Judge) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self.store {
            Unmigrated::Sqlite(store) => Arc::new(store.migrate(Some(judge)).await?),
            Unmigrated::Postgres(store) => Arc::new(store.migrate(Some(judge)).await?),
        })
    }
}

/// The URL without its password and options.
pub(super) fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, place))) => {
            let user = rest.split([':', '@']).next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("postgres://me:s3cret@db/mail?password=s3cret", "postgres://me@db/mail"),
            ("postgres://me:s3@cret@db/mail", "postgres://me@db/mail"),
            ("postgres://db/mail", "postgres://db/mail"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
