//! The lease to refresh a grant, which one process has at a time, by the clock of the database.

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Postgres;
use crate::store::{Id, LeaseStore, StoreError};

#[async_trait]
impl LeaseStore for Postgres {
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let pool = self.pool()?;
        let holder = self.holder.own().await?;
        // With a sign of life, because the clock that dates the last one stands still while a machine sleeps. Another holder
        // in the row died before it stored the end of its refresh.
        let sql = "WITH beat AS (INSERT INTO holders (name, seen) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (name) DO UPDATE SET seen = excluded.seen) UPDATE grants SET interrupted_at = \
             CASE WHEN lease_holder IS NOT NULL AND lease_holder <> $1 THEN lease_taken_at ELSE interrupted_at END, \
             lease_holder = $1, lease_taken_at = $2, \
             lease_until = floor(extract(epoch FROM clock_timestamp()))::bigint + $3 \
             WHERE id = $4 AND (lease_holder IS NULL OR lease_holder = $1 \
             OR lease_until IS NULL OR lease_until <= extract(epoch FROM clock_timestamp()) \
             OR NOT EXISTS (SELECT 1 FROM holders WHERE name = lease_holder \
             AND seen > clock_timestamp() - $5 * interval '1 second'))";
        let sent = Instant::now();
        let done = sqlx::query(sql)
            .bind(&holder)
            .bind(now.unix_timestamp())
            .bind((until - now).whole_seconds())
            .bind(&grant.0)
            .bind(self.holder.dead_after())
            .execute(&pool)
            .await?;
        self.holder.gave_sign(sent);
        Ok(done.rows_affected() == 1)
    }

    async fn holder(&self) -> Result<String, StoreError> {
        self.holder.own().await
    }

    async fn release_lease(&self, grant: &Id) -> Result<(), StoreError> {
        let sql =
            "UPDATE grants SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2";
        sqlx::query(sql).bind(&grant.0).bind(self.holder.known()).execute(&self.pool()?).await?;
        Ok(())
    }
}
