//! The cures of errors in the words of the page: a cure that is a button elsewhere on the page names the button instead
//! of a command.

use super::frame::text;
use super::words::{cure_words, first_upper};
use crate::admin::said::Said;
use crate::control::{Error, TableError};
use crate::surface::cures::{causes, of_form};
use crate::trouble::Cure;

/// A failed act: its cause, and its cures.
pub(super) fn failed(error: &Error) -> Said {
    Said::failed(sentence(&causes(error)), sentences(error))
}

/// The cures as sentences.
pub(super) fn sentences(error: &Error) -> Vec<String> {
    cures(error).iter().map(|cure| sentence(cure)).collect()
}

/// What an act has led to.
pub(super) fn outcome(done: Result<String, Error>) -> Said {
    done.map_or_else(|error| failed(&error), Said::Done)
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
            "the list of accounts shows all that there are".into()
        }
        Error::NoAppPassword { .. } | Error::AppPasswordsOver { .. } => {
            "make one with “New app password”".into()
        }
        Error::NoPassword { .. } => "reload the page: it may have been revoked meanwhile".into(),
        Error::DayOver { .. } => "choose a day from today on".into(),
        Error::NoGrant { .. } | Error::NothingToRefresh { .. } | Error::DoorClosed { .. } => {
            "press “Authorise again” on the account's page".into()
        }
        Error::NoProvider { known, .. } | Error::UnknownDomain { known, .. } => {
            format!("name the provider: it is one of {}", known.join(", "))
        }
        Error::NoClient { name, .. } => {
            format!("set client_id in [providers.{name}]; `imap-oauth-proxy authorize` says how to get one")
        }
        Error::AliasName { .. } => "give a plain login name, such as “support” or CORP\\support".into(),
        Error::AliasOfAnother { .. } => "choose another name".into(),
        Error::ForeignAliases { .. } => "if that is meant, allow aliases that are other addresses".into(),
        Error::AlreadyHere { .. } | Error::AliasHere { .. } => "take the line out of the table".into(),
        Error::Table(TableError::OutOfTime { .. }) => "add those lines as a table of their own".into(),
        Error::DomainNeedsApplication { .. } => {
            "such an account is made on the command line, with --app".into()
        }
        other => of_form(other).unwrap_or_default(),
    }
}
