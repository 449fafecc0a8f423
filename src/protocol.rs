//! The mail protocols that the proxy speaks, and the words that they share.
//!
//! Each protocol opens a [`Door`]. It has two dialogues: one with the client, from the greeting to a [`Login`], whose
//! states and bounds are the same for all protocols ([`dialogue`]), and one with the provider, from the provider's
//! greeting to an accepted token. Both are sans-I/O machines (bytes in, events out) driven over a
//! [`crate::wire::Wire`]. Afterwards the relay copies the bytes of both sides, and the protocol's [`Watch`] decides the
//! last line to the client. Only lines that these machines wrote reach a provider before the client is authenticated.
//! The one exception is the tag of IMAP's login command, checked to be a tag, so that the provider's tagged answer can
//! be passed on unchanged.

mod called;
mod denial;
pub mod dialogue;
mod door;
mod end;
mod framer;
pub mod imap;
mod limits;
mod line;
mod meter;
mod not_listed;
pub mod pop3;
mod promises;
pub mod provider;
mod refusal;
pub mod sasl;
mod session;
pub mod submission;
mod trace;
mod verdict;

use std::future::Future;
use std::time::Duration;

use self::dialogue::{Dialogue, Speech};
use self::sasl::Mechanism;
use crate::secret::Secret;
use crate::wire::{Stream, Wire};

pub use denial::{Code, Denial, TEXT_LIMIT, plain_text};
pub use door::Door;
pub use end::DialogueEnd;
pub(crate) use end::is_hang_up;
pub use limits::{Channel, Limits};
pub use not_listed::NotListed;
pub use promises::Promises;
pub use refusal::{Advice, Answers, MendedBy, Refusal, Said};
pub use session::{LastWord, Overheard, Tail, Watch};
pub use trace::{Scribe, Speaker, Vocabulary};

/// A client's login.
#[derive(Debug)]
pub struct Login {
    /// The user name as the client typed it: UTF-8, or else read as Latin-1. It may hold any character, control
    /// characters included.
    pub name: String,
    /// The password, which is an app password of ours and never goes upstream.
    pub password: Secret,
}

/// A decision that the client's dialogue needs from the proxy.
#[derive(Debug)]
pub enum Request {
    /// A login. The dialogue waits until [`Dialogue::deny`] or [`Dialogue::accept`].
    Login(Login),
    /// A device, whose address stands for an account ([`Dialogue::admit_device`]), begins to send without a
    /// login. Its MAIL stays unread until [`Dialogue::accept`], which leaves the line to the relay, or
    /// [`Dialogue::deny`], which answers and drops it.
    Send,
    /// The client was told to begin TLS.
    StartTls {
        /// Number of cleartext bytes behind the command. They must never be interpreted: a real client waits for
        /// the answer, so an attacker on the line sent them.
        injected: usize,
    },
}

/// The user name that opens a mailbox which the authorising person does not own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInAs {
    /// The name of the mailbox.
    Account,
    /// The name of the person who authorised.
    Owner,
}

impl SignInAs {
    /// The word in the store and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Owner => "owner",
        }
    }

    /// The value with this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        [Self::Owner, Self::Account].into_iter().find(|user| user.name() == name)
    }
}

/// How to sign in at the provider.
#[derive(Debug)]
pub struct Credential<'a> {
    /// The mailbox to open, as the provider knows it.
    pub user: &'a str,
    /// Another name to try with the same token where the provider refuses it with `user`.
    pub or_user: Option<&'a str>,
    /// False after STARTTLS, and after the provider has refused another credential on the same connection: the
    /// provider sends no greeting then.
    pub greeted: bool,
    /// The access token.
    pub token: &'a Secret,
    /// Mechanisms in order of preference, at least one.
    pub mechanisms: &'a [Mechanism],
    /// The provider's host in the configuration.
    pub host: &'a str,
    /// The provider's port.
    pub port: u16,
    /// Whether the provider takes an initial response (RFC 4959). If known, the first mechanism is used without
    /// asking; with `None` the sign-in asks, unless the greeting lists it.
    pub sasl_ir: Option<bool>,
}

/// The provider's acceptance, in the form that the client may see.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    lines: Vec<u8>,
    /// Whether the provider accepted [`Credential::or_user`].
    pub by_other_name: bool,
    /// Capabilities that were promised to the client and that this provider lacks.
    pub lacking: Vec<String>,
}

impl Accepted {
    fn new(lines: Vec<u8>) -> Self {
        Self { lines, ..Self::default() }
    }

    /// Puts a line of the proxy's own before the provider's lines, which stay as they are.
    pub fn precede_with(&mut self, mut line: Vec<u8>) {
        line.append(&mut self.lines);
        self.lines = line;
    }

    /// The lines for the client: those of the provider from the AUTHENTICATE to its acceptance, and any line of
    /// [`Self::precede_with`].
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// A mail protocol, from the accepted connection to the end of the session.
pub trait Protocol: Speech {
    /// The door of this protocol.
    const DOOR: Door;

    /// How long a login waits for another session of its account to end when all sessions that the provider allows
    /// are open; `None` is the whole time of a login.
    const GATE_PATIENCE: Option<Duration>;

    /// Whether a provider keeps the connection on which it refused a token, so that another token can be tried
    /// there: [`Credential::greeted`] is false then.
    const KEEPS_REFUSED: bool;

    /// The words of this protocol that a session trace may show.
    const WORDS: &'static Vocabulary;

    /// Observes a session after its login.
    type Watch: Watch;

    /// The greeting that refuses a connection before any dialogue, with the reason.
    fn turn_away(denial: &Denial) -> Vec<u8>;

    /// The line before the acceptance of a login that makes the mail program show `text` to its user; `None` if this
    /// protocol has no such line.
    fn alert(_text: &str) -> Option<Vec<u8>> {
        None
    }

    /// Signs in at the provider, on a fresh connection, on behalf of the login with which `client` waits. Without a
    /// client this is the first half of a proof that a token opens a mailbox; [`Protocol::look_in`] then uses the wire.
    ///
    /// If this future is dropped while it waits, the wire is in the middle of an exchange: close it.
    fn sign_in<U: Stream>(
        client: Option<&Dialogue<Self>>,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> impl Future<Output = Result<Accepted, Refusal>> + Send;

    /// The second half: looks into the mailbox just signed in to, as far as the protocol can, and leaves. Returns
    /// the number of folders if the protocol has folders. The wire cannot be used afterwards.
    fn look_in<U: Stream>(
        upstream: &mut Wire<U>,
    ) -> impl Future<Output = Result<Option<usize>, NotListed>> + Send;

    /// Asks a provider's server, on a fresh cleartext connection, to begin TLS. The wire's buffers are dropped
    /// afterwards, because an attacker may have written the cleartext.
    fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> impl Future<Output = Result<(), Refusal>> + Send;
}
