//! The mail protocols that the proxy speaks, and the words that they share.
//!
//! Each protocol opens a [`Door`]. It has two dialogues: one with the client, from the greeting to a [`Login`],
//! and one with the provider, from its greeting to an accepted token. Both are sans-I/O machines (bytes in,
//! events out) driven over a [`crate::wire::Wire`]; after them the relay copies the bytes of both sides, and the
//! protocol's [`Watch`] says what may be said at the end. No byte that a client sends before it is
//! authenticated reaches a provider: only lines that the machines wrote do. The one thing taken over is the
//! tag of IMAP's login command, checked to be one, so that the provider's answer fits the client as it is.

mod called;
mod denial;
pub mod dialogue;
mod door;
mod end;
pub mod imap;
mod limits;
mod line;
mod meter;
pub mod pop3;
mod promises;
mod refusal;
pub mod sasl;
mod session;
pub mod submission;
mod trace;
mod verdict;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use self::dialogue::ClientDialogue;
use self::sasl::Mechanism;
use crate::secret::Secret;
use crate::wire::{Stream, Wire};

pub use denial::{Code, Denial, TEXT_LIMIT, plain_text};
pub use door::Door;
pub use end::DialogueEnd;
pub use limits::{Channel, Limits};
pub use promises::Promises;
pub use refusal::{Advice, Answers, MendedBy, NotListed, Refusal, Said};
pub use session::{LastWord, Overheard, Tail, Watch};
pub use trace::{Scribe, Speaker, Vocabulary};

/// What a client sent to log in.
#[derive(Debug)]
pub struct Login {
    /// The user name as the client typed it: UTF-8, or else read as Latin-1. May hold anything,
    /// control characters included.
    pub name: String,
    /// The password, which is an app password of ours and never goes upstream.
    pub password: Secret,
}

/// What a client wants that the dialogue cannot give by itself.
#[derive(Debug)]
pub enum Request {
    /// To log in. The dialogue stands still until [`Protocol::deny`] or [`Protocol::accept`].
    Login(Login),
    /// To send without a login, which only a client may whose address stands for an account
    /// ([`ClientDialogue::admit_device`]). What it said waits unread until [`Protocol::accept`], which leaves it to
    /// the relay, or [`Protocol::deny`], which answers and drops it.
    Send,
    /// To go on in TLS; it has been told to begin.
    StartTls {
        /// Bytes that came behind the command, in cleartext. They are not looked at, and must not be
        /// later: a client that waits for the answer sends none, so an attacker on the line did.
        injected: usize,
    },
}

/// Whose name opens a mailbox that belongs to another than the person who authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInAs {
    /// The mailbox's.
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

    /// The one of that name.
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
    /// Whether the provider has still to greet. It does not after STARTTLS, nor after it has refused another
    /// credential on the same connection.
    pub greeted: bool,
    /// The access token.
    pub token: &'a Secret,
    /// Mechanisms in order of preference, at least one.
    pub mechanisms: &'a [Mechanism],
    /// The provider's host, as it is configured.
    pub host: &'a str,
    /// The provider's port.
    pub port: u16,
    /// Whether the provider takes an initial response (RFC 4959). Where it is known, no round
    /// trip is spent on asking and the first mechanism is used; `None` asks, unless the greeting tells.
    pub sasl_ir: Option<bool>,
}

/// The provider's acceptance, as the client may see it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    lines: Vec<u8>,
    /// Whether [`Credential::or_user`] is the name that it accepted.
    pub by_other_name: bool,
    /// What was promised to the client and this provider does not keep.
    pub lacking: Vec<String>,
}

impl Accepted {
    fn new(lines: Vec<u8>) -> Self {
        Self { lines, ..Self::default() }
    }

    /// What the provider said since the token was sent, up to its acceptance.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// A mail protocol, from the accepted connection to the end of the session. A value is the dialogue of one
/// connection.
///
/// Deadlines are the caller's: every future here may be dropped while it waits. The dialogue keeps its
/// place, received bytes stay in the wire and unsent ones in its outbox, so after a timeout
/// [`Protocol::bye`] still gives a pending command its answer. Only a dropped
/// [`Protocol::authenticate`] spoils what it worked on: its upstream wire must be closed.
pub trait Protocol: Sized + Send + Sync {
    /// The door that it opens.
    const DOOR: Door;

