//! The doors: the mail protocols that accounts are used through, and what each is called.

use super::imap::Imap;
use super::pop3::Pop3;
use super::submission::Submission;
use super::{Accepted, Credential, NotListed, Protocol as _, Refusal};
use crate::wire::{Stream, Wire};

/// A mail protocol that accounts are used through. A listener opens one door; a provider has a server for
/// each door that it offers. There is a variant for each protocol that has its dialogues, and for no other.
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
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Submission];

    /// The name in the configuration, in JSON, in the log, and where TLS has one for it (ALPN, RFC 7301).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
        }
    }

    /// The port of the listener that no file names; `None` where a file has to name one.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Imap => Some(1993),
            Self::Submission => Some(1465),
            // POP3 can delete what IMAP keeps, so nobody gets it unasked.
            Self::Pop3 => None,
        }
    }

    /// The door of that [`Door::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.name() == name)
    }

    /// The name in a sentence.
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

    /// The key of a provider's table that lists what may be promised of its server, where there is such.
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

    /// Whether a mailbox that is not the authorising person's own may open with that person's name only: Exchange
    /// refuses the mailbox's at submission, and wants it everywhere else.
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
            Self::Imap => Imap::sign_in(upstream, credential).await,
            Self::Pop3 => Pop3::sign_in(upstream, credential).await,
            Self::Submission => Submission::sign_in(upstream, credential).await,
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
