//! The cures of errors in the words of the page: a cure that is a button elsewhere on the page names the button instead
//! of a command.

use super::frame::text;
use super::words::{cure_words, first_upper};
use crate::admin::said::Said;
use crate::control::{Error, TableError};
use crate::surface::cures::causes;
use crate::trouble::Cure;

/// A failed act: its cause, and its cures.
pub(super) fn failed(error: &Error) -> Said {
    let cures = cures(error).iter().map(|cure| sentence(cure)).collect();
    Said::failed(sentence(&causes(error)), cures)
}

/// A clause as a sentence.
pub(super) fn sentence(clause: &str) -> String {
    let clause = text(&first_upper(clause.trim()));
    match clause.ends_with(['.', '!', '?']) {
        true => clause,
        false => format!("{clause}."),
    }
}

/// The cures, one clause each; none if the message contains the cure, or no cure is known.
pub(super) fn cures(error: &Error) -> Vec<String> {
    let cure = match error {
        Error::NoToken { failure, .. } | Error::NotRefreshed { failure, .. } => {
            cure_words(&failure.trouble().cure)
        }
        Error::Provider { error, .. } => error.cure().map(cure_words).unwrap_or_default(),
        Error::RefreshTokenRefused { error, .. } => cure_words(&error.refusal().cure),
        Error::Client(error) => cure_words(&error.refusal().cure),
        other => by_hand(other),
    };
    if cure.is_empty() { Vec::new() } else { vec![cure] }
}

/// Whether a person's consent mends the error; a button begins that consent.
pub(super) fn wants_consent(error: &Error) -> bool {
    match error {
        Error::NoToken { failure, .. } | Error::NotRefreshed { failure, .. } => {
            matches!(failure.trouble().cure, Cure::Authorize { .. })
        }
        Error::NoGrant { .. } | Error::DoorClosed { .. } => true,
        _ => false,
    }
}

fn by_hand(error: &Error) -> String {
    match error {
        Error::NoAccount { .. } | Error::OnlyItsDomain { .. } => {
            "the list of accounts shows all that there are".to_owned()
        }
        Error::NoAppPassword { .. } | Error::AppPasswordsOver { .. } => {
            "make one with “New app password”".to_owned()
        }
        Error::NoPassword { .. } => "reload the page: it may have been revoked meanwhile".to_owned(),
        Error::Network { .. } => {
            "write one such as 192.168.7.0/24 or 2001:db8::/32, or an address".to_owned()
        }
        Error::HostBits { whole, alone, .. } => {
            format!("write {whole} for the network, {alone} for the one address")
        }
        Error::TooManyNetworks { .. } => "name the networks around them".to_owned(),
        Error::Day { .. } => "write a day before 2200 as YYYY-MM-DD".to_owned(),
        Error::DayOver { .. } => "choose a day from today on".to_owned(),
        Error::NoGrant { .. } | Error::NothingToRefresh { .. } | Error::DoorClosed { .. } => {
            "press “Authorise again” on the account's page".to_owned()
        }
        Error::NoProvider { known, .. } | Error::UnknownDomain { known, .. } => {
            format!("name the provider: it is one of {}", known.join(", "))
        }
        Error::NoClient { name, .. } => {
            format!("set client_id in [providers.{name}]; `imap-oauth-proxy authorize` says how to get one")
        }
        Error::NoProviderWithClient { provider } => format!("put [providers.{provider}] back"),
        Error::LoginName(_) => {
            "it must have 1 to 320 characters, no blanks at its ends and no control characters".to_owned()
        }
        Error::AccountName { .. } => "give the mailbox's address, as its provider writes it".to_owned(),
        Error::OwnerName { .. } => {
            "give the address that the person signs in with at the provider".to_owned()
        }
        Error::AliasName { .. } => "give a plain login name, such as “support” or CORP\\support".to_owned(),
        Error::AliasOfOwner { .. } | Error::AliasOfAnother { .. } => "choose another name".to_owned(),
        Error::ForeignAliases { .. } => "if that is meant, allow aliases that are other addresses".to_owned(),
        Error::AlreadyHere { .. } | Error::AliasHere { .. } => "take the line out of the table".to_owned(),
        Error::Table(TableError::OutOfTime { .. }) => "add those lines as a table of their own".to_owned(),
        Error::DomainNeedsApplication { .. } => {
            "such an account is made on the command line, with --app".to_owned()
        }
        _ => String::new(),
    }
}
