//! Which names an account, its owner and its aliases may have, typed or imported.
//!
//! Names stand in logins, in sign-ins at a provider, in lists and in commands to copy. New ones must be shaped
//! for all of that; what is stored from before goes on working, and a check names what would be refused today.
//! An alias is a right: a login under it opens the account. So one that is another address than the account's
//! is taken only where the person says so, and one for a whole domain never: a domain account is what an
//! application's own sign-in makes, guarded by its app password.

use super::error::Error;
use super::installation::Installation;
use crate::store::{Account, fold};
use crate::text::is_shown;

/// RFC 3696 (erratum 1690) allows 254 octets; login names with a domain in front are longer.
const LONGEST: usize = 320;
/// What a shell takes for more than a letter, where an address has no use for it. Names are quoted wherever a
/// command shows them; these would make a person wonder.
const NO_ADDRESS: &str = ";|<>()$`\"";

/// What keeps a name from being a new one: a clause that follows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing, or more than any name needs.
    #[error("must have 1 to 320 characters")]
    Length,
    /// Blanks that nobody sees.
    #[error("must have no blanks at its ends")]
    BlankEnds,
    /// Characters that nobody sees.
    #[error("must have no control characters and no invisible ones")]
    Invisible,
    /// Commands would take it for an option.
    #[error("must not begin with -, like an option of a command")]
    Dash,
    /// An alias that is a domain.
    #[error("must not begin with @: only `authorize --app` makes an account for a whole domain")]
    Domain,
    /// Characters that no address has.
    #[error("must have no blanks and none of ; | < > ( ) $ ` \"")]
    NoAddress,
    /// A domain alone.
    #[error("must have a name before its @")]
    NoLocalPart,
    /// More than one @, or no domain behind it.
    #[error("must have one @, and a domain behind it")]
    NoDomain,
    /// A domain account without a domain.
    #[error("must have a domain behind its @")]
    DomainWithoutOne,
}

/// A name that can stand in a login and in the sign-in at a provider.
pub(super) fn check_login_name(name: &str) -> Result<(), Error> {
    match name.trim() != name || name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control)
    {
        true => Err(Error::LoginName(name.to_owned())),
        false => Ok(()),
    }
}

/// What keeps `name` from being a new login name.
fn fault_of_login_name(name: &str) -> Option<NameFault> {
    if name.is_empty() || name.len() > LONGEST {
        return Some(NameFault::Length);
    }
    if name.trim() != name {
        return Some(NameFault::BlankEnds);
    }
    if !name.chars().all(is_shown) {
        return Some(NameFault::Invisible);
    }
    name.starts_with('-').then_some(NameFault::Dash)
}

/// What keeps `name` from being an alias.
pub(super) fn fault_of_alias(name: &str) -> Option<NameFault> {
    match name.starts_with('@') {
        true => Some(NameFault::Domain),
        false => fault_of_login_name(name),
    }
}

/// What keeps `name` from being an account or an owner: an address, or a user name of the provider.
pub(super) fn fault_of_address(name: &str) -> Option<NameFault> {
    if let Some(fault) = fault_of_login_name(name) {
        return Some(fault);
    }
    if name.chars().any(|c| c.is_whitespace() || NO_ADDRESS.contains(c)) {
        return Some(NameFault::NoAddress);
    }
    match name.rsplit_once('@') {
        None => None,
        Some(("", _)) => Some(NameFault::NoLocalPart),
        Some((local, domain)) if local.contains('@') || !is_domain(domain) => Some(NameFault::NoDomain),
        Some(_) => None,
    }
}

/// As [`fault_of_address`], for an account that an application opens: it may stand for a domain.
fn fault_of_app_account(name: &str) -> Option<NameFault> {
    match name.strip_prefix('@') {
        Some(domain) => (!is_domain(domain)).then_some(NameFault::DomainWithoutOne),
        None => fault_of_address(name),
    }
}

/// Labels of letters, digits, hyphens and underscores; letters of any script.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    domain.split('.').all(label)
}

/// An account that is to be made; one that is stored goes on under the name that it has.
pub(super) async fn check_account(installation: &Installation, name: &str, app: bool) -> Result<(), Error> {
    if name.starts_with('@') && !app {
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

/// An owner who is to consent; one who did goes on.
pub(super) async fn check_owner(installation: &Installation, name: &str) -> Result<(), Error> {
    let Some(fault) = fault_of_address(name) else { return Ok(()) };
    match installation.store.grants().await?.iter().any(|grant| fold(&grant.owner) == fold(name)) {
        true => Ok(()),
        false => Err(Error::OwnerName { name: name.to_owned(), fault }),
    }
}

/// Whether these may become aliases of `account`, which need not be there yet. One that is another address
/// needs `yes`.
pub(super) async fn check_aliases(
    installation: &Installation,
    account: &str,
    aliases: &[String],
    yes: bool,
) -> Result<(), Error> {
    let mut foreign = Vec::new();
    for alias in aliases {
        let bad = |fault| Error::AliasName { name: alias.clone(), fault };
        if alias.starts_with('@') {
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
        if let Some(owned) = owned_by(installation, account, alias).await? {
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

/// The account whose authorisation is `name`'s, where it is another one than `account`'s.
async fn owned_by(installation: &Installation, account: &str, name: &str) -> Result<Option<String>, Error> {
    let grants = installation.store.grants().await?;
    let owned: Vec<_> = grants.iter().filter(|grant| fold(&grant.owner) == fold(name)).collect();
    let accounts = installation.store.accounts().await?;
    let uses = |account: &Account| owned.iter().any(|grant| account.grant.as_ref() == Some(&grant.id));
    if accounts.iter().any(|known| fold(&known.name) == fold(account) && uses(known)) {
        return Ok(None);
    }
    Ok(accounts.into_iter().find(uses).map(|account| account.name))
}

/// Whether `alias` is the address of another mailbox, as far as can be told.
pub(super) fn is_foreign(account: &str, alias: &str) -> bool {
    alias.contains('@') && fold(alias) != fold(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_row_34_addresses_pass_and_what_only_looks_like_one_does_not() {
        for good in [
            "bob@corp.example",
            "o'brien+tag@corp.example",
            "r&d@corp.example",
            "Käthe@bücher.example",
            "root@localhost",
            "alice",
            "CORP\\alice",
            "a.b-c_d=e/f!g#h@xn--bcher-kva.example",
        ] {
            assert_eq!(fault_of_address(good), None, "{good}");
        }
        for bad in [
            "",
            " bob@corp.example",
            "bob@corp.example ; reboot",
            "$(reboot)@corp.example",
            "`id`@corp.example",
            "bob@corp.example&&reboot",
            "bob@corp.example|sh",
            "--config=/tmp/x",
            "@corp.example",
            "bob@",
            "bob@@corp.example",
            "bob@corp..example",
            "bob@-corp.example",
            "bob\u{1b}[2J@corp.example",
            "bob\n@corp.example",
            "bob\u{202e}@corp.example",
            &"x".repeat(321),
        ] {
            assert!(fault_of_address(bad).is_some(), "{bad:?}");
        }
        assert_eq!(fault_of_app_account("@corp.example"), None);
        assert!(fault_of_app_account("@").is_some() && fault_of_app_account("@a b").is_some());
        assert_eq!(fault_of_alias("Alice Smith"), None);
        assert!(fault_of_alias("@corp.example").is_some() && fault_of_alias("-x").is_some());
    }
}
