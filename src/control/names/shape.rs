//! How a name must be shaped to be a new one.

use crate::store::{fold, is_of_domain};
use crate::text::is_shown;

/// RFC 3696 (erratum 1690) allows 254 octets; login names with a domain in front are longer.
const LONGEST: usize = 320;
/// What a shell takes for more than a letter, where an address has no use for it. Names are quoted wherever a
/// command shows them; these would make a person wonder.
const NO_ADDRESS: &str = ";|<>()$`\"";

/// What keeps a name from being a new one: a clause that follows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    /// Nothing, or more than any name needs.
    #[error("must have 1 to 320 characters")]
    Length,
    /// Blanks where they are not seen.
    #[error("must have no blanks at its ends")]
    BlankEnds,
    /// Characters that are not seen.
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

/// A name that is stored from before, and could not be stored today.
#[derive(Debug, thiserror::Error)]
#[error("the {of} {name:?} {fault}")]
pub(crate) struct OldName {
    pub(crate) account: String,
    pub(crate) of: NameOf,
    pub(crate) name: String,
    pub(crate) fault: NameFault,
}

/// What a name is in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameOf {
    #[error("account")]
    Account,
    #[error("owner of its authorisation")]
    Owner,
    #[error("alias")]
    Alias,
}

/// Whether `name` can stand in a login and in the sign-in at a provider.
pub(in crate::control) fn is_login_name(name: &str) -> bool {
    name.trim() == name && !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control)
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
pub(in crate::control) fn fault_of_alias(name: &str) -> Option<NameFault> {
    match is_of_domain(name) {
        true => Some(NameFault::Domain),
        false => fault_of_login_name(name),
    }
}

/// What keeps `name` from being an account or an owner: an address, or a user name of the provider.
pub(in crate::control) fn fault_of_address(name: &str) -> Option<NameFault> {
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
pub(super) fn fault_of_app_account(name: &str) -> Option<NameFault> {
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

/// Whether `alias` is the address of another mailbox, as far as can be told.
pub(in crate::control) fn is_foreign(account: &str, alias: &str) -> bool {
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
