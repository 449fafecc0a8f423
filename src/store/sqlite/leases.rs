//! The lease to refresh a grant, which one process has at a time.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::Sqlite;
use crate::store::{Id, InstanceStore, KeyTellingStore, LeaseStore, Leased, Result, StoreError, Takeover};

#[async_trait]
impl LeaseStore for Sqlite {
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
        // On one machine the death of a holder is certain.
        _: Takeover,
    ) -> Result<Leased> {
        let opened = self.opened()?;
        let holder = opened.holders.own().map_err(unusable)?;
        let sql = "SELECT lease_holder, lease_until FROM grants WHERE id = $1";
        let row: Option<(Option<String>, Option<i64>)> =
            sqlx::query_as(sql).bind(&grant.0).fetch_optional(&opened.pool).await?;
        let Some((found, found_until)) = row else { return Ok(Leased::Busy) };
        let now = now.unix_timestamp();
        if let Some(found) = &found
            && *found != holder
            && found_until.is_some_and(|until| until > now)
            && opened.holders.is_alive(found)
        {
            return Ok(Leased::Busy);
        }
        // If the row names another holder, that holder died before it stored the end of its refresh.
        let sql = "UPDATE grants SET interrupted_at = \
             CASE WHEN lease_holder IS NOT NULL AND lease_holder <> $1 THEN lease_taken_at ELSE interrupted_at END, \
             lease_holder = $1, lease_taken_at = $2, lease_until = $3 WHERE id = $4 AND lease_holder IS $5";
        let query = sqlx::query(sql).bind(&holder).bind(now).bind(until.unix_timestamp());
        let done = query.bind(&grant.0).bind(found).execute(&opened.pool).await?;
        Ok(if done.rows_affected() == 1 { Leased::Taken } else { Leased::Busy })
    }

    async fn holder(&self) -> Result<String> {
        self.opened()?.holders.own().map_err(unusable)
    }

    async fn release_lease(&self, grant: &Id) -> Result<()> {
        let opened = self.opened()?;
        let sql =
            "UPDATE grants SET lease_holder = NULL, lease_until = NULL WHERE id = ? AND lease_holder = ?";
        sqlx::query(sql).bind(&grant.0).bind(opened.holders.known()).execute(&opened.pool).await?;
        Ok(())
    }
}

/// All processes on a file run on one machine, and exchange their sessions over their control sockets.
impl InstanceStore for Sqlite {}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands on")]
fn unusable(error: std::io::Error) -> StoreError {
    StoreError::Unusable(format!("no lease can be taken in the state directory: {error}"))
}

/// All processes on a store in a file are on one machine, and read one source.
impl KeyTellingStore for Sqlite {}
