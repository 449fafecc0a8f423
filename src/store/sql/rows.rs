//! Rows of the database as records.

use std::collections::BTreeMap;

use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::Row;
use super::limits::limits;
use crate::store::dates::sane_date_of;
use crate::store::{
    Account, AppPassword, Grant, GrantKind, GrantState, GrantStatus, Id, LastRefusal, MailboxTrouble, Result,
    Right, SignInAs, StoreError, Verifier,
};
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

// Macros, because `concat!` takes only literals: statements stay constants, cached by their text.
macro_rules! ACCOUNT_COLUMNS {
    () => {
        "a.id AS a_id, a.name AS a_name, a.grant_id AS a_grant_id, a.last_login_at AS a_last_login_at, \
         a.last_login_from AS a_last_login_from, a.troubles AS a_troubles, a.disabled AS a_disabled, \
         a.submission_user AS a_submission_user, a.refusal_at AS a_refusal_at, a.refusal_protocol AS a_refusal_protocol, \
         a.refusal_code AS a_refusal_code, a.refusal_cause AS a_refusal_cause, a.refusal_cure AS a_refusal_cure"
    };
}
macro_rules! GRANT_COLUMNS {
    () => {
        "g.id AS g_id, g.revision AS g_revision, g.provider AS g_provider, g.owner AS g_owner, g.kind AS g_kind, \
         g.scopes AS g_scopes, g.in_force AS g_in_force, g.refresh_token AS g_refresh_token, g.access_token AS g_access_token, \
         g.access_expires_at AS g_access_expires_at, g.state AS g_state, g.last_error AS g_last_error, g.cause_kind AS g_cause_kind, g.cause_code AS g_cause_code, g.cure AS g_cure, g.failed_at AS g_failed_at, \
         g.failures AS g_failures, g.retry_at AS g_retry_at, g.authorized_at AS g_authorized_at, \
         g.refreshed_at AS g_refreshed_at, g.refresh_expires_at AS g_refresh_expires_at, \
         g.interrupted_at AS g_interrupted_at"
    };
}
macro_rules! PASSWORD_COLUMNS {
    () => {
        "p.id AS p_id, p.account_id AS p_account_id, p.name AS p_name, p.generated AS p_generated, \
         p.chosen AS p_chosen, p.created_at AS p_created_at, p.last_used_at AS p_last_used_at, \
         p.last_used_from AS p_last_used_from, p.protocols AS p_protocols, p.networks AS p_networks, \
         p.last_day AS p_last_day"
    };
}
pub(super) use {ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS};

/// A column of names, as JSON: an old name may hold any character, line feeds included.
pub(super) fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The account of a row, without its aliases.
pub(super) fn account(row: &Row) -> Result<Account> {
    Ok(Account {
        id: Id(row.try_get("a_id")?),
        name: row.try_get("a_name")?,
        aliases: Vec::new(),
        grant: row.try_get::<Option<String>, _>("a_grant_id")?.map(Id),
        last_login_at: time_of(row, "a_last_login_at")?,
        last_login_from: row.try_get("a_last_login_from")?,
        troubles: troubles(row)?,
        disabled: row.try_get("a_disabled")?,
        sign_in_as: row
            .try_get::<Option<String>, _>("a_submission_user")?
            .as_deref()
            .and_then(SignInAs::named),
        refusal: refusal(row)?,
    })
}

fn refusal(row: &Row) -> Result<Option<LastRefusal>> {
    let (Some(at), Some(cause)) =
        (time_of(row, "a_refusal_at")?, row.try_get::<Option<String>, _>("a_refusal_cause")?)
    else {
        return Ok(None);
    };
    let trouble = Trouble { cause: refusal_cause(&cause), cure: cure(row.try_get("a_refusal_cure")?) };
    let column = |name: &str| row.try_get::<Option<String>, _>(name).map(Option::unwrap_or_default);
    let (protocol, code) = (column("a_refusal_protocol")?, column("a_refusal_code")?);
    Ok(Some(LastRefusal { at, protocol, code, trouble }))
}

/// A newer version may have stored a kind of cause that this one does not know.
fn refusal_cause(json: &str) -> Cause {
    serde_json::from_str(json).unwrap_or_else(|_| {
        let cause: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        let text = cause.get("text").and_then(serde_json::Value::as_str).unwrap_or_default();
        Cause { kind: CauseKind::Recorded, code: None, text: text.to_owned() }
    })
}

/// Reads each trouble separately, so that one of a newer version, which this one cannot read, hides no other.
fn troubles(row: &Row) -> Result<BTreeMap<String, MailboxTrouble>> {
    let json: String = row.try_get("a_troubles")?;
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&json).unwrap_or_default();
    let known =
        all.into_iter().filter_map(|(door, trouble)| Some((door, serde_json::from_value(trouble).ok()?)));
    Ok(known.collect())
}

