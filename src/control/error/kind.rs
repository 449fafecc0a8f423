//! Questions of a surface about an error, besides its message.

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
