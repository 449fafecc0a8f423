//! The dialogue with a sender, from the greeting to its login: bytes in, events out.
//!
//! SMTP (RFC 5321) as far as a submission server (RFC 6409) speaks it before a login, with AUTH (RFC 4954),
//! STARTTLS (RFC 3207) and enhanced codes (RFC 2034). The machine takes whole lines from the inbox, writes replies
//! to the outbox and returns when it needs more bytes, or a decision. After a login the machine waits: bytes that
//! the client pipelined stay in the inbox, uninterpreted, until the login is denied (then the machine reads them)
//! or accepted (then the relay gets them).
//!
//! A device, whose address stands for an account, needs no login: its first MAIL asks for the session. That line
//! stays in the inbox for the relay, or is answered with a 4xx code and dropped.
//!
//! The habits of old senders are accepted: HELO or nothing before AUTH, lower case, a bare LF, `=` for an empty
//! response. Everything is bounded by [`Limits`]. Bytes of a line are wiped as soon as it is answered.

mod answers;
mod auth;
mod device;

use std::sync::Arc;

use self::device::Follows;
use super::command::{self, Command};
use super::reply::{NAME, write_deferral, write_denial, write_end, write_reply};
use crate::protocol::dialogue::{ClientDialogue, Event};
use crate::protocol::line::{LineSearch, is_http, trim_end};
use crate::protocol::meter::{Begins, Meter};
use crate::protocol::sasl::exchange::Expects;
use crate::protocol::{Channel, Code, Denial, DialogueEnd, Limits, Promises};
use crate::wire::Buffer;

