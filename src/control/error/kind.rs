//! Questions of a surface about an error, and parts of messages that depend on a value.

use super::Error;
use crate::oauth::AuthorizeError;
use crate::protocol::{MendedBy, NotListed};
use crate::upstream::DialError;

impl Error {
    /// A provider's answer about `account`.
    pub(crate) fn provider(account: &str, error: impl Into<AuthorizeError>) -> Self {
        Self::Provider { account: account.to_owned(), error: error.into() }
    }

    /// Whether another program already uses the port.
    pub(crate) fn is_taken_port(&self) -> bool {
        matches!(self, Self::Bind(error) if error.error.kind() == std::io::ErrorKind::AddrInUse)
    }

    /// Whether a step with this error waits for a person; otherwise it passes, or the administrator acts.
    pub(crate) fn needs_person(&self) -> bool {
        match self {
            Self::OldName(_) | Self::DomainOfPerson { .. } => true,
            Self::NoAppPassword { .. } | Self::AppPasswordsOver { .. } => true,
            Self::NoGrant { .. } | Self::NoProviderWithClient { .. } | Self::DoorClosed { .. } => true,
            Self::Dial(DialError::NoServer { .. }) => true,
            Self::NoToken { failure, .. } => failure.needs_person(),
            Self::Refused(refusal) | Self::NotListed(NotListed(refusal)) => {
                refusal.mended_by() == MendedBy::Person
            }
            _ => false,
        }
    }
}

pub(super) fn unknown_domain(account: &str) -> String {
    match account.contains('@') {
        true => format!("no provider is known for the domain of {account}"),
        false => format!("{account} is no address, so no domain tells its provider"),
    }
}

pub(super) fn why(error: Option<&std::io::Error>) -> String {
    error.map_or_else(|| "no answer within 20 s".to_owned(), ToString::to_string)
}
