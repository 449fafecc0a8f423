//! An account, as `accounts list`, `accounts add` and `/api/v1/accounts` show it.

use serde::Serialize;

use super::times::rfc3339;
use crate::command;
use crate::control::enrol::Enrolled;
use crate::secret::Secret;
use crate::store::{AccountRow, GrantState};
use crate::text::quoted;

/// An account with its names.
#[derive(Serialize)]
pub(crate) struct Account {
    pub(crate) account: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) provider: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) passwords: usize,
    pub(crate) disabled: bool,
    pub(crate) last_login_at: Option<String>,
    pub(crate) last_login_from: Option<String>,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            account: row.account.name,
            aliases: row.account.aliases,
            provider: row.grant.as_ref().map(|grant| grant.provider.clone()),
            owner: row.grant.map(|grant| grant.owner),
            passwords: row.passwords,
            disabled: row.account.disabled,
            last_login_at: rfc3339(row.account.last_login_at),
            last_login_from: row.account.last_login_from,
        }
    }
}

/// An account that was made and waits for the consent of its owner.
#[derive(Serialize)]
pub(crate) struct Added {
    pub(crate) account: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) provider: String,
    pub(crate) owner: String,
    pub(crate) state: &'static str,
    /// The command that asks the owner for consent; null if a consent has opened the account already.
    pub(crate) authorize: Option<String>,
    /// Where the owner consents in a browser; null if there is no page, or no need.
    pub(crate) sign_in_url: Option<String>,
    /// The new app password, in the answer of the API to the request that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
}

impl Added {
    /// The account, without its password.
    pub(crate) fn new(enrolled: &Enrolled, link: Option<&Secret>) -> Self {
        Self {
            account: enrolled.account.clone(),
            aliases: enrolled.aliases.clone(),
            provider: enrolled.provider.clone(),
            owner: enrolled.owner.clone(),
            state: enrolled.state.name(),
            authorize: waits(enrolled).then(|| authorize(enrolled)),
            sign_in_url: link.map(|link| link.expose().to_owned()),
            password: None,
        }
    }
}

/// Whether the owner of a new account has still to consent.
pub(crate) fn waits(enrolled: &Enrolled) -> bool {
    matches!(enrolled.state, GrantState::NeedsAuthorization | GrantState::WaitingForAdministrator)
}

/// The command that asks the owner of a new account for consent.
pub(crate) fn authorize(enrolled: &Enrolled) -> String {
    let command = command::authorize_person(&enrolled.account, &enrolled.owner);
    match enrolled.provider_is_named {
        true => format!("{command} --provider {}", quoted(&enrolled.provider)),
        false => command,
    }
}
