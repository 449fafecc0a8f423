//! The behaviour of every store, and of its users when a store fails.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

#[path = "../common/mod.rs"]
mod common;
mod contract;
mod failing;
mod outage;

use std::path::PathBuf;
use std::sync::Arc;

use imap_oauth_proxy::store::{Sqlite, Store};
use tempfile::TempDir;

use self::failing::Failing;

/// A database that several processes share.
trait Database {
    /// An empty one.
    fn fresh() -> Self;

    /// Opens the database as another process does.
    async fn open(&self) -> Arc<dyn Store>;
}

struct InSqlite(TempDir);

impl InSqlite {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.sqlite")
    }
}

impl Database for InSqlite {
    fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(&self.path()).await.unwrap())
    }
}

/// A database behind the wrapper that injects failures, without any.
struct BehindFailing(InSqlite);

impl Database for BehindFailing {
    fn fresh() -> Self {
        Self(InSqlite::fresh())
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Failing::before(self.0.open().await))
    }
}

contract::holds_for!(sqlite, crate::InSqlite);
contract::holds_for!(behind_a_failing_store, crate::BehindFailing);
