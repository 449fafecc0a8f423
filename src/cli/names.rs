//! Which names an account, its owner and its aliases may have, typed or imported.
//!
//! Names stand in logins, in sign-ins at a provider, in lists and in commands to copy. New ones must be shaped
//! for all of that; what is stored from before goes on working, and `check` names what would be refused today.
//! An alias is a right: a login under it opens the account. So one that is another address than the account's
//! is taken only where the person says so, and one for a whole domain never: a domain account is what `authorize --app`
//! makes, guarded by its app password.

use super::failure::Failure;
use super::installation::Installation;
use super::terminal;
use crate::store::{Account, fold};
use crate::text::is_shown;

/// RFC 3696 (erratum 1690) allows 254 octets; login names with a domain in front are longer.
const LONGEST: usize = 320;
/// What a shell takes for more than a letter, where an address has no use for it. Names are quoted wherever a
/// command shows them; these would make a person wonder.
const NO_ADDRESS: &str = ";|<>()$`\"";

/// A name that can stand in a login and in the sign-in at a provider.
pub(super) fn check_login_name(name: &str) -> Result<(), Failure> {
    match name.trim() != name || name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control)
    {
        true => Err(Failure::new(format!("{name:?} cannot be a login name"))
            .hint("it must have 1 to 320 characters, no blanks at its ends and no control characters")),
        false => Ok(()),
    }
}

/// What keeps `name` from being a new login name; a clause that follows the name.
pub(super) fn fault_of_login_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > LONGEST {
        return Some("must have 1 to 320 characters");
    }
    if name.trim() != name {
        return Some("must have no blanks at its ends");
    }
    if !name.chars().all(is_shown) {
        return Some("must have no control characters and no invisible ones");
    }
    name.starts_with('-').then_some("must not begin with -, like an option of a command")
}

/// What keeps `name` from being an alias.
pub(super) fn fault_of_alias(name: &str) -> Option<&'static str> {
    let is_domain = name.starts_with('@');
    is_domain
        .then_some("must not begin with @: only `authorize --app` makes an account for a whole domain")
        .or_else(|| fault_of_login_name(name))
}

/// What keeps `name` from being an account or an owner: an address, or a user name of the provider.
pub(super) fn fault_of_address(name: &str) -> Option<&'static str> {
    if let Some(fault) = fault_of_login_name(name) {
        return Some(fault);
    }
    if name.chars().any(|c| c.is_whitespace() || NO_ADDRESS.contains(c)) {
        return Some("must have no blanks and none of ; | < > ( ) $ ` \"");
    }
    match name.rsplit_once('@') {
        None => None,
        Some(("", _)) => Some("must have a name before its @"),
        Some((local, domain)) => match !local.contains('@') && is_domain(domain) {
            true => None,
            false => Some("must have one @, and a domain behind it"),
        },
    }
}

/// As [`fault_of_address`], for an account that `--app` makes: it may stand for a domain.
fn fault_of_app_account(name: &str) -> Option<&'static str> {
    match name.strip_prefix('@') {
        Some(domain) if is_domain(domain) => None,
        Some(_) => Some("must have a domain behind its @"),
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
pub(super) async fn check_account(installation: &Installation, name: &str, app: bool) -> Result<(), Failure> {
    if name.starts_with('@') && !app {
        let why = format!("{name:?} stands for a whole domain, which no person's authorisation opens");
        return Err(Failure::new(why).hint("imap-oauth-proxy authorize @DOMAIN --app makes such an account"));
    }
    let is_stored = own(installation, name).await?.is_some();
    let fault = if app { fault_of_app_account(name) } else { fault_of_address(name) };
    match fault.filter(|_| !is_stored) {
        Some(fault) => Err(Failure::new(format!("the account {name:?} {fault}"))
            .hint("give the mailbox's address, as its provider writes it")),
        None => Ok(()),
    }
}

/// An owner who is to consent; one who did goes on.
pub(super) async fn check_owner(installation: &Installation, name: &str) -> Result<(), Failure> {
    let Some(fault) = fault_of_address(name) else { return Ok(()) };
    match installation.store.grants().await?.iter().any(|grant| fold(&grant.owner) == fold(name)) {
        true => Ok(()),
        false => Err(Failure::new(format!("the owner {name:?} {fault}"))
            .hint("give the address that the person signs in with at the provider")),
    }
}

/// The account that `name` is a login name of; a domain account answers for its mailboxes without being one.
async fn own(installation: &Installation, name: &str) -> Result<Option<Account>, Failure> {
    let known = installation.store.login(name).await?;
    let own = known.filter(|known| known.grant.as_ref().is_none_or(|grant| grant.mailbox.is_none()));
    Ok(own.map(|known| known.account))
}

/// Whether these may become aliases of `account`, which need not be there yet. One that is another address
/// is asked about on a terminal, and elsewhere needs `yes`.
pub(super) async fn check_aliases(
    installation: &Installation,
    account: &str,
    aliases: &[String],
    yes: bool,
) -> Result<(), Failure> {
    let mut foreign = Vec::new();
    for alias in aliases {
        if alias.starts_with('@') {
            return Err(bad_alias(alias, fault_of_alias(alias).unwrap_or_default()));
        }
        match own(installation, alias).await? {
            Some(known) if fold(&known.name) == fold(account) => continue,
            Some(known) => {
                return Err(Failure::new(format!("{alias:?} is already a login name of {}", known.name)));
            }
            None => {}
        }
        if let Some(fault) = fault_of_alias(alias) {
            return Err(bad_alias(alias, fault));
        }
        if let Some(owned) = owned_by(installation, account, alias).await? {
            return Err(Failure::new(format!(
                "{alias:?} is the owner of the authorisation of {owned}, so it cannot be an alias of {account}"
            ))
            .hint("choose another name"));
        }
        if is_foreign(account, alias) {
            foreign.push(alias.as_str());
        }
    }
    match foreign.is_empty() || yes {
        true => Ok(()),
        false => ask(account, &foreign.join(", ")).await,
    }
}

fn bad_alias(alias: &str, fault: &str) -> Failure {
    Failure::new(format!("the alias {alias:?} {fault}"))
        .hint("give a plain login name, such as `support` or CORP\\support")
}

/// The account whose authorisation is `name`'s, where it is another one than `account`'s.
async fn owned_by(installation: &Installation, account: &str, name: &str) -> Result<Option<String>, Failure> {
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

async fn ask(account: &str, aliases: &str) -> Result<(), Failure> {
    let what = format!(
        "{aliases} is not the address of {account}: a login under that name would open the mailbox of {account}"
    );
    match terminal::confirm(&format!("{what}. Is that meant?")).await {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new("nothing was changed")),
        None => {
            Err(Failure::new(format!("{what}; nothing was changed")).hint("add --yes where that is meant"))
        }
    }
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
