//! The names that an account, its owner and its aliases may have, typed or imported.
//!
//! Names appear in logins, in sign-ins at a provider, in lists and in commands to copy. New names must be valid in
//! all of these; old names still work, and a check reports those that would be refused today. An alias is a right:
//! a login under it opens the account. So an alias that is another address needs the administrator's confirmation,
//! and an alias for a whole domain is refused: only an application's own sign-in makes a domain account, which its
//! app password guards.

mod owners;
pub(super) mod shape;

pub(super) use self::owners::Owners;
use self::shape::{
    NameFault, fault_of_address, fault_of_alias, fault_of_app_account, is_foreign, is_login_name,
};
use super::error::Error;
use super::installation::Installation;
use crate::store::{fold, is_of_domain};

/// Checks that a name can be used for logins and for the sign-in at a provider.
pub(super) fn check_login_name(name: &str) -> Result<(), Error> {
    match is_login_name(name) {
        true => Ok(()),
        false => Err(Error::LoginName(name.to_owned())),
    }
}

/// Checks the name of a new account; an existing account keeps its name.
pub(super) async fn check_account(installation: &Installation, name: &str, app: bool) -> Result<(), Error> {
    if is_of_domain(name) && !app {
        return Err(Error::PersonsDomain { name: name.to_owned() });
    }
    let fault = if app { fault_of_app_account(name) } else { fault_of_address(name) };
    match fault {
        Some(fault) if installation.known_account(name).await?.is_none() => {
            Err(Error::AccountName { name: name.to_owned(), fault })
        }
        _ => Ok(()),
    }
}

/// Checks an owner who will consent; an owner who did keeps the name.
pub(super) async fn check_owner(owners: &Owners<'_>, name: &str) -> Result<(), Error> {
    let Some(fault) = fault_of_address(name) else { return Ok(()) };
    match owners.known().await?.has_grant(name) {
        true => Ok(()),
        false => Err(Error::OwnerName { name: name.to_owned(), fault }),
    }
}

/// Whether `aliases` may become aliases of `account`, which need not exist yet. An alias that is another address needs
/// `yes`.
pub(super) async fn check_aliases(
    installation: &Installation,
    owners: &Owners<'_>,
    account: &str,
    aliases: &[String],
    yes: bool,
) -> Result<(), Error> {
    let mut foreign = Vec::new();
    for alias in aliases {
        let bad = |fault| Error::AliasName { name: alias.clone(), fault };
        if is_of_domain(alias) {
            return Err(bad(NameFault::Domain));
        }
        match installation.known_account(alias).await? {
            Some(known) if fold(&known.account.name) == fold(account) => continue,
            Some(known) => {
                return Err(Error::AliasOfAnother { alias: alias.clone(), owner: known.account.name });
            }
            None => {}
        }
        if let Some(fault) = fault_of_alias(alias) {
            return Err(bad(fault));
        }
        if let Some(owned) = owners.known().await?.used_by_another(account, alias) {
            return Err(Error::AliasOfOwner { alias: alias.clone(), account: account.to_owned(), owned });
        }
        if is_foreign(account, alias) {
            foreign.push(alias.as_str());
        }
    }
    match foreign.is_empty() || yes {
        true => Ok(()),
        false => Err(Error::ForeignAliases { account: account.to_owned(), aliases: foreign.join(", ") }),
    }
}
