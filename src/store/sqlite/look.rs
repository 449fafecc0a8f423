//! The read of the store that every login makes.
//!
//! One statement reads all data for a login, on a connection of its own: no write delays it, and it needs no
//! connection from the pool. SQLite runs on that connection's own thread, so a slow disk blocks no thread of the
//! runtime. docs/decisions/sqlite-drivers.md has the cost of the two wake-ups for each login.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

use super::BUSY_TIMEOUT;
use super::sql::find;
use crate::store::{Folded, LoginRecord, Result};

/// A connection that only reads. Reads take turns: each takes some microseconds.
pub(super) struct Looks {
    options: SqliteConnectOptions,
    connection: Mutex<Option<SqliteConnection>>,
}

impl Looks {
    pub(super) fn new(database: &Path) -> Self {
        // Not read-only, because it may have to make the file of the WAL's index.
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        Self { options, connection: Mutex::new(None) }
    }

    /// Closes the database after the current read.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // The connection only read, so an error loses nothing.
            let _ = connection.close().await;
        }
    }

    /// The account with exactly this login name.
    pub(super) async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        let mut kept = self.connection.lock().await;
        let connection = match &mut *kept {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let found = find(&mut *connection, name).await;
        if found.is_err() {
            // The next read opens a new connection.
            *kept = None;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteLockingMode;

    use super::*;
    use crate::store::fold;
    use crate::store::sqlite::Sqlite;

    #[tokio::test]
    async fn a_database_that_is_taken_is_waited_for_beside_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        Sqlite::open(&path).await.unwrap().pool().unwrap().close().await;
        let options = SqliteConnectOptions::new().filename(&path).locking_mode(SqliteLockingMode::Exclusive);
        let mut taker = options.connect().await.unwrap();
        taker.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();

        let (looks, alice) = (Looks::new(&path), fold("alice"));
        let mut found = Box::pin(looks.find(&alice));
        tokio::select! {
            biased;
            _ = &mut found => unreachable!("it is taken"),
            // The runtime of this test has one thread, which continues with other tasks.
            () = tokio::task::yield_now() => {}
        }
        taker.close().await.unwrap();
        assert!(found.await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_look_that_is_given_up_keeps_none_of_the_next_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        Sqlite::open(&path).await.unwrap();
        let (looks, alice) = (Looks::new(&path), fold("alice"));
        for polls in 0..20 {
            let mut look = Box::pin(looks.find(&alice));
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    _ = &mut look => break,
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        assert!(looks.find(&alice).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_database_that_is_gone_is_an_error_and_not_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        let looks = Looks::new(&path);
        looks.find(&fold("alice")).await.unwrap_err();
        assert!(!path.exists());
        Sqlite::open(&path).await.unwrap();
        assert!(looks.find(&fold("alice")).await.unwrap().is_none(), "an error is not kept");
    }
}
