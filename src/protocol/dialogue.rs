//! The dialogue with a client from the greeting to its login, the same for all protocols: bytes in, events out.
//!
//! [`Dialogue`] takes complete lines and commands from the inbox, writes answers to the outbox and returns when it
//! needs more bytes, or a decision; `drive` moves the bytes. A protocol adds its commands and its words ([`Speech`]).
//! After a login the dialogue waits: bytes that the client pipelined stay in the inbox, uninterpreted, until the login
//! is denied (then the dialogue reads them) or accepted (then the relay gets them).
//!
//! Everything is bounded by [`Limits`]. Bytes of a command are wiped as soon as it is answered.

mod drive;
mod login;
mod speech;

use std::sync::Arc;

use super::framer::Framer;
use super::meter::Meter;
use super::sasl::exchange::Expects;
use super::{Channel, Code, Denial, DialogueEnd, Limits, Promises, Request};
use crate::wire::Buffer;

pub use speech::{Phrase, Speech};

/// Why a dialogue with a client stopped.
#[derive(Debug)]
pub enum Event {
    /// The dialogue needs more bytes than the inbox holds.
    More,
    /// The client's request is due: [`Dialogue::denied`] or [`Dialogue::accepted`] answers a login or a device, and
    /// [`Dialogue::tls_started`] goes on in TLS.
    Asks(Request),
    /// The dialogue is over; the outbox holds the last words.
    End(DialogueEnd),
}

/// The dialogue of one connection with its client.
///
/// The caller sets deadlines: it may drop any future of this type while that waits. The dialogue keeps its place,
/// received bytes stay in the wire and unsent ones in its outbox, so after a timeout [`Dialogue::bye`] still gives
/// a pending command its answer. After a dropped [`Dialogue::authenticate`] the upstream wire must be closed.
#[derive(Debug)]
pub struct Dialogue<P> {
    pub(super) channel: Channel,
    pub(super) meter: Meter,
    /// The capabilities that every configured provider has; IMAP does not use them.
    pub(super) promises: Option<Arc<Promises>>,
    /// Whether the client's address stands for an account: no login is needed.
    pub(super) is_device: bool,
    /// The device has begun to send before STARTTLS.
    pub(super) device_in_clear: bool,
    pub(super) state: State,
    pub(super) framer: Framer,
    /// The name that the client has given itself.
    pub(super) called: Option<String>,
    /// What only this protocol remembers.
    pub(super) own: P,
}

#[derive(Debug)]
pub(super) enum State {
    /// The greeting was not sent yet.
    New,
    /// Between commands, or within one.
    Command,
    /// A SASL exchange waits for a line.
    Sasl(Expects),
    /// A login waits for the proxy's decision.
    Login,
    /// A device that begins to send waits for the proxy's decision; its line is still in the inbox.
    Send,
    /// The client was told to begin TLS.
    StartTls,
    /// The dialogue has ended.
    End,
}

impl<P: Speech> Dialogue<P> {
    /// A dialogue before its greeting.
    pub fn new(channel: Channel, limits: Limits) -> Self {
        Self {
            channel,
            meter: Meter::new(limits),
            promises: None,
            is_device: false,
            device_in_clear: false,
            state: State::New,
            framer: Framer::default(),
            called: None,
            own: P::default(),
        }
    }

    /// Tells the dialogue, before it begins, what every configured provider supports.
    pub fn promise(&mut self, promises: &Arc<Promises>) {
        self.promises = Some(promises.clone());
    }

    /// Tells the dialogue, before it begins, that the client's address stands for an account.
    pub fn admit_device(&mut self) {
        self.is_device = true;
    }

    /// The name that the client has given itself so far, printable and bounded. Only for the log and for lists: a
    /// client may give any name.
    pub fn client_called(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// Whether a device ([`Dialogue::admit_device`]) has begun to send without the TLS that it must begin first.
    pub fn device_spoke_in_clear(&self) -> bool {
        self.device_in_clear
    }

    /// The capabilities that the client was promised.
    pub fn promises(&self) -> Option<&Promises> {
        self.promises.as_deref()
    }

    /// Whether a login, or a device, waits for its answer.
    pub fn is_asked(&self) -> bool {
        matches!(self.state, State::Login | State::Send)
    }

    /// Processes the inbox until an event occurs. The first call, with an empty inbox, greets.
    pub fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event {
        loop {
            let event = match self.state {
                State::New => {
                    self.state = State::Command;
                    self.say(Phrase::Greeting, outbox)
                }
                State::Command | State::Sasl(_) => P::read(self, inbox, outbox),
                // The caller did not answer the login, so the client gets this answer.
                State::Login | State::Send => {
                    let denial =
                        Denial::new(Code::ServerBug, "The login was not decided; please report this");
                    self.denied(&denial, outbox).map(Event::End)
                }
                State::StartTls => Some(Event::Asks(Request::StartTls { injected: inbox.len() })),
                State::End => Some(Event::End(DialogueEnd::Closed)),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Goes on in TLS after [`Request::StartTls`]: everything said in cleartext is forgotten, but the counters stay.
    pub fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.device_in_clear = false;
        self.state = State::Command;
        self.framer = Framer::default();
        self.called = None;
        self.own = P::default();
    }

    /// Refuses the waiting login. [`Code::AuthenticationFailed`] counts against the connection: `Some` if that was one
    /// failure too many.
    pub fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd> {
        if !self.is_asked() {
            return None;
        }
        P::deny(self, denial, outbox);
        let was_login = matches!(std::mem::replace(&mut self.state, State::Command), State::Login);
        if !was_login || denial.code != Code::AuthenticationFailed {
            return None;
        }
        let end = self.meter.failure()?;
        self.say(Phrase::TooManyFailures, outbox);
        self.state = State::End;
        Some(end)
    }

    /// The provider accepted the waiting login: the dialogue interprets nothing any more.
    pub fn accepted(&mut self) {
        self.state = State::End;
    }

    /// Ends the dialogue from our side, with an answer to a waiting command.
    pub fn dismissed(&mut self, denial: &Denial, outbox: &mut Buffer) {
        if !matches!(self.state, State::End) {
            P::bye(self, denial, outbox);
            self.state = State::End;
        }
    }
}
