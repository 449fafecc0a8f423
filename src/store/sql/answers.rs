//! The answers to sign-ins, which one process receives and another one awaits.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::Backend;
use crate::store::{AnswerStore, StoreError};

/// The most answers that wait at one time; far more than people need.
const LEFT_AT_ONCE: i64 = 1000;

#[async_trait]
impl AnswerStore for Backend {
    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM left_behind WHERE until < $1")
            .bind(OffsetDateTime::now_utc().unix_timestamp())
            .execute(&mut *transaction)
            .await?;
        // The first answer counts, and many false ones cannot fill the disk.
        sqlx::query(
            "INSERT INTO left_behind (key, sealed, until) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM left_behind) < $4 ON CONFLICT (key) DO NOTHING",
        )
        .bind(key)
        .bind(sealed)
        .bind(until.unix_timestamp())
        .bind(LEFT_AT_ONCE)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("DELETE FROM left_behind WHERE key = $1 AND until >= $2 RETURNING sealed")
            .bind(key)
            .bind(now.unix_timestamp())
            .fetch_optional(&self.pool()?)
            .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }
}
