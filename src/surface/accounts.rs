//! An account, as `accounts list` and `/api/v1/accounts` show it.

use serde::Serialize;

use super::times::rfc3339;
use crate::store::AccountRow;

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
