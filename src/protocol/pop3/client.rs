//! The dialogue with a client, from the greeting to its login: bytes in, events out.
//!
//! POP3's AUTHORIZATION state (RFC 1939 §4) with USER and PASS, CAPA (RFC 2449), AUTH (RFC 5034) and STLS (RFC
//! 2595). The machine takes whole lines from the inbox, writes answers to the outbox and returns when it needs
//! more bytes, or a decision. After a login the machine waits: bytes that the client pipelined stay in the inbox,
//! uninterpreted, until the login is denied (then the machine reads them) or accepted (then the relay gets them).
//!
//! The greeting holds no `<…>`, so that no client tries APOP, for which the proxy would need the password itself.
//! Everything is bounded by [`Limits`]. Bytes of a line are wiped as soon as it is answered.

mod login;

use std::sync::Arc;

use zeroize::Zeroizing;

use super::answer::{write_denial, write_err, write_list, write_ok};
use super::command::{self, Command};
use crate::protocol::dialogue::{ClientDialogue, Event};
use crate::protocol::line::{LineSearch, is_http, trim_end, without_end};
use crate::protocol::meter::{Begins, Meter};
use crate::protocol::sasl::exchange::Expects;
use crate::protocol::{Channel, Code, Denial, DialogueEnd, Limits, Promises};
use crate::wire::Buffer;

/// Capabilities of our own refusals, listed besides those that all providers have.
const CODES: [&str; 2] = ["RESP-CODES", "AUTH-RESP-CODE"];
const STLS_FIRST: &str = "Say STLS first: passwords are not read in cleartext here";

/// The dialogue with a client.
#[derive(Debug)]
pub struct Dialogue {
    channel: Channel,
    meter: Meter,
    promises: Arc<Promises>,
    state: State,
    search: LineSearch,
    /// The argument of USER, until PASS comes.
    name: Option<Zeroizing<Vec<u8>>>,
    /// Whether the login's name began with `recent:`.
    recent: bool,
}

#[derive(Debug)]
enum State {
    /// The greeting was not sent yet.
    New,
    /// Between commands, or within one.
    Command,
    /// An AUTH exchange waits for a line.
    Sasl(Expects),
    /// A login waits for the proxy's decision.
    Login,
    /// The client was told to begin TLS.
    StartTls,
    /// The dialogue has ended.
    End,
}

impl ClientDialogue for Dialogue {
    fn new(channel: Channel, limits: Limits) -> Self {
        Self {
            channel,
            meter: Meter::new(limits),
            promises: Arc::default(),
            state: State::New,
            search: LineSearch::default(),
            name: None,
            recent: false,
        }
    }

