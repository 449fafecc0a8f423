//! The accounts that mail programs log in to.

use super::audit::Deed;
use super::error::Error;
use super::installation::Installation;
use super::names::{Owners, check_aliases, check_login_name};
use crate::shutdown::Uninterrupted;
use crate::store::{Account, AccountRow};

/// Number of accounts read at once.
const PAGE: u32 = 500;

/// The stored name of the account, if `name` is an account or an alias; else `name`.
pub(super) async fn canonical_name(installation: &Installation, name: &str) -> Result<String, Error> {
    let known = installation.known_account(name).await?;
    Ok(known.map_or_else(|| name.to_owned(), |known| known.account.name))
}

/// All accounts, by name.
pub(crate) async fn list(installation: &Installation) -> Result<Vec<AccountRow>, Error> {
    let mut all: Vec<AccountRow> = Vec::new();
    loop {
        let after = all.last().map(|row| row.account.name.as_str());
        let page = installation.store.account_page(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// At most `limit` accounts after the one called `after`, by name.
pub(crate) async fn page(
    installation: &Installation,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<AccountRow>, Error> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    Ok(installation.store.account_page(after, limit).await?)
}

/// The account called `name`, by its name or an alias.
pub(crate) async fn one(installation: &Installation, name: &str) -> Result<AccountRow, Error> {
    let account = installation.exact_account(name).await?.account;
    let row = installation.store.account_row(&account.id).await?;
    row.ok_or_else(|| Error::NoAccount { name: name.to_owned() })
}

/// Removes an account, its passwords, and its grant if no other account uses it.
pub(crate) async fn remove(installation: &Installation, name: &str) -> Result<Account, Error> {
    let account = installation.exact_account(name).await?.account;
    let _removing = Uninterrupted::begin();
    let act = installation.act(Deed::Removed, &[&account.name], None);
    installation.store.remove_account(&account.id, &act).await?;
    Ok(account)
}

/// Makes `alias` another login name of the account called `name`; `yes` allows an alias that is another address. Returns
/// the account, and whether the alias is new.
pub(crate) async fn alias(
    installation: &Installation,
    name: &str,
    alias: &str,
    yes: bool,
) -> Result<(Account, bool), Error> {
    check_login_name(alias)?;
    let account = installation.exact_account(name).await?.account;
    check_aliases(installation, &Owners::of(installation), &account.name, &[alias.to_owned()], yes).await?;
    let act = installation.act(Deed::AliasAdded, &[&account.name], Some(alias));
    let is_new = installation.store.add_alias(&account.id, alias, &act).await?;
    Ok((account, is_new))
}

/// Disables or enables the account called `name`; returns the account, and whether its state changed.
pub(crate) async fn set_disabled(
    installation: &Installation,
    name: &str,
    disabled: bool,
) -> Result<(Account, bool), Error> {
    let account = installation.exact_account(name).await?.account;
    let deed = if disabled { Deed::Disabled } else { Deed::Enabled };
    let act = installation.act(deed, &[&account.name], None);
    let is_new = installation.store.set_disabled(&account.id, disabled, &act).await?;
    Ok((account, is_new))
}

pub(crate) async fn unalias(installation: &Installation, name: &str, alias: &str) -> Result<Account, Error> {
    let account = installation.exact_account(name).await?.account;
    let act = installation.act(Deed::AliasRemoved, &[&account.name], Some(alias));
    match installation.store.remove_alias(&account.id, alias, &act).await? {
        true => Ok(account),
        false => Err(Error::NoAlias { account: account.name, name: alias.to_owned() }),
    }
}
