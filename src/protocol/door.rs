//! The doors: the mail protocols that accounts are used through, and what each is called.

use super::imap::Imap;
use super::{Credential, NotListed, Protocol as _, Refusal};
use crate::wire::{Stream, Wire};

/// A mail protocol that accounts are used through. A listener opens one door; a provider has a server for
/// each door that it offers. There is a variant for each protocol that has its dialogues, and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// Reading mail (RFC 3501, RFC 9051).
    Imap,
}

impl Door {
    /// All of them, the default first.
    pub const ALL: [Self; 1] = [Self::Imap];

    /// The name in the configuration, in JSON, in the log, and where TLS has one for it (ALPN, RFC 7301).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
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
        }
    }

    /// The key of a provider's table that names its server.
    pub const fn server_key(self) -> &'static str {
        match self {
            Self::Imap => "imap",
        }
    }

    /// [`Protocol::sign_in`](super::Protocol::sign_in) of this door's protocol.
    pub async fn sign_in<U: Stream>(
        self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<(), Refusal> {
        match self {
            Self::Imap => Imap::sign_in(upstream, credential).await,
        }
    }

    /// [`Protocol::count_folders`](super::Protocol::count_folders) of this door's protocol.
    pub async fn count_folders<U: Stream>(self, upstream: &mut Wire<U>) -> Result<usize, NotListed> {
        match self {
            Self::Imap => Imap::count_folders(upstream).await,
        }
    }
}
