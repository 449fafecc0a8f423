//! Rows of the database as records.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use time::OffsetDateTime;

use crate::store::{Account, AppPassword, Grant, GrantKind, GrantState, Id, StoreError, Trouble, Verifier};

// Macros, because `concat!` takes only literals: statements stay constants, cached by their text.
macro_rules! ACCOUNT_COLUMNS {
    () => {
        "a.id AS a_id, a.name AS a_name, a.grant_id AS a_grant_id, a.last_login_at AS a_last_login_at, \
         a.last_login_from AS a_last_login_from, a.trouble AS a_trouble, a.trouble_count AS a_trouble_count, \
         a.trouble_at AS a_trouble_at, a.trouble_retry_at AS a_trouble_retry_at"
    };
}
macro_rules! GRANT_COLUMNS {
    () => {
        "g.id AS g_id, g.revision AS g_revision, g.provider AS g_provider, g.owner AS g_owner, g.kind AS g_kind, \
         g.scopes AS g_scopes, g.refresh_token AS g_refresh_token, g.access_token AS g_access_token, \
         g.access_expires_at AS g_access_expires_at, g.state AS g_state, g.last_error AS g_last_error, g.failed_at AS g_failed_at, \
         g.failures AS g_failures, g.retry_at AS g_retry_at, g.authorized_at AS g_authorized_at, \
         g.refreshed_at AS g_refreshed_at, g.refresh_expires_at AS g_refresh_expires_at, \
         g.interrupted_at AS g_interrupted_at"
    };
}
macro_rules! PASSWORD_COLUMNS {
    () => {
        "p.id AS p_id, p.account_id AS p_account_id, p.name AS p_name, p.generated AS p_generated, \
         p.chosen AS p_chosen, p.created_at AS p_created_at, p.last_used_at AS p_last_used_at, \
         p.last_used_from AS p_last_used_from"
    };
}
pub(super) use {ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS};

/// The account of a row; its aliases are not in it.
pub(super) fn account(row: &SqliteRow) -> Result<Account, StoreError> {
    Ok(Account {
        id: Id(row.try_get("a_id")?),
        name: row.try_get("a_name")?,
        aliases: Vec::new(),
        grant: row.try_get::<Option<String>, _>("a_grant_id")?.map(Id),
        last_login_at: time_of(row, "a_last_login_at")?,
        last_login_from: row.try_get("a_last_login_from")?,
        trouble: trouble(row)?,
    })
}

fn trouble(row: &SqliteRow) -> Result<Option<Trouble>, StoreError> {
    let Some(reason) = row.try_get("a_trouble")? else { return Ok(None) };
    let (at, retry_at) = (time_of(row, "a_trouble_at")?, time_of(row, "a_trouble_retry_at")?);
    Ok(Some(Trouble {
        reason,
        count: row.try_get("a_trouble_count")?,
        at: at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        retry_at: retry_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }))
}

/// The grant of a row, where an outer join found one.
pub(super) fn grant(row: &SqliteRow) -> Result<Option<Grant>, StoreError> {
    let Some(id) = row.try_get::<Option<String>, _>("g_id")? else { return Ok(None) };
    let state: String = row.try_get("g_state")?;
    let scopes: String = row.try_get("g_scopes")?;
    Ok(Some(Grant {
        state: GrantState::from_name(&state)
            .ok_or_else(|| StoreError::Unusable(format!("grant {id} is in the unknown state {state:?}")))?,
        id: Id(id),
        revision: row.try_get("g_revision")?,
        provider: row.try_get("g_provider")?,
        owner: row.try_get("g_owner")?,
        kind: kind(row, "g_kind")?,
        mailbox: None,
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        refresh_token: row.try_get("g_refresh_token")?,
        access_token: row.try_get("g_access_token")?,
        access_expires_at: time_of(row, "g_access_expires_at")?,
        last_error: row.try_get("g_last_error")?,
        failed_at: time_of(row, "g_failed_at")?,
        failures: row.try_get("g_failures")?,
        retry_at: time_of(row, "g_retry_at")?,
        authorized_at: time_of(row, "g_authorized_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        refreshed_at: time_of(row, "g_refreshed_at")?,
        refresh_expires_at: time_of(row, "g_refresh_expires_at")?,
        interrupted_at: time_of(row, "g_interrupted_at")?,
    }))
}

pub(super) fn kind(row: &SqliteRow, column: &str) -> Result<GrantKind, StoreError> {
    Ok(match row.try_get::<String, _>(column)? == GrantKind::App.name() {
        true => GrantKind::App,
        false => GrantKind::Person,
    })
}

/// The app password of a row, where an outer join found one.
pub(super) fn password(row: &SqliteRow) -> Result<Option<AppPassword>, StoreError> {
    let Some(id) = row.try_get::<Option<String>, _>("p_id")? else { return Ok(None) };
    let generated: Option<Vec<u8>> = row.try_get("p_generated")?;
    let verifier = match generated {
        Some(hash) => Verifier::Generated(hash),
        None => Verifier::Chosen(row.try_get("p_chosen")?),
    };
    Ok(Some(AppPassword {
        id: Id(id),
        account: Id(row.try_get("p_account_id")?),
        name: row.try_get("p_name")?,
        verifier,
        created_at: time_of(row, "p_created_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        last_used_at: time_of(row, "p_last_used_at")?,
        last_used_from: row.try_get("p_last_used_from")?,
    }))
}

pub(super) fn seconds(time: Option<OffsetDateTime>) -> Option<i64> {
    time.map(OffsetDateTime::unix_timestamp)
}

pub(super) fn join_scopes(scopes: &[String]) -> String {
    scopes.join(" ")
}

pub(super) fn time_of(row: &SqliteRow, column: &str) -> Result<Option<OffsetDateTime>, StoreError> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()))
}
