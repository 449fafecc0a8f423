//! The behaviour of every store, and of its users when a store fails.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

#[path = "../common/mod.rs"]
mod common;
mod contract;
mod cut;
mod failing;
mod moving;
mod outage;
mod postgres;
#[path = "../postgres_server/mod.rs"]
mod postgres_server;
mod together;

use std::path::PathBuf;
use std::sync::Arc;

use imap_oauth_proxy::store::{Sqlite, Store};
use tempfile::TempDir;

use self::failing::Failing;

/// A database that several processes share.
trait Database {
    /// An empty database.
    async fn fresh() -> Self;

    /// Opens the database as another process does.
    async fn open(&self) -> Arc<dyn Store>;

    /// From now on nothing can be written to the audit trail.
    async fn break_trail(&self);

    /// Ends the process that opened `store` like a crash: the other processes get no notice.
    async fn kill(&self, store: Arc<dyn Store>) {
        drop(store);
    }
}

struct InSqlite(TempDir);

impl InSqlite {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.sqlite")
    }
}

impl Database for InSqlite {
    async fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(&self.path()).await.unwrap())
    }

    async fn break_trail(&self) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
        let mut store = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query("ALTER TABLE trail RENAME TO lost").execute(&mut store).await.unwrap();
        sqlx::Connection::close(store).await.unwrap();
    }
}

/// A database behind the wrapper that injects failures, without any.
struct BehindFailing(InSqlite);

impl Database for BehindFailing {
    async fn fresh() -> Self {
        Self(InSqlite::fresh().await)
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Failing::before(self.0.open().await))
    }

    async fn break_trail(&self) {
        self.0.break_trail().await;
    }
}

contract::holds_for!(sqlite, crate::InSqlite);
contract::holds_for!(behind_a_failing_store, crate::BehindFailing);
contract::holds_for!(on_pooled, crate::postgres::InPooled, #[ignore = "needs PostgreSQL; scripts/test runs it"]);
contract::holds_for!(on_postgres, crate::postgres::InPostgres, #[ignore = "needs PostgreSQL; scripts/test runs it"]);