    /// How long a login waits for one of its account's sessions to end, where as many are open as the provider
    /// allows; `None` is as long as a login may take at all.
    const GATE_PATIENCE: Option<Duration>;

    /// Whether a provider keeps the connection on which it refused a token, so that another token can be tried
    /// there: [`Credential::greeted`] is false then.
    const KEEPS_REFUSED: bool;

    /// What of its lines a person may see who traces a session.
    const WORDS: &'static Vocabulary = &Vocabulary::NONE;

    /// What is heard and said of a session after the login.
    type Watch: Watch;

    /// What is said with the client up to its login.
    type Dialogue: ClientDialogue + Send + Sync;

    /// The dialogue of a connection that was just accepted.
    fn new(channel: Channel, limits: Limits) -> Self;

    /// The same, to go on with.
    fn dialogue(&mut self) -> &mut Self::Dialogue;

    /// Tells the dialogue, before it begins, what every configured provider supports. A protocol whose client asks
    /// again after its login has no use for it.
    fn promise(&mut self, promises: &Arc<Promises>) {
        self.dialogue().promise(promises);
    }

    /// Tells the dialogue, before it begins, that the client's address stands for an account.
    fn admit_device(&mut self) {
        self.dialogue().admit_device();
    }

    /// What a connection gets that is turned away before any dialogue: a greeting that says why.
    fn turn_away(denial: &Denial) -> Vec<u8>;

    /// Greets (once), answers what the client asks, and returns what it wants of the proxy.
    fn next<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
    ) -> impl Future<Output = Result<Request, DialogueEnd>> + Send {
        dialogue::next(self.dialogue(), client)
    }

    /// What the client has called itself so far, printable and bounded. It is for the log and for lists: a client may
    /// say anything.
    fn client_called(&mut self) -> Option<&str> {
        self.dialogue().client_called()
    }

    /// Goes on in TLS after [`Request::StartTls`]: nothing said in cleartext counts any more.
    fn tls_started(&mut self) {
        self.dialogue().tls_started();
    }

    /// Refuses the login that [`Protocol::next`] returned. [`Code::AuthenticationFailed`] counts
    /// against the connection, which ends after too many of them; otherwise `next` goes on with whatever
    /// waited behind the login.
    fn deny<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        denial: &Denial,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send {
        dialogue::deny(self.dialogue(), client, denial)
    }

    /// Signs in at the provider on behalf of the login that [`Protocol::next`] returned, on a
    /// fresh connection. May be called again, on another connection, after a refusal.
    fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> impl Future<Output = Result<Accepted, Refusal>> + Send;

    /// Passes the provider's acceptance on. Afterwards both wires are for the relay:
    /// [`Wire::into_parts`] gives the bytes that no dialogue has taken.
    fn accept<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        accepted: Accepted,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send {
        self.dialogue().accepted();
        async move { Ok(client.send(accepted.lines()).await?) }
    }

    /// Ends the dialogue from our side: a command that waits for its answer is refused with
    /// `denial`, and the client is told that the connection closes.
    fn bye<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        denial: &Denial,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send {
        dialogue::bye(self.dialogue(), client, denial)
    }

    /// Signs in at the provider without a client, on a fresh connection: the first half of a proof that a token
    /// opens a mailbox. The wire is for [`Protocol::look_in`] then.
    fn sign_in<U: Stream>(
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> impl Future<Output = Result<Accepted, Refusal>> + Send;

    /// The second half: looks into the mailbox just signed in to, as far as the protocol can, and leaves. The
    /// number of its folders, where the protocol has such. The wire is spent afterwards.
    fn look_in<U: Stream>(
        upstream: &mut Wire<U>,
    ) -> impl Future<Output = Result<Option<usize>, NotListed>> + Send;

    /// Asks a provider's server, on a fresh connection in cleartext, to go on in TLS. Whatever it said is worth
    /// nothing then: the wire's buffers are dropped with it.
    fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> impl Future<Output = Result<(), Refusal>> + Send;
}
