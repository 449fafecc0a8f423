//! What upkeep asks of the database: whether anything changed, what is still in force, and which
//! grants need something. These run every few seconds, so they read no token.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _};
use time::OffsetDateTime;

use super::Sqlite;
use super::rows::{kind, time_of};
use crate::store::{GrantState, GrantStatus, Id, StoreError};

impl Sqlite {
    /// SQLite's own counter of what other connections have committed.
    pub(super) async fn data_version(&self) -> Result<i64, StoreError> {
        let opened = self.opened()?;
        let mut observer = opened.observer.lock().await;
        if observer.is_none() {
            *observer = Some(opened.pool.connect_options().connect().await?);
        }
        let Some(connection) = observer.as_mut() else { return Ok(0) };
        let row = sqlx::query("PRAGMA data_version").fetch_one(connection).await?;
        let version: i64 = row.try_get(0)?;
        // Another database begins to count anew; the counter itself has 32 bits.
        let epoch = i64::try_from(self.epoch.load(Ordering::SeqCst)).unwrap_or(0);
        Ok(epoch.wrapping_shl(32).wrapping_add(version))
    }
}

pub(super) async fn passwords_in_force(pool: &SqlitePool) -> Result<HashSet<Id>, StoreError> {
    let sql = "SELECT p.id FROM passwords p JOIN accounts a ON a.id = p.account_id \
         JOIN grants g ON g.id = a.grant_id WHERE g.refresh_token IS NOT NULL";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter().map(|row| Ok(Id(row.try_get(0)?))).collect()
}

pub(super) async fn statuses(pool: &SqlitePool) -> Result<Vec<GrantStatus>, StoreError> {
    let sql = "SELECT g.id, g.kind, g.provider, g.owner, g.state, g.last_error, g.refresh_token IS NOT NULL AS in_force, \
         g.access_expires_at, coalesce(g.refreshed_at, g.authorized_at) AS renewed_at, g.refresh_expires_at, \
         g.failed_at, g.retry_at, g.told, max(a.last_login_at) AS last_login_at, \
         group_concat(a.name, char(10)) AS names \
         FROM grants g JOIN accounts a ON a.grant_id = g.id GROUP BY g.id";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter().map(status).collect()
}

fn status(row: &SqliteRow) -> Result<GrantStatus, StoreError> {
    let (id, state): (String, String) = (row.try_get("id")?, row.try_get("state")?);
    // Names hold no control characters, so the line feed parts them.
    let names: Option<String> = row.try_get("names")?;
    Ok(GrantStatus {
        state: GrantState::from_name(&state)
            .ok_or_else(|| StoreError::Unusable(format!("grant {id} is in the unknown state {state:?}")))?,
        id: Id(id),
        kind: kind(row, "kind")?,
        provider: row.try_get("provider")?,
        owner: row.try_get("owner")?,
        last_error: row.try_get("last_error")?,
        in_force: row.try_get("in_force")?,
        access_expires_at: time_of(row, "access_expires_at")?,
        renewed_at: time_of(row, "renewed_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        refresh_expires_at: time_of(row, "refresh_expires_at")?,
        failed_at: time_of(row, "failed_at")?,
        retry_at: time_of(row, "retry_at")?,
        last_login_at: time_of(row, "last_login_at")?,
        accounts: names.iter().flat_map(|names| names.split('\n')).map(str::to_owned).collect(),
        told: row.try_get("told")?,
    })
}

pub(super) async fn claim_telling(
    pool: &SqlitePool,
    grant: &Id,
    told: Option<&str>,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<bool, StoreError> {
    let sql = "UPDATE grants SET telling_until = ? \
         WHERE id = ? AND told IS ? AND (telling_until IS NULL OR telling_until <= ?)";
    let done = sqlx::query(sql)
        .bind(until.unix_timestamp())
        .bind(&grant.0)
        .bind(told)
        .bind(now.unix_timestamp())
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_told(pool: &SqlitePool, grant: &Id, told: Option<&str>) -> Result<(), StoreError> {
    let sql = "UPDATE grants SET told = ?, telling_until = NULL WHERE id = ?";
    sqlx::query(sql).bind(told).bind(&grant.0).execute(pool).await?;
    Ok(())
}
