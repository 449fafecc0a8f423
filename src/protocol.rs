//! The mail protocols that the proxy speaks, and what they have in common.
//!
//! A protocol has two dialogues: one with the legacy client, from the greeting to a [`Login`], and
//! one with the provider, from its greeting to an accepted token. Both are sans-I/O machines
//! (bytes in, events out) driven over a [`crate::wire::Wire`]; after them the relay copies bytes
//! that nobody looks at. No byte that a client sends before it is authenticated reaches a
//! provider: only lines that the machines wrote do. The one thing taken over is the tag of the login
//! command, checked to be one, so that the provider's answer fits the client as it is.

mod denial;
pub mod imap;
pub mod sasl;

use std::future::Future;

use self::sasl::Mechanism;
use crate::secret::Secret;
use crate::wire::{Stream, Wire};

pub use denial::{Code, Denial, TEXT_LIMIT, plain_text};
pub use imap::{Accepted, DialogueEnd, Refusal};

/// What a legacy client sent to log in.
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
    /// To go on in TLS; it has been told to begin.
    StartTls {
        /// Bytes that came behind the command, in cleartext. They are not looked at, and must not be
        /// later: a client that waits for the answer sends none, so an attacker on the line did.
        injected: usize,
    },
}

/// How to sign in at the provider.
#[derive(Debug)]
pub struct Credential<'a> {
    /// The mailbox to open, as the provider knows it.
    pub user: &'a str,
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

/// A mail protocol, from the accepted connection to the relay.
///
/// Deadlines are the caller's: every future here may be dropped while it waits. The dialogue keeps its
/// place, received bytes stay in the wire and unsent ones in its outbox, so after a timeout
/// [`Protocol::bye`] still gives a pending command its answer. Only a dropped
/// [`Protocol::authenticate`] spoils what it worked on: its upstream wire must be closed.
pub trait Protocol {
    /// Greets (once), answers what the client asks, and returns what it wants of the proxy.
    fn next<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
    ) -> impl Future<Output = Result<Request, DialogueEnd>> + Send;

    /// Goes on in TLS after [`Request::StartTls`]: nothing said in cleartext counts any more.
    fn tls_started(&mut self);

    /// Refuses the login that [`Protocol::next`] returned. [`Code::AuthenticationFailed`] counts
    /// against the connection, which ends after too many of them; otherwise `next` goes on with whatever
    /// waited behind the login.
    fn deny<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        denial: &Denial,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send;

    /// Signs in at the provider on behalf of the login that [`Protocol::next`] returned, on a
    /// fresh connection. May be called again, on another connection, after a refusal.
    fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> impl Future<Output = Result<Accepted, Refusal>> + Send;

    /// Passes the provider's acceptance on. Afterwards both wires are for the relay:
    /// [`Wire::into_parts`] gives the bytes that nobody has looked at.
    fn accept<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        accepted: Accepted,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send;

    /// Ends the dialogue from our side: a command that waits for its answer is refused with
    /// `denial`, and the client is told that the connection closes.
    fn bye<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        denial: &Denial,
    ) -> impl Future<Output = Result<(), DialogueEnd>> + Send;
}
