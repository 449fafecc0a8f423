//! The rows of grants.

use async_trait::async_trait;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::dialect::{
    Backend, Driver, JSON_NAMES, LISTED, LOOK_AGAIN_FOR_NEWS, LOOK_AGAIN_FOR_UPKEEP, Writing,
};
use super::rows::{GRANT_COLUMNS, cure_column, grant, join_scopes, seconds, status};
use super::statements::Query;
use super::trail::{commit_with, put_act};
use crate::store::{
    Act, Grant, GrantKind, GrantStatus, GrantStore, Id, LONGEST_LOOK, NextLook, Result, Right, StoreError,
    Watch, fold,
};

/// No check is delayed longer than [`LONGEST_LOOK`]; a much later time was stored under a wrong clock.
const TOO_LATE: time::Duration = LONGEST_LOOK.saturating_mul(2);

// Macros, because `concat!` takes only literals: statements stay constants, cached by their text.
macro_rules! STATUS {
    ($look:literal) => {
        concat!(
            "SELECT g.id, g.kind, g.provider, g.owner, g.state, g.last_error, g.cause_kind, g.cause_code, g.cure, g.in_force, \
             g.access_expires_at, coalesce(g.refreshed_at, g.authorized_at) AS renewed_at, g.refresh_expires_at, \
             g.failed_at, g.retry_at, g.told, max(a.last_login_at) AS last_login_at, ",
            JSON_NAMES!("a.name"),
            " AS names, g.",
            $look,
            " AS look FROM grants g LEFT JOIN accounts a ON a.grant_id = g.id AND NOT a.disabled"
        )
    };
}
macro_rules! page_by {
    ($column:literal) => {
        concat!(
            STATUS!($column),
            // The condition stands for both tables: with one on `grants` alone, PostgreSQL reads `accounts` from its
            // beginning.
            " AND a.grant_id > $1 WHERE g.id > $1 GROUP BY g.id HAVING count(a.id) > 0 ORDER BY g.id LIMIT $2"
        )
    };
}
macro_rules! due_by {
    ($column:literal) => {
        concat!(
            STATUS!($column),
            " WHERE g.id IN (SELECT id FROM grants WHERE ",
            $column,
            " <= $1 UNION ALL SELECT id FROM grants WHERE ",
            $column,
            " > $2 LIMIT $3) GROUP BY g.id"
        )
    };
}

#[async_trait]
impl GrantStore for Backend {
    async fn grants(&self) -> Result<Vec<Grant>> {
        let sql = concat!("SELECT ", GRANT_COLUMNS!(), " FROM grants g");
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        rows.iter().filter_map(|row| grant(row).transpose()).collect()
    }

    async fn grant(&self, id: &Id) -> Result<Option<Grant>> {
        let sql = concat!("SELECT ", GRANT_COLUMNS!(), " FROM grants g WHERE g.id = $1");
        let row = sqlx::query(sql).bind(&id.0).fetch_optional(&self.pool()?).await?;
        row.as_ref().map_or(Ok(None), grant)
    }

    async fn grant_of(&self, provider: &str, owner: &str, kind: GrantKind) -> Result<Option<Grant>> {
        let sql = concat!(
            "SELECT ",
            GRANT_COLUMNS!(),
            " FROM grants g WHERE g.provider = $1 AND g.owner_folded = $2"
        );
        let query = sqlx::query(sql).bind(provider).bind(folded_owner(owner, kind));
        let row = query.fetch_optional(&self.pool()?).await?;
        row.as_ref().map_or(Ok(None), grant)
    }

    async fn update_grant(&self, grant: &Grant) -> Result<i64> {
        let lease = self.known_lease(&grant.id)?;
        let written = write_grant(&self.vital()?, grant, &lease).await?;
        self.revision_of(grant, written)
    }

    async fn end_grant(&self, grant: &Grant, act: &Act) -> Result<i64> {
        let lease = self.known_lease(&grant.id)?;
        let mut transaction = self.write().await?;
        let written = write_grant(&mut *transaction, grant, &lease).await?;
        commit_with(transaction, written, act).await?;
        self.revision_of(grant, written)
    }

