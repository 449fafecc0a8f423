//! The audit trail. It is limited by days, and by rows in case a fault writes without end.

use async_trait::async_trait;
use sqlx::Row as _;
use time::{Duration, OffsetDateTime};

use super::dialect::{Backend, Row, Writing};
use super::rows::{names, time_of};
use crate::store::{Act, Actor, Result, StoreError, TrailEntry, TrailStore};

/// Long enough for a yearly review.
const LONGEST: Duration = Duration::days(400);
/// The number of newest entries that are kept at any age: a wrong clock must not empty the trail.
const FEWEST: i64 = 1000;
/// About 20 MiB.
const MOST: i64 = 100_000;

#[async_trait]
impl TrailStore for Backend {
    async fn record(&self, act: &Act) -> Result<()> {
        let mut transaction = self.write().await?;
        put_act(&mut transaction, act).await?;
        Ok(transaction.commit().await?)
    }

    async fn trail(&self, since: Option<OffsetDateTime>, after: i64, limit: u32) -> Result<Vec<TrailEntry>> {
        let sql = "SELECT id, at, deed, accounts, about, surface, \"user\", uid FROM trail \
             WHERE id > $1 AND at >= $2 ORDER BY id LIMIT $3";
        let since = since.map_or(i64::MIN, OffsetDateTime::unix_timestamp);
        let rows =
            sqlx::query(sql).bind(after).bind(since).bind(i64::from(limit)).fetch_all(&self.pool()?).await?;
        rows.iter().map(entry).collect()
    }

    async fn latest(
        &self,
        account: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<TrailEntry>> {
        // The names are a JSON array: a name is found with its quotation marks.
        let name = account.map(serde_json::to_string).transpose();
        let name = name.map_err(|error| StoreError::Failed(error.into()))?.unwrap_or_default();
        let sql = "SELECT id, at, deed, accounts, about, surface, \"user\", uid FROM trail \
             WHERE id < $1 AND ($2 = '' OR replace(accounts, $2, '') <> accounts) ORDER BY id DESC LIMIT $3";
        let before = before.unwrap_or(i64::MAX);
        let rows =
            sqlx::query(sql).bind(before).bind(name).bind(i64::from(limit)).fetch_all(&self.pool()?).await?;
        rows.iter().map(entry).collect()
    }
}

/// Writes `act` in the transaction of its change, and removes entries that are too old.
pub(super) async fn put_act(transaction: &mut Writing, act: &Act) -> Result<()> {
    let sql = "INSERT INTO trail (at, deed, accounts, about, surface, \"user\", uid) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let accounts = serde_json::to_string(&act.accounts).unwrap_or_default();
    let query =
        sqlx::query(sql).bind(act.at.unix_timestamp()).bind(&act.deed).bind(accounts).bind(&act.about);
    let query = query.bind(&act.actor.surface).bind(&act.actor.user).bind(act.actor.uid.map(i64::from));
    query.execute(&mut **transaction).await?;
    let sql = "DELETE FROM trail WHERE (at < $1 AND id <= (SELECT max(id) FROM trail) - $2) \
         OR id <= (SELECT max(id) FROM trail) - $3";
    let query = sqlx::query(sql).bind(act.at.saturating_sub(LONGEST).unix_timestamp());
    query.bind(FEWEST).bind(MOST).execute(&mut **transaction).await?;
    Ok(())
}

/// Commits a change with its act, if there was a change; returns whether there was.
pub(super) async fn commit_with(mut transaction: Writing, changed: bool, act: &Act) -> Result<bool> {
    if changed {
        put_act(&mut transaction, act).await?;
        transaction.commit().await?;
    }
    Ok(changed)
}

fn entry(row: &Row) -> Result<TrailEntry> {
    let accounts = names(&row.try_get::<String, _>("accounts")?);
    let uid: Option<i64> = row.try_get("uid")?;
    let uid = uid.and_then(|uid| u32::try_from(uid).ok());
    let actor = Actor { surface: row.try_get("surface")?, user: row.try_get("user")?, uid };
    Ok(TrailEntry {
        number: row.try_get("id")?,
        act: Act {
            deed: row.try_get("deed")?,
            accounts,
            about: row.try_get("about")?,
            actor,
            at: time_of(row, "at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        },
    })
}
