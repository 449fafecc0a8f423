//! Why a door of a mailbox did not open with a token for it.

use crate::protocol::{MendedBy, NotListed, Refusal};
use crate::upstream::DialError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LeftOut {
    #[error("the scope {} was not granted", .0.join(" "))]
    NotGranted(Vec<String>),
    /// The mail server refused the token, or could not be asked.
    #[error(transparent)]
    Unproven(Unproven),
}

/// Why a token did not open a mailbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The mail server accepted the token but did not show the mailbox.
    #[error(transparent)]
    NotListed(#[from] NotListed),
    #[error("{endpoint} did not answer within 45 s; it was asked for {step}")]
    Silent { endpoint: String, step: &'static str },
}

impl Unproven {
    /// Whether the failure says nothing about the token: the provider could not be asked.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Refused(refusal) | Self::NotListed(NotListed(refusal)) => {
                refusal.mended_by() != MendedBy::Person
            }
            Self::Silent { .. } => true,
        }
    }
}
