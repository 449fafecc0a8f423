//! The answers to sign-ins, which one process receives and another one awaits.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::dialect::Backend;
use crate::store::{AnswerStore, Result};

/// The most answers that wait at one time; far more than people need.
const LEFT_AT_ONCE: i64 = 1000;

#[async_trait]
impl AnswerStore for Backend {
    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<()> {
        let mut transaction = self.write().await?;
        let over = sqlx::query("DELETE FROM left_behind WHERE until < $1");
        over.bind(OffsetDateTime::now_utc().unix_timestamp()).execute(&mut *transaction).await?;
        // The first answer counts, and many false ones cannot fill the disk.
        let sql = "INSERT INTO left_behind (key, sealed, until) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM left_behind) < $4 ON CONFLICT (key) DO NOTHING";
        let query = sqlx::query(sql).bind(key).bind(sealed).bind(until.unix_timestamp());
        query.bind(LEFT_AT_ONCE).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>> {
        let sql = "DELETE FROM left_behind WHERE key = $1 AND until >= $2 RETURNING sealed";
        let query = sqlx::query_scalar(sql).bind(key).bind(now.unix_timestamp());
        Ok(query.fetch_optional(&self.pool()?).await?)
    }
}