    fn promise(&mut self, promises: &Arc<Promises>) {
        self.promises = promises.clone();
    }

    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event {
        loop {
            let event = match &self.state {
                State::New => {
                    write_ok(outbox, "imap-oauth-proxy POP3 ready");
                    self.state = State::Command;
                    None
                }
                State::Command | State::Sasl(_) => self.line(inbox, outbox),
                // The caller did not answer the login, so the client gets this answer.
                State::Login => {
                    let denial =
                        Denial::new(Code::ServerBug, "The login was not decided; please report this");
                    self.denied(&denial, outbox).map(Event::End)
                }
                State::StartTls => Some(Event::StartTls(inbox.len())),
                State::End => Some(Event::End(DialogueEnd::Closed)),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn awaits_header(&self, inbox: &[u8]) -> bool {
        self.meter.awaits_header(inbox)
    }

    fn no_header(&mut self) {
        self.meter.no_header();
    }

    /// POP3 has no command in which a client names itself.
    fn client_called(&self) -> Option<&str> {
        None
    }

    fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.search = LineSearch::default();
        self.name = None;
        self.state = State::Command;
    }

    fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd> {
        if !self.has_login() {
            return None;
        }
        write_denial(outbox, denial);
        self.state = State::Command;
        if denial.code != Code::AuthenticationFailed {
            return None;
        }
        let end = self.meter.failure()?;
        self.state = State::End;
        Some(end)
    }

    fn too_much(&mut self, outbox: &mut Buffer) -> DialogueEnd {
        self.limit("it sent more at once than is held before a login", outbox)
    }

    fn accepted(&mut self) {
        self.state = State::End;
    }

    /// Writes one line, which answers the waiting login or the client's next line: POP3 has no other kind.
    fn bye(&mut self, denial: &Denial, outbox: &mut Buffer) {
        if !matches!(std::mem::replace(&mut self.state, State::End), State::End) {
            write_denial(outbox, denial);
        }
    }
}

impl Dialogue {
    /// Whether a login waits for its answer.
    pub fn has_login(&self) -> bool {
        matches!(self.state, State::Login)
    }

    /// Whether the name of the login began with `recent:`, a prefix for the provider that is not part of the name.
    pub fn wants_recent(&self) -> bool {
        self.recent
    }

    /// Reads one line, or waits for the rest of it.
    fn line(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        match self.meter.begins(self.channel, inbox) {
            Begins::Foreign(end) => return Some(self.end(end)),
            Begins::Unclear => return Some(Event::More),
            Begins::Ours => {}
        }
        let end = match self.meter.line(&mut self.search, inbox) {
            Ok(Some(end)) => end,
            Ok(None) => return Some(Event::More),
            Err(what) => return Some(Event::End(self.limit(what, outbox))),
        };
        let line = without_end(inbox.get(..end).unwrap_or_default());
        let event = match std::mem::replace(&mut self.state, State::Command) {
            State::Sasl(expects) => self.sasl(expects, trim_end(line), outbox),
            _ => self.command(line, outbox),
        };
        self.meter.take(end);
        inbox.consume(end);
        // The number of bytes behind STLS is known only after the command is taken.
        match event {
            Some(Event::StartTls(_)) => Some(Event::StartTls(inbox.len())),
            other => other,
        }
    }

    fn command(&mut self, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        if is_http(line) {
            write_err(outbox, "This is a POP3 server");
            return Some(self.end(DialogueEnd::Http("a POP3 port")));
        }
        if let Err(what) = self.meter.command() {
            return Some(Event::End(self.limit(what, outbox)));
        }
        match command::parse(line) {
            Command::Capa => self.list_capabilities(outbox),
            Command::User(name) => self.user(name, outbox),
            Command::Pass(password) => return self.pass(password, outbox),
            Command::Mechanisms if self.channel == Channel::StartTls => write_err(outbox, STLS_FIRST),
            Command::Mechanisms => write_list(outbox, "Mechanisms follow", std::iter::once("PLAIN")),
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial, outbox),
            Command::Stls => return self.start_tls(outbox),
            Command::StlsWithMore => write_err(outbox, "STLS takes no argument"),
            Command::Quit => {
                write_ok(outbox, "Closing the connection");
                return Some(self.end(DialogueEnd::Logout));
            }
            Command::AfterLogin => self.refuse_mail(outbox),
            Command::Apop => write_err(outbox, "APOP is not offered here; use USER and PASS, or AUTH PLAIN"),
            Command::Unknown => write_err(outbox, "Unknown command"),
        }
        None
    }

    /// Lists what every configured provider supports, because the client's own provider is not known yet.
    fn list_capabilities(&self, outbox: &mut Buffer) {
        let own: &[&str] = match self.channel {
            Channel::Tls | Channel::Cleartext => &["USER", "SASL PLAIN"],
            Channel::StartTls => &["STLS"],
        };
        let promised = self.promises.lines().iter().map(String::as_str);
        let lines = promised.chain(CODES).chain(own.iter().copied());
        write_list(outbox, "Capability list follows", lines);
    }

    fn refuse_mail(&self, outbox: &mut Buffer) {
        write_err(
            outbox,
            match self.channel {
                Channel::StartTls => "Say STLS first, then log in",
                Channel::Tls | Channel::Cleartext => {
                    "Log in first: set user name and app password in the mail program"
                }
            },
        );
    }

    fn start_tls(&mut self, outbox: &mut Buffer) -> Option<Event> {
        match self.channel {
            Channel::StartTls => {
                write_ok(outbox, "Begin TLS");
                self.state = State::StartTls;
                return Some(Event::StartTls(0));
            }
            Channel::Tls => write_err(outbox, "TLS is active already"),
            Channel::Cleartext => write_err(outbox, "STLS is not offered here"),
        }
        None
    }

    fn limit(&mut self, what: &'static str, outbox: &mut Buffer) -> DialogueEnd {
        write_err(outbox, "Too much before login");
        self.state = State::End;
        DialogueEnd::Limit(what)
    }

    fn end(&mut self, end: DialogueEnd) -> Event {
        self.state = State::End;
        Event::End(end)
    }
}