    async fn statuses(&self, watch: Watch, after: Option<&Id>, limit: u32) -> Result<Vec<GrantStatus>> {
        let sql = match watch {
            Watch::Upkeep => page_by!("upkeep_at"),
            Watch::News => page_by!("news_at"),
        };
        let after = after.map_or("", |id| id.0.as_str());
        let rows = sqlx::query(sql).bind(after).bind(i64::from(limit)).fetch_all(&self.pool()?).await?;
        rows.iter().map(status).collect()
    }

    async fn due(&self, watch: Watch, now: OffsetDateTime, limit: u32) -> Result<Vec<GrantStatus>> {
        let sql = match watch {
            Watch::Upkeep => due_by!("upkeep_at"),
            Watch::News => due_by!("news_at"),
        };
        let too_late = now.saturating_add(TOO_LATE).unix_timestamp();
        let query = sqlx::query(sql).bind(now.unix_timestamp()).bind(too_late).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool()?).await?;
        rows.iter().map(status).collect()
    }

    async fn look_again(&self, watch: Watch, looks: &[NextLook]) -> Result<()> {
        if looks.is_empty() {
            return Ok(());
        }
        let sql = match watch {
            Watch::Upkeep => LOOK_AGAIN_FOR_UPKEEP,
            Watch::News => LOOK_AGAIN_FOR_NEWS,
        };
        let look =
            |look: &NextLook| json!({"id": look.grant.0, "seen": look.seen, "at": look.at.unix_timestamp()});
        let looks: Value = looks.iter().map(look).collect();
        self.run(sqlx::query(sql).bind(looks.to_string())).await.map(drop)
    }

    async fn claim_telling(
        &self,
        grant: &Id,
        told: Option<&str>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool> {
        let sql = "UPDATE grants SET telling_until = $1 \
             WHERE id = $2 AND told IS NOT DISTINCT FROM $3 AND (telling_until IS NULL OR telling_until <= $4)";
        let query = sqlx::query(sql).bind(until.unix_timestamp()).bind(&grant.0).bind(told);
        Ok(self.run(query.bind(now.unix_timestamp())).await? == 1)
    }

    async fn set_told(&self, grants: &[&Id], told: Option<&str>, act: Option<&Act>) -> Result<()> {
        let sql =
            concat!("UPDATE grants SET told = $1, telling_until = NULL WHERE id IN (", LISTED!("$2"), ")");
        let grants: Value = grants.iter().map(|grant| grant.0.as_str()).collect();
        let query = sqlx::query(sql).bind(told).bind(grants.to_string());
        let Some(act) = act else { return self.run(query).await.map(drop) };
        let mut transaction = self.write().await?;
        query.execute(&mut *transaction).await?;
        put_act(&mut transaction, act).await?;
        Ok(transaction.commit().await?)
    }
}

impl Backend {
    /// The new revision of a grant that was `written`, which has released its lease.
    fn revision_of(&self, grant: &Grant, written: bool) -> Result<i64> {
        if !written {
            return Err(StoreError::Conflict);
        }
        self.lease_ended(&grant.id);
        Ok(grant.revision + 1)
    }
}

