//! The audit trail. It is limited by days, and by rows in case a fault writes without end.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite as Database, Transaction};
use time::{Duration, OffsetDateTime};

use super::Sqlite;
use super::rows::{names, time_of};
use crate::store::{Act, Actor, StoreError, TrailEntry, TrailStore};

/// Long enough for a yearly review.
const LONGEST: Duration = Duration::days(400);
/// At least so many entries are kept at any age: a wrong clock must not empty the trail.
const FEWEST: i64 = 1000;
/// About 20 MiB.
const MOST: i64 = 100_000;

#[async_trait]
impl TrailStore for Sqlite {
    async fn record(&self, act: &Act) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        put_act(&mut transaction, act).await?;
        Ok(transaction.commit().await?)
    }

    async fn trail(
        &self,
        since: Option<OffsetDateTime>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        let sql = "SELECT id, at, deed, accounts, about, surface, user, uid FROM trail \
             WHERE id > ? AND at >= ? ORDER BY id LIMIT ?";
        let since = since.map_or(i64::MIN, OffsetDateTime::unix_timestamp);
        let rows = sqlx::query(sql).bind(after).bind(since).bind(limit).fetch_all(&self.pool()?).await?;
        rows.iter().map(entry).collect()
    }

    async fn latest(
        &self,
        account: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<TrailEntry>, StoreError> {
        // The names are a JSON array: a name is found with its quotation marks.
        let name = account.map(serde_json::to_string).transpose();
        let name = name.map_err(|error| StoreError::Failed(error.into()))?.unwrap_or_default();
        let sql = "SELECT id, at, deed, accounts, about, surface, user, uid FROM trail \
             WHERE id < ? AND instr(accounts, ?) > 0 ORDER BY id DESC LIMIT ?";
        let before = before.unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(before).bind(name).bind(limit).fetch_all(&self.pool()?).await?;
        rows.iter().map(entry).collect()
    }
}

/// Writes `act` in the transaction of its change, and removes entries that are too old.
pub(super) async fn put_act(
    transaction: &mut Transaction<'_, Database>,
    act: &Act,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO trail (at, deed, accounts, about, surface, user, uid) VALUES (?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(act.at.unix_timestamp())
        .bind(&act.deed)
        .bind(serde_json::to_string(&act.accounts).unwrap_or_default())
        .bind(&act.about)
        .bind(&act.actor.surface)
        .bind(&act.actor.user)
        .bind(act.actor.uid)
        .execute(&mut **transaction)
        .await?;
    let sql = "DELETE FROM trail WHERE (at < ? AND id <= (SELECT max(id) FROM trail) - ?) \
         OR id <= (SELECT max(id) FROM trail) - ?";
    sqlx::query(sql)
        .bind(act.at.saturating_sub(LONGEST).unix_timestamp())
        .bind(FEWEST)
        .bind(MOST)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Commits a change with its act, if there was a change; returns whether there was.
pub(super) async fn commit_with(
    mut transaction: Transaction<'_, Database>,
    changed: bool,
    act: &Act,
) -> Result<bool, StoreError> {
    if changed {
        put_act(&mut transaction, act).await?;
        transaction.commit().await?;
    }
    Ok(changed)
}

fn entry(row: &SqliteRow) -> Result<TrailEntry, StoreError> {
    let accounts = names(&row.try_get::<String, _>("accounts")?);
    let actor =
        Actor { surface: row.try_get("surface")?, user: row.try_get("user")?, uid: row.try_get("uid")? };
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
