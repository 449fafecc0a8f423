//! App passwords, with which mail programs log in.

use time::OffsetDateTime;

use super::audit::Deed;
use super::error::Error;
use super::installation::Installation;
use super::limits::Change;
use crate::account::generate_password;
use crate::secret::Secret;
use crate::store::{Account, AppPassword, Id, Limits, LoginRecord};
use crate::text::is_shown;

/// Number of accounts read at once.
const PAGE: u32 = 500;
/// A shorter password can be guessed despite all limits.
pub(super) const SHORTEST_CHOSEN: usize = 8;
/// More than any mail program sends in a literal.
pub(crate) const LONGEST_CHOSEN: usize = 1024;

/// Checks that a person can type the name again.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    match name.trim().is_empty() || name.len() > 100 || !name.chars().all(is_shown) {
        true => Err(Error::PasswordName),
        false => Ok(()),
    }
}

/// A password that a person chose: one line of `text`, without its line end.
pub(crate) fn chosen(text: &str) -> Result<Secret, Error> {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.contains(['\n', '\r', '\0']) {
        return Err(Error::PasswordLine);
    }
    match line.chars().count() < SHORTEST_CHOSEN || line.len() > LONGEST_CHOSEN {
        true => Err(Error::PasswordLength { least: SHORTEST_CHOSEN, most: LONGEST_CHOSEN }),
        false => Ok(Secret::new(line)),
    }
}

/// Stores a password for `account`, `chosen` or new, with the given limits, and returns it.
pub(crate) async fn create(
    installation: &Installation,
    account: &Account,
    name: &str,
    chosen: Option<Secret>,
    change: Change,
) -> Result<Secret, Error> {
    let (password, mut row) = make(installation, &account.id, name, chosen).await?;
    change.apply(&mut row.limits);
    let act = installation.act(Deed::PasswordCreated, &[&account.name], Some(name));
    installation.store.add_password(&row, &act).await?;
    Ok(password)
}

/// A password for the account `id`, `chosen` or new, and its row.
pub(super) async fn make(
    installation: &Installation,
    id: &Id,
    name: &str,
    chosen: Option<Secret>,
) -> Result<(Secret, AppPassword), Error> {
    let passwords = installation.passwords().await?;
    let is_chosen = chosen.is_some();
    let password = chosen.unwrap_or_else(generate_password);
    let verifier = match is_chosen {
        true => passwords.chosen(&password).await?,
        false => passwords.generated(id, &password),
    };
    let row = AppPassword {
        id: Id::random(),
        account: id.clone(),
        name: name.to_owned(),
        verifier,
        limits: Limits::default(),
        created_at: OffsetDateTime::now_utc(),
        last_used_at: None,
        last_used_from: None,
    };
    Ok((password, row))
}

/// An app password, with the name of its account.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) account: String,
    pub(crate) password: AppPassword,
}

/// The passwords of the account called `account`, or of all accounts, by account and name.
pub(crate) async fn list(installation: &Installation, account: Option<&str>) -> Result<Vec<Entry>, Error> {
    let accounts = match account {
        Some(name) => vec![installation.exact_account(name).await?.account],
        None => installation.store.accounts().await?,
    };
    let mut entries = Vec::new();
    for account in accounts {
        entries.extend(of(installation, &account).await?);
    }
    Ok(entries)
}

async fn of(installation: &Installation, account: &Account) -> Result<impl Iterator<Item = Entry>, Error> {
    let (name, passwords) = (account.name.clone(), installation.store.passwords(&account.id).await?);
    Ok(passwords.into_iter().map(move |password| Entry { account: name.clone(), password }))
}

/// The passwords of the accounts after the one called `after`, by account and name. The list ends after the first
/// account that makes it `limit` or longer. Also returns the last account, if there may be more.
pub(crate) async fn page(
    installation: &Installation,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Entry>, Option<String>), Error> {
    let (mut entries, mut last) = (Vec::new(), after.map(str::to_owned));
    loop {
        let rows = installation.store.account_page(last.as_deref(), PAGE).await?;
        if rows.is_empty() {
            return Ok((entries, None));
        }
        for row in rows {
            if row.passwords > 0 {
                entries.extend(of(installation, &row.account).await?);
            }
            last = Some(row.account.name);
            if entries.len() >= limit {
                return Ok((entries, last));
            }
        }
    }
}

/// A password whose limits were changed.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) account: Account,
    pub(crate) before: Limits,
    pub(crate) now: Limits,
}

pub(crate) async fn limit(
    installation: &Installation,
    account: &str,
    name: &str,
    change: Change,
) -> Result<Limited, Error> {
    let LoginRecord { account, passwords, .. } = installation.exact_account(account).await?;
    let Some(password) = passwords.into_iter().find(|password| password.name == name) else {
        return Err(Error::NoPassword { account: account.name, name: name.to_owned() });
    };
    let before = password.limits;
    let mut now = before.clone();
    change.apply(&mut now);
    let act = installation.act(Deed::PasswordLimited, &[&account.name], Some(name));
    match installation.store.limit_password(&account.id, name, &now, &act).await? {
        true => Ok(Limited { account, before, now }),
        false => Err(Error::NoPassword { account: account.name, name: name.to_owned() }),
    }
}

/// Makes a password invalid; returns its account.
pub(crate) async fn revoke(installation: &Installation, account: &str, name: &str) -> Result<Account, Error> {
    let account = installation.exact_account(account).await?.account;
    let act = installation.act(Deed::PasswordRevoked, &[&account.name], Some(name));
    match installation.store.remove_password(&account.id, name, &act).await? {
        true => Ok(account),
        false => Err(Error::NoPassword { account: account.name, name: name.to_owned() }),
    }
}
