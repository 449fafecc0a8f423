//! Changes by other processes.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use async_trait::async_trait;
use time::Date;

use super::Postgres;
use super::sql::in_force;
use crate::store::{ChangeStore, Id, Result, Sqlite, StoreError};

#[async_trait]
impl ChangeStore for Postgres {
    /// The number of commits that changed what sessions depend on.
    async fn changes(&self) -> Result<i64> {
        let sql = "SELECT sum(count)::bigint FROM changes";
        let counted = sqlx::query_scalar(sql).fetch_one(&self.pool()?).await.map_err(StoreError::from);
        if let Err(error) = &counted {
            // This is asked every second, so an instance without logins notices the outage too.
            self.pulse.feel(error).await;
        }
        counted
    }

    async fn news(&self) {
        self.news.next().await;
    }

    fn remembers_logins(&self) -> bool {
        self.known.has_any(Instant::now())
    }

    fn hears_news(&self) -> Option<bool> {
        Some(self.news.arrive())
    }

    async fn passwords_in_force(&self, of: &HashSet<Id>, today: Date) -> Result<HashSet<Id>> {
        in_force(&self.pool()?, of, today).await
    }

    /// The copy is a store in SQLite, which can be moved into PostgreSQL like any other.
    async fn copy_to(&self, file: &Path) -> Result<()> {
        Sqlite::write_whole(self, file).await
    }
}
