//! What mail programs log in to.

use super::error::Error;
use super::installation::Installation;
use crate::shutdown::Uninterrupted;
use crate::store::{Account, Grant};

/// A name that can stand in a login and in the sign-in at a provider.
pub fn check_login_name(name: &str) -> Result<(), Error> {
    match name.trim() != name || name.is_empty() || name.len() > 320 || name.chars().any(char::is_control) {
        true => Err(Error::LoginName(name.to_owned())),
        false => Ok(()),
    }
}

/// The account's name as it is stored, where `name` is an account or an alias; else `name`.
pub(super) async fn canonical_name(installation: &Installation, name: &str) -> Result<String, Error> {
    let known = installation.known_account(name).await?;
    Ok(known.map_or_else(|| name.to_owned(), |known| known.account.name))
}

/// An account with its grant, and how many app passwords it has.
#[derive(Debug)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Its grant; `None` where it has none.
    pub grant: Option<Grant>,
    /// How many app passwords open it.
    pub passwords: usize,
}

/// All accounts, by name.
pub async fn list(installation: &Installation) -> Result<Vec<Entry>, Error> {
    let grants = installation.store.grants().await?;
    let mut entries = Vec::new();
    for account in installation.store.accounts().await? {
        let grant = grants.iter().find(|grant| Some(&grant.id) == account.grant.as_ref()).cloned();
        let passwords = installation.store.passwords(&account.id).await?.len();
        entries.push(Entry { account, grant, passwords });
    }
    Ok(entries)
}

/// Removes an account, its passwords, and its grant where no other account uses it.
pub async fn remove(installation: &Installation, name: &str) -> Result<Account, Error> {
    let account = installation.exact_account(name).await?.account;
    let _removing = Uninterrupted::begin();
    installation.store.remove_account(&account.id).await?;
    Ok(account)
}

/// Lets mail programs log in to the account called `name` as `alias`, too.
pub async fn alias(installation: &Installation, name: &str, alias: &str) -> Result<Account, Error> {
    check_login_name(alias)?;
    let account = installation.exact_account(name).await?.account;
    installation.store.add_alias(&account.id, alias).await?;
    Ok(account)
}
