//! The form of new names.

use crate::store::{fold, is_of_domain};
use crate::text::is_shown;

/// RFC 3696 (erratum 1690) allows 254 octets; login names with a domain in front are longer.
const LONGEST: usize = 320;
/// Characters with a meaning in a shell that no address needs. Commands quote names, but these characters would
/// confuse a person.
const NO_ADDRESS: &str = ";|<>()$`\"";

/// What a reader puts in the place of bytes that are no UTF-8. No name has it: another name was meant.
pub(in crate::control) const UNREAD: char = '\u{fffd}';

/// Why a name cannot be new: a clause that follows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    #[error("must have 1 to 320 characters")]
    Length,
    /// Blanks at the ends, which are not visible.
    #[error("must have no blanks at its ends")]
    BlankEnds,
    #[error("must have no control characters and no invisible ones")]
    Invisible,
    /// A character that was lost on the way.
    #[error("must not have the character U+FFFD, which stands for one that could not be read")]
    Unread,
    /// A command would take the name for an option.
    #[error("must not begin with -, like an option of a command")]
    Dash,
    #[error("must not begin with @: only `authorize --app` makes an account for a whole domain")]
    Domain,
    #[error("must have no blanks and none of ; | < > ( ) $ ` \"")]
    NoAddress,
    #[error("must have a name before its @")]
    NoLocalPart,
    #[error("must have one @, and a domain behind it")]
    NoDomain,
    #[error("must have a domain behind its @")]
    DomainWithoutOne,
}

/// An old name that could not be stored today.
#[derive(Debug, thiserror::Error)]
#[error("the {of} {name:?} {fault}")]
pub(crate) struct OldName {
    pub(crate) account: String,
    pub(crate) of: NameOf,
    pub(crate) name: String,
    pub(crate) fault: NameFault,
}

/// The use of a name in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameOf {
    #[error("account")]
    Account,
    #[error("owner of its authorisation")]
    Owner,
    #[error("alias")]
    Alias,
}

/// Whether `name` can be used for logins and for the sign-in at a provider.
pub(in crate::control) fn is_login_name(name: &str) -> bool {
    name.trim() == name && !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control)
}

/// Why `name` cannot be a new login name.
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
    if name.contains(UNREAD) {
        return Some(NameFault::Unread);
    }
    name.starts_with('-').then_some(NameFault::Dash)
}

/// Why `name` cannot be an alias.
pub(in crate::control) fn fault_of_alias(name: &str) -> Option<NameFault> {
    match is_of_domain(name) {
        true => Some(NameFault::Domain),
        false => fault_of_login_name(name),
    }
}

/// Why `name` cannot be an account or an owner: an address, or a user name of the provider.
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

/// Like [`fault_of_address`], for an application's account, which may stand for a domain.
pub(super) fn fault_of_app_account(name: &str) -> Option<NameFault> {
    match name.strip_prefix('@') {
        Some(domain) => (!is_domain(domain)).then_some(NameFault::DomainWithoutOne),
        None => fault_of_address(name),
    }
}

/// Labels of letters (of any script), digits, hyphens and underscores.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    domain.split('.').all(label)
}

/// Whether `alias` seems to be the address of another mailbox.
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
            "m\u{fffd}ller@corp.example",
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