/// The dialogue with a sender.
#[derive(Debug)]
pub struct Dialogue {
    channel: Channel,
    meter: Meter,
    promises: Arc<Promises>,
    /// Whether the client's address stands for an account.
    is_device: bool,
    /// The device's last MAIL was refused: commands that it pipelined behind MAIL are refused in the same way.
    mail_refused: bool,
    /// What the device sends next, if it sends without waiting for answers.
    follows: Follows,
    /// The device has sent MAIL before STARTTLS.
    mail_in_clear: bool,
    state: State,
    search: LineSearch,
    /// The client's name from EHLO or HELO, if it is a domain or an address literal.
    name: Option<String>,
    /// The client's name in any form, for the log.
    called: Option<String>,
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
    /// A device's MAIL waits for the proxy's decision; its line is still in the inbox.
    Mail,
    /// The MAIL was refused; its line is still to be dropped.
    Refused,
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
            is_device: false,
            mail_refused: false,
            follows: Follows::default(),
            mail_in_clear: false,
            state: State::New,
            search: LineSearch::default(),
            name: None,
            called: None,
        }
    }

    fn promise(&mut self, promises: &Arc<Promises>) {
        self.promises = promises.clone();
    }

    fn admit_device(&mut self) {
        self.is_device = true;
    }

    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event {
        loop {
            let event = match &self.state {
                State::New => {
                    outbox.push(b"220 ");
                    outbox.push(NAME.as_bytes());
                    outbox.push(b" ESMTP ready\r\n");
                    self.state = State::Command;
                    None
                }
                State::Command | State::Sasl(_) => self.line(inbox, outbox),
                State::Refused => {
                    self.drop_line(inbox);
                    None
                }
                // The caller did not answer the login, so the client gets this answer.
                State::Login | State::Mail => {
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

    fn client_called(&self) -> Option<&str> {
        self.called.as_deref()
    }

    fn device_spoke_in_clear(&self) -> bool {
        self.mail_in_clear
    }

    fn tls_started(&mut self) {
        self.mail_in_clear = false;
        self.channel = Channel::Tls;
        self.search = LineSearch::default();
        self.name = None;
        self.called = None;
        self.state = State::Command;
    }

    fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd> {
        match self.state {
            State::Mail => {
                write_deferral(outbox, denial);
                self.state = State::Refused;
                self.mail_refused = true;
                return None;
            }
            State::Login => write_denial(outbox, denial),
            _ => return None,
        }
        self.state = State::Command;
        if denial.code != Code::AuthenticationFailed {
            return None;
        }
        let end = self.meter.failure()?;
        write_reply(outbox, "421 4.7.0", "Too many failed logins");
        self.state = State::End;
        Some(end)
    }

    fn too_much(&mut self, outbox: &mut Buffer) -> DialogueEnd {
        self.limit("it sent more at once than is held before a login", outbox)
    }

    fn accepted(&mut self) {
        self.state = State::End;
    }

    fn bye(&mut self, denial: &Denial, outbox: &mut Buffer) {
        match std::mem::replace(&mut self.state, State::End) {
            State::Login => write_denial(outbox, denial),
            State::Mail => write_deferral(outbox, denial),
            State::New | State::Command | State::Sasl(_) | State::Refused | State::StartTls => {}
            State::End => return,
        }
        write_end(outbox, denial);
    }
}

impl Dialogue {
    /// The capabilities that EHLO promised.
    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// The client's name from EHLO or HELO, if it is a domain or an address literal.
    pub fn client_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether a login waits for its answer.
    pub fn has_login(&self) -> bool {
        matches!(self.state, State::Login)
    }

    /// Whether the MAIL of a device waits for its answer.
    pub fn has_mail(&self) -> bool {
        matches!(self.state, State::Mail)
    }

    /// Reads one line, or waits for the rest of it.
    fn line(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        match self.meter.begins(self.channel, inbox) {
            Begins::Foreign(end) => return Some(self.end(end)),
            Begins::Unclear => return Some(Event::More),
            Begins::Ours if self.is_chunk(inbox) => return Some(self.end_blind(outbox)),
            Begins::Ours => {}
        }
        let end = match self.meter.line(&mut self.search, inbox) {
            Ok(Some(end)) => end,
            Ok(None) => return Some(Event::More),
            Err(what) => return Some(Event::End(self.limit(what, outbox))),
        };
        let line = trim_end(inbox.get(..end).unwrap_or_default());
        let event = match std::mem::replace(&mut self.state, State::Command) {
            State::Sasl(expects) => self.sasl(expects, line, outbox),
            _ => self.command(line, outbox),
        };
        if let Some(Event::Send) = event {
            return event;
        }
        self.meter.take(end);
        inbox.consume(end);
        // The number of bytes behind STARTTLS is known only after the command is taken.
        match event {
            Some(Event::StartTls(_)) => Some(Event::StartTls(inbox.len())),
            other => other,
        }
    }

    fn command(&mut self, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        if is_http(line) {
            write_reply(outbox, "554 5.7.0", "This is a mail submission server");
            return Some(self.end(DialogueEnd::Http("a submission port")));
        }
        if let Err(what) = self.meter.command() {
            return Some(Event::End(self.limit(what, outbox)));
        }
        let command = command::parse(line);
        if self.is_body(&command) {
            return Some(self.end_blind(outbox));
        }
        match command {
            Command::Ehlo(name) => {
                self.named(name);
                self.greet(outbox);
            }
            Command::Helo(name) => {
                self.named(name);
                write_reply(outbox, "250", NAME);
            }
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial, outbox),
            Command::StartTls => return self.start_tls(outbox),
            Command::StartTlsWithMore => write_reply(outbox, "501 5.5.4", "STARTTLS takes no parameter"),
            Command::Noop => write_reply(outbox, "250 2.0.0", "OK"),
            Command::Rset => self.reset(outbox),
            Command::Help => write_reply(outbox, "214 2.0.0", "Log in with AUTH PLAIN or AUTH LOGIN"),
            Command::Quit => {
                write_reply(outbox, "221 2.0.0", "Closing the connection");
                return Some(self.end(DialogueEnd::Logout));
            }
            // On a STARTTLS listener a device must begin TLS first, like all clients.
            Command::Mail if self.is_device && self.channel != Channel::StartTls => {
                self.state = State::Mail;
                return Some(Event::Send);
            }
            Command::AfterLogin(command) if self.is_device && self.channel != Channel::StartTls => {
                self.refuse_recipient(command, outbox);
            }
            Command::Mail | Command::AfterLogin(_) => self.refuse_mail(outbox),
            Command::Unknown => write_reply(outbox, "500 5.5.1", "Unknown command"),
        }
        None
    }

    fn limit(&mut self, what: &'static str, outbox: &mut Buffer) -> DialogueEnd {
        write_reply(outbox, "421 4.7.0", "Too much before login");
        self.state = State::End;
        DialogueEnd::Limit(what)
    }

    fn end(&mut self, end: DialogueEnd) -> Event {
        self.state = State::End;
        Event::End(end)
    }
}