/// Writes `grant` if it still has the revision that was read, and releases the lease of its holder up to its mark, if leases
/// have marks; returns whether it was written. Without the lease, which went to another process meanwhile, the mark of an interrupted refresh stays:
/// the other process has perhaps spent the refresh token again.
async fn write_grant(
    connection: impl sqlx::Executor<'_, Database = Driver>,
    grant: &Grant,
    (holder, mark): &(Option<String>, Option<i64>),
) -> Result<bool> {
    let sql = "UPDATE grants SET revision = revision + 1, provider = $1, owner = $2, owner_folded = $3, kind = $4, app_in_force = $5, scopes = $6, \
         refresh_token = $7, access_token = $8, access_expires_at = $9, state = $10, last_error = $11, cause_kind = $12, cause_code = $13, cure = $14, failed_at = $15, failures = $16, \
         retry_at = $17, authorized_at = $18, refreshed_at = $19, refresh_expires_at = $20, \
         interrupted_at = CASE WHEN lease_holder = $22 AND coalesce($23, lease_taken_at) >= lease_taken_at THEN $21 ELSE coalesce($21, interrupted_at) END, \
         lease_until = CASE WHEN lease_holder = $22 AND coalesce($23, lease_taken_at) >= lease_taken_at THEN NULL ELSE lease_until END, \
         lease_holder = CASE WHEN lease_holder = $22 AND coalesce($23, lease_taken_at) >= lease_taken_at THEN NULL ELSE lease_holder END \
         WHERE id = $24 AND revision = $25";
    let query = bind_grant(sqlx::query(sql), grant).bind(holder.as_deref()).bind(*mark);
    let done = query.bind(&grant.id.0).bind(grant.revision).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// A person's consent replaces a concurrent refresh: the row's revision increases, so a refresh that began earlier
/// fails.
pub(super) async fn put_grant(transaction: &mut Writing, grant: &Grant) -> Result<()> {
    let sql = "INSERT INTO grants (provider, owner, owner_folded, kind, app_in_force, scopes, refresh_token, access_token, \
         access_expires_at, state, last_error, cause_kind, cause_code, cure, failed_at, failures, retry_at, authorized_at, refreshed_at, refresh_expires_at, \
         interrupted_at, id, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, 1) \
         ON CONFLICT (id) DO UPDATE SET revision = grants.revision + 1, provider = excluded.provider, \
         owner = excluded.owner, owner_folded = excluded.owner_folded, kind = excluded.kind, app_in_force = excluded.app_in_force, scopes = excluded.scopes, \
         refresh_token = excluded.refresh_token, access_token = excluded.access_token, \
         access_expires_at = excluded.access_expires_at, state = excluded.state, last_error = excluded.last_error, \
         cause_kind = excluded.cause_kind, cause_code = excluded.cause_code, cure = excluded.cure, failed_at = excluded.failed_at, \
         failures = excluded.failures, retry_at = excluded.retry_at, authorized_at = excluded.authorized_at, \
         refreshed_at = excluded.refreshed_at, refresh_expires_at = excluded.refresh_expires_at, \
         interrupted_at = excluded.interrupted_at, lease_holder = NULL, lease_until = NULL";
    bind_grant(sqlx::query(sql), grant).bind(&grant.id.0).execute(&mut **transaction).await?;
    Ok(())
}

/// A person's and an application's grant for the same mailbox are two different rows.
pub(super) fn folded_owner(owner: &str, kind: GrantKind) -> String {
    let owner = fold(owner);
    match kind {
        GrantKind::Person => owner.as_str().to_owned(),
        GrantKind::App => format!("app:{}", owner.as_str()),
    }
}

/// Binds the columns of [`put_grant`] and `update_grant`, in their common order.
fn bind_grant<'q>(query: Query<'q>, grant: &'q Grant) -> Query<'q> {
    let cause = grant.trouble.as_ref().map(|trouble| &trouble.cause);
    query
        .bind(&grant.provider)
        .bind(&grant.owner)
        .bind(folded_owner(&grant.owner, grant.kind()))
        .bind(grant.kind().name())
        .bind(grant.right == Right::Application)
        .bind(join_scopes(&grant.scopes))
        .bind(match &grant.right {
            Right::Person { refresh_token } => Some(refresh_token.as_slice()),
            Right::Application | Right::Withdrawn { .. } => None,
        })
        .bind(grant.access_token.as_deref())
        .bind(seconds(grant.access_expires_at))
        .bind(grant.state.name())
        .bind(cause.map(|cause| cause.text.as_str()))
        .bind(cause.map(|cause| cause.kind.name()))
        .bind(cause.and_then(|cause| cause.code.as_deref()))
        .bind(cure_column(grant.trouble.as_ref()))
        .bind(seconds(grant.failed_at))
        .bind(i64::from(grant.failures))
        .bind(seconds(grant.retry_at))
        .bind(grant.authorized_at.unix_timestamp())
        .bind(seconds(grant.refreshed_at))
        .bind(seconds(grant.refresh_expires_at))
        .bind(seconds(grant.interrupted_at))
}
