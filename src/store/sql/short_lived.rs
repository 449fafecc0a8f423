//! Sealed values for a limited time.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, CLOCK, Row};
use super::rows::time_of;
use crate::store::{Result, ShortLived, ShortLivedKind, ShortLivedStore, StoreError};

/// Removes the values that are over.
const SWEEP: &str = "DELETE FROM short_lived WHERE until <= $1";

#[async_trait]
impl ShortLivedStore for Backend {
    async fn clock(&self) -> Result<OffsetDateTime> {
        let row = sqlx::query(CLOCK).fetch_one(&self.pool()?).await?;
        Ok(time_of(&row, "now")?.unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    async fn keep_shortly(&self, value: &ShortLived, now: OffsetDateTime) -> Result<()> {
        let mut transaction = self.write().await?;
        sqlx::query(SWEEP).bind(now.unix_timestamp()).execute(&mut *transaction).await?;
        let sql = "DELETE FROM short_lived WHERE kind = $1 AND key IN \
             (SELECT key FROM short_lived WHERE kind = $1 ORDER BY used_at DESC, number DESC LIMIT 1000 OFFSET $2)";
        let query = sqlx::query(sql).bind(value.kind.name()).bind(i64::from(value.kind.most()) - 1);
        query.execute(&mut *transaction).await?;
        let sql = "INSERT INTO short_lived (kind, key, sealed, used_at, until, number) VALUES ($1, $2, $3, $4, $5, \
             (SELECT coalesce(max(number), 0) + 1 FROM short_lived))";
        let query = sqlx::query(sql).bind(value.kind.name()).bind(&value.key).bind(&value.sealed);
        let query = query.bind(value.used_at.unix_timestamp()).bind(value.until.unix_timestamp());
        query.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn sweep_short_lived(&self, now: OffsetDateTime) -> Result<()> {
        self.run(sqlx::query(SWEEP).bind(now.unix_timestamp())).await.map(drop)
    }

    async fn short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<Option<ShortLived>> {
        let sql = "SELECT kind, key, sealed, used_at, until FROM short_lived WHERE kind = $1 AND key = $2 AND until > $3";
        self.short_lived_by(sql, kind, key, now).await
    }

    async fn take_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<Option<ShortLived>> {
        let sql = "DELETE FROM short_lived WHERE kind = $1 AND key = $2 AND until > $3 \
             RETURNING kind, key, sealed, used_at, until";
        self.short_lived_by(sql, kind, key, now).await
    }

    async fn replace_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool> {
        let sql = "UPDATE short_lived SET sealed = $1 WHERE kind = $2 AND key = $3 AND sealed = $4";
        let query = sqlx::query(sql).bind(new).bind(kind.name()).bind(key).bind(old);
        Ok(self.run(query).await? == 1)
    }

    async fn use_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        used_at: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<()> {
        let sql = "UPDATE short_lived SET used_at = $1, until = $2 WHERE kind = $3 AND key = $4";
        let query = sqlx::query(sql).bind(used_at.unix_timestamp()).bind(until.unix_timestamp());
        self.run(query.bind(kind.name()).bind(key)).await.map(drop)
    }

    async fn all_short_lived(&self) -> Result<Vec<ShortLived>> {
        let mut all = Vec::new();
        for &kind in ShortLivedKind::ALL {
            let sql = "SELECT kind, key, sealed, used_at, until FROM short_lived WHERE kind = $1";
            let rows = sqlx::query(sql).bind(kind.name()).fetch_all(&self.pool()?).await?;
            for row in &rows {
                all.push(value(kind, row)?);
            }
        }
        Ok(all)
    }
}

impl Backend {
    async fn short_lived_by(
        &self,
        sql: &'static str,
        kind: ShortLivedKind,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<Option<ShortLived>> {
        let query = sqlx::query(sql).bind(kind.name()).bind(key).bind(now.unix_timestamp());
        let row = query.fetch_optional(&self.pool()?).await?;
        row.map(|row| value(kind, &row)).transpose()
    }
}

fn value(kind: ShortLivedKind, row: &Row) -> Result<ShortLived> {
    let time = |column| Ok::<_, StoreError>(time_of(row, column)?.unwrap_or(OffsetDateTime::UNIX_EPOCH));
    let (used_at, until) = (time("used_at")?, time("until")?);
    Ok(ShortLived { kind, key: row.try_get("key")?, sealed: row.try_get("sealed")?, used_at, until })
}
