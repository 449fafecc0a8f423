//! The doors: the mail protocols by which clients use accounts, and their names.

use super::imap::Imap;
use super::pop3::Pop3;
use super::submission::Submission;
use super::{Accepted, Credential, NotListed, Protocol as _, Refusal};
use crate::wire::{Stream, Wire};

/// A mail protocol by which clients use accounts. A listener opens one door; a provider has one server for each
/// door that it offers. Every variant has both dialogues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// Reading mail (RFC 3501, RFC 9051).
    Imap,
    /// Fetching mail (RFC 1939).
    Pop3,
    /// Sending mail (RFC 6409).
    Submission,
}

impl Door {
    /// All doors, the default first.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Submission];

    /// The name in the configuration, in JSON, in the log, and in ALPN (RFC 7301) if TLS has one for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
        }
    }

    /// The port of the default listener; `None` if the configuration has to name a port.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Imap => Some(1993),
            Self::Submission => Some(1465),
            // POP3 can delete mail that IMAP keeps, so the configuration must ask for it.
            Self::Pop3 => None,
        }
    }

    /// The door with this [`Door::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.name() == name)
    }

    /// The name for use in a sentence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Submission => "SMTP submission",
        }
    }

    /// The key of a provider's table that names its server.
    pub const fn server_key(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "smtp",
        }
    }

    /// The key of a provider's table that lists the promised capabilities of its server, if the door has one.
    pub const fn promises_key(self) -> Option<&'static str> {
        match self {
            Self::Imap | Self::Pop3 => None,
            Self::Submission => Some("submission_ehlo"),
        }
    }

    /// The command that [`Door::look_in`] sends.
    pub const fn look_command(self) -> &'static str {
        match self {
            Self::Imap => "LIST",
            Self::Pop3 => "STAT",
            Self::Submission => "QUIT",
        }
    }

    /// Whether a mailbox that the authorising person does not own may open only under that person's name. Exchange
    /// refuses the mailbox's own name at submission, and requires it for the other doors.
    pub const fn may_want_owner(self) -> bool {
        match self {
            Self::Imap | Self::Pop3 => false,
            Self::Submission => true,
        }
    }

    /// [`Protocol::begin_tls`](super::Protocol::begin_tls) of this door's protocol.
    pub async fn begin_tls<U: Stream>(self, upstream: &mut Wire<U>) -> Result<(), Refusal> {
        match self {
            Self::Imap => Imap::begin_tls(upstream).await,
            Self::Pop3 => Pop3::begin_tls(upstream).await,
            Self::Submission => Submission::begin_tls(upstream).await,
        }
    }

    /// [`Protocol::sign_in`](super::Protocol::sign_in) of this door's protocol.
    pub async fn sign_in<U: Stream>(
        self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        match self {
            Self::Imap => Imap::sign_in(None, upstream, credential).await,
            Self::Pop3 => Pop3::sign_in(None, upstream, credential).await,
            Self::Submission => Submission::sign_in(None, upstream, credential).await,
        }
    }

    /// [`Protocol::look_in`](super::Protocol::look_in) of this door's protocol.
    pub async fn look_in<U: Stream>(self, upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        match self {
            Self::Imap => Imap::look_in(upstream).await,
            Self::Pop3 => Pop3::look_in(upstream).await,
            Self::Submission => Submission::look_in(upstream).await,
        }
    }
}
