//! Numbers of rows.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, Row};
use super::rows::{kind, time_of};
use crate::store::{CountStore, GrantCount, GrantState, Result, StoreError};

#[async_trait]
impl CountStore for Backend {
    async fn grant_counts(&self) -> Result<Vec<GrantCount>> {
        let sql = "SELECT provider, kind, state, count(*) AS grants, min(refresh_expires_at) AS refresh_expires_at, \
             min(coalesce(refreshed_at, authorized_at)) AS renewed_at \
             FROM grants WHERE in_force GROUP BY provider, kind, state";
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        rows.iter().map(count).collect()
    }
}

fn count(row: &Row) -> Result<GrantCount> {
    let (state, grants): (String, i64) = (row.try_get("state")?, row.try_get("grants")?);
    let state = GrantState::from_name(&state)
        .ok_or_else(|| StoreError::Unusable(format!("grants are in the unknown state {state:?}")))?;
    Ok(GrantCount {
        provider: row.try_get("provider")?,
        kind: kind(row, "kind")?,
        state,
        count: u64::try_from(grants).unwrap_or_default(),
        refresh_expires_at: time_of(row, "refresh_expires_at")?,
        renewed_at: time_of(row, "renewed_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    })
}