/// The grant of a row, if an outer join found one.
pub(super) fn grant(row: &Row) -> Result<Option<Grant>> {
    let Some(id) = row.try_get::<Option<String>, _>("g_id")? else { return Ok(None) };
    let state: String = row.try_get("g_state")?;
    let scopes: String = row.try_get("g_scopes")?;
    Ok(Some(Grant {
        state: GrantState::from_name(&state)
            .ok_or_else(|| StoreError::Unusable(format!("grant {id} is in the unknown state {state:?}")))?,
        right: right(row)?,
        id: Id(id),
        revision: row.try_get("g_revision")?,
        provider: row.try_get("g_provider")?,
        owner: row.try_get("g_owner")?,
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        access_token: row.try_get("g_access_token")?,
        access_expires_at: time_of(row, "g_access_expires_at")?,
        trouble: grant_trouble(row, "g_")?,
        failed_at: time_of(row, "g_failed_at")?,
        failures: number(row, "g_failures")?,
        retry_at: time_of(row, "g_retry_at")?,
        authorized_at: time_of(row, "g_authorized_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        refreshed_at: time_of(row, "g_refreshed_at")?,
        refresh_expires_at: time_of(row, "g_refresh_expires_at")?,
        interrupted_at: time_of(row, "g_interrupted_at")?,
    }))
}

/// The trouble of a grant, from columns whose names begin with `prefix`.
pub(super) fn grant_trouble(row: &Row, prefix: &str) -> Result<Option<Trouble>> {
    let column = |name: &str| row.try_get::<Option<String>, _>(&*format!("{prefix}{name}"));
    let Some(text) = column("last_error")? else { return Ok(None) };
    let kind = column("cause_kind")?.as_deref().and_then(CauseKind::from_name);
    let cause = Cause { kind: kind.unwrap_or(CauseKind::Recorded), code: column("cause_code")?, text };
    Ok(Some(Trouble { cause, cure: cure(column("cure")?) }))
}

/// A newer version may have stored a kind of cure that this one does not know.
fn cure(json: Option<String>) -> Cure {
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or(Cure::Unknown)
}

/// A cure in the form of its column.
pub(super) fn cure_column(trouble: Option<&Trouble>) -> Option<String> {
    trouble.and_then(|trouble| serde_json::to_string(&trouble.cure).ok())
}

fn right(row: &Row) -> Result<Right> {
    let was = kind(row, "g_kind")?;
    Ok(match (row.try_get("g_in_force")?, row.try_get("g_refresh_token")?) {
        (true, Some(refresh_token)) => Right::Person { refresh_token },
        (true, None) => Right::Application,
        (false, _) => Right::Withdrawn { was },
    })
}

pub(super) fn kind(row: &Row, column: &str) -> Result<GrantKind> {
    Ok(match row.try_get::<String, _>(column)? == GrantKind::App.name() {
        true => GrantKind::App,
        false => GrantKind::Person,
    })
}

/// The app password of a row, if an outer join found one.
pub(super) fn password(row: &Row) -> Result<Option<AppPassword>> {
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
        limits: limits(row)?,
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

/// A count, which the database keeps in a wider type.
pub(super) fn number(row: &Row, column: &str) -> Result<u32> {
    let number: i64 = row.try_get(column)?;
    Ok(u32::try_from(number).unwrap_or_default())
}

pub(super) fn time_of(row: &Row, column: &str) -> Result<Option<OffsetDateTime>> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.map(sane_date_of))
}

/// A row of `STATUS!` in `grants.rs`.
pub(super) fn status(row: &Row) -> Result<GrantStatus> {
    let (id, state): (String, String) = (row.try_get("id")?, row.try_get("state")?);
    Ok(GrantStatus {
        state: GrantState::from_name(&state)
            .ok_or_else(|| StoreError::Unusable(format!("grant {id} is in the unknown state {state:?}")))?,
        id: Id(id),
        kind: kind(row, "kind")?,
        provider: row.try_get("provider")?,
        owner: row.try_get("owner")?,
        trouble: grant_trouble(row, "")?,
        in_force: row.try_get("in_force")?,
        access_expires_at: time_of(row, "access_expires_at")?,
        renewed_at: time_of(row, "renewed_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        refresh_expires_at: time_of(row, "refresh_expires_at")?,
        failed_at: time_of(row, "failed_at")?,
        retry_at: time_of(row, "retry_at")?,
        last_login_at: time_of(row, "last_login_at")?,
        accounts: names(&row.try_get::<Option<String>, _>("names")?.unwrap_or_default()),
        told: row.try_get("told")?,
        look: row.try_get("look")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    proptest! {
        #[test]
        fn security_row_33_whatever_a_row_holds_its_dates_can_be_calculated_with(seconds: i64) {
            let date = sane_date_of(seconds);
            let century = Duration::days(36_525);
            prop_assert!(date.checked_add(century).is_some() && date.checked_sub(century).is_some());
            prop_assert!(date.format(&time::format_description::well_known::Rfc3339).is_ok());
            if (1_000_000_000..=4_000_000_000).contains(&seconds) {
                prop_assert_eq!(date.unix_timestamp(), seconds);
            }
        }
    }
}
