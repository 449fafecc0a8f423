//! The dialogue with a mail program, from the greeting to its login: bytes in, events out.
//!
//! RFC 3501 and 9051 in the not-authenticated state, with RFC 2971 (ID), 4959 (SASL-IR), 7888 (LITERAL+) and 5530
//! (response codes). The machine takes complete commands from the inbox, writes answers to the outbox and returns
//! when it needs more bytes, or a decision. After a login the machine waits: bytes that the client pipelined stay
//! in the inbox, uninterpreted, until the login is denied (then the machine reads them) or accepted (then the
//! relay gets them).
//!
//! Everything is bounded by [`Limits`]. Bytes of a command are wiped as soon as it is answered.

mod exchange;
mod literal;

use super::answer::{self, bad, ok, write_denial};
use super::command::{self, Command, Verb};
use super::framer::{Framed, Framer};
use crate::protocol::dialogue::{ClientDialogue, Event};
use crate::protocol::line::is_http;
use crate::protocol::meter::{Begins, Meter};
use crate::protocol::sasl::exchange::Expects;
use crate::protocol::{Channel, Code, Denial, DialogueEnd, Limits, Login, sasl};
use crate::wire::Buffer;
use literal::{OwedAnswer, Refused};

/// The dialogue with a mail program.
#[derive(Debug)]
pub struct Dialogue {
    channel: Channel,
    meter: Meter,
    state: State,
    framer: Framer,
    /// The last alert, which the user has read.
    alerted: Option<String>,
    /// The name that the client has given itself.
    called: Option<String>,
}

#[derive(Debug)]
enum State {
    /// The greeting was not sent yet.
    New,
    /// Between commands, or within one.
    Command,
    /// Drops the `left` bytes of a refused literal and the rest of its command, then answers.
    Discard { left: u64, answer: OwedAnswer },
    /// An AUTHENTICATE exchange waits for a line.
    Sasl { tag: Vec<u8>, expects: Expects },
    /// A login waits for the proxy's decision.
    Login { tag: Vec<u8> },
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
            state: State::New,
            framer: Framer::default(),
            alerted: None,
            called: None,
        }
    }

    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event {
        loop {
            let event = match &mut self.state {
                State::New => {
                    self.greet(outbox);
                    None
                }
                State::Command => self.command(inbox, outbox),
                State::Discard { .. } => self.discard(inbox, outbox),
                State::Sasl { .. } => self.sasl(inbox, outbox),
                // The caller did not answer the login, so the client gets this answer.
                State::Login { .. } => {
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

    fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.called = None;
        self.framer = Framer::default();
        self.state = State::Command;
    }

    fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd> {
        let State::Login { tag } = &self.state else { return None };
        write_denial(outbox, tag, denial, &mut self.alerted);
        self.state = State::Command;
        if denial.code != Code::AuthenticationFailed {
            return None;
        }
        let end = self.meter.failure()?;
        answer::write_bye(outbox, None, "Too many failed logins");
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
            State::Login { tag }
            | State::Sasl { tag, .. }
            | State::Discard { answer: OwedAnswer { tag, .. }, .. } => {
                write_denial(outbox, &tag, denial, &mut self.alerted);
            }
            State::New | State::Command | State::StartTls => {}
            State::End => return,
        }
        answer::write_bye(outbox, Some(denial.code), &denial.text);
    }
}

impl Dialogue {
    /// The tag of the waiting login, for the sign-in at the provider.
    pub fn login_tag(&self) -> Option<&[u8]> {
        match &self.state {
            State::Login { tag } => Some(tag),
            _ => None,
        }
    }

    fn greet(&mut self, outbox: &mut Buffer) {
        answer::write_greeting(outbox, self.channel);
        self.state = State::Command;
    }

    /// Reads one command, or waits for the rest of it.
    fn command(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        match self.meter.begins(self.channel, inbox) {
            Begins::Foreign(end) => return self.end(end),
            Begins::Unclear => return Some(Event::More),
            Begins::Ours => {}
        }
        match self.framer.next(inbox) {
            Framed::More if inbox.is_empty() => Some(Event::More),
            Framed::More => self.more(inbox, outbox),
            Framed::Literal(literal) => {
                self.check(literal.start, outbox).or_else(|| self.literal(&literal, inbox, outbox))
            }
            Framed::Complete(end) => self.check(end, outbox).or_else(|| self.complete(end, inbox, outbox)),
        }
    }

    /// Asks for another read, unless even one more byte would be too many.
    fn more(&mut self, inbox: &Buffer, outbox: &mut Buffer) -> Option<Event> {
        self.check(inbox.len() + 1, outbox).or(Some(Event::More))
    }

    /// Ends the dialogue if `size` bytes of one command are too many.
    fn check(&mut self, size: usize, outbox: &mut Buffer) -> Option<Event> {
        self.meter.check(size).err().map(|what| Event::End(self.limit(what, outbox)))
    }

    /// Handles a whole command.
    fn complete(&mut self, end: usize, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let command = inbox.get(..end).unwrap_or_default();
        if is_http(command) {
            answer::write_bye(outbox, None, "This is an IMAP server");
            return self.end(DialogueEnd::Http("an IMAP port"));
        }
        let event = self.count_command(outbox).or_else(|| self.answer(command, outbox));
        self.take(end, inbox);
        // The number of bytes behind STARTTLS is known only after the command is taken.
        match event {
            Some(Event::StartTls(_)) => Some(Event::StartTls(inbox.len())),
            other => other,
        }
    }

    fn answer(&mut self, input: &[u8], outbox: &mut Buffer) -> Option<Event> {
        let Some((tag, verb)) = command::head(input) else {
            answer::write(outbox, b"*", Refused::Tag.answer());
            return None;
        };
        if self.channel == Channel::StartTls && matches!(verb, Verb::Login | Verb::Authenticate) {
            answer::write(outbox, tag, Refused::Privacy.answer());
            return None;
        }
        let Some(command) = command::parse(input) else {
            let wrong = match verb {
                Verb::Other => "Unknown command, or not before login",
                _ => "Syntax error in the command's arguments",
            };
            answer::write(outbox, tag, bad(wrong));
            return None;
        };
        match command {
            Command::Capability => {
                answer::write_capabilities(outbox, self.channel);
                answer::write(outbox, tag, ok("CAPABILITY completed"));
                None
            }
            Command::Noop => {
                answer::write(outbox, tag, ok("NOOP completed"));
                None
            }
            Command::Id { called } => {
                self.called = called.or(self.called.take());
                answer::write_id(outbox);
                answer::write(outbox, tag, ok("ID completed"));
                None
            }
            Command::Logout => {
                answer::write_bye(outbox, None, "Logging out");
                answer::write(outbox, tag, ok("LOGOUT completed"));
                self.end(DialogueEnd::Logout)
            }
            Command::StartTls => self.start_tls(tag, outbox),
            Command::Login { name, password } => {
                let login = Login {
                    name: sasl::text_of(name.bytes()),
                    password: sasl::secret_text_of(password.bytes()),
                };
                self.login(tag.to_vec(), login)
            }
            Command::Authenticate { mechanism, initial_response } => {
                self.authenticate(tag, mechanism, initial_response, outbox)
            }
        }
    }

    fn start_tls(&mut self, tag: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match self.channel {
            Channel::StartTls => {
                answer::write(outbox, tag, ok("Begin TLS negotiation now"));
                self.state = State::StartTls;
                Some(Event::StartTls(0))
            }
            Channel::Tls => {
                answer::write(outbox, tag, bad("TLS is active already"));
                None
            }
            Channel::Cleartext => {
                answer::write(outbox, tag, bad("STARTTLS is not offered here"));
                None
            }
        }
    }

    fn login(&mut self, tag: Vec<u8>, login: Login) -> Option<Event> {
        self.state = State::Login { tag };
        Some(Event::Login(login))
    }

    /// Removes `count` bytes from the inbox; the next command begins behind them.
    fn take(&mut self, count: usize, inbox: &mut Buffer) {
        self.meter.take(count);
        self.framer = Framer::default();
        inbox.consume(count);
    }

    fn count_command(&mut self, outbox: &mut Buffer) -> Option<Event> {
        self.meter.command().err().map(|what| Event::End(self.limit(what, outbox)))
    }

    fn limit(&mut self, what: &'static str, outbox: &mut Buffer) -> DialogueEnd {
        answer::write_bye(outbox, None, "Too much before login");
        self.state = State::End;
        DialogueEnd::Limit(what)
    }

    fn end(&mut self, end: DialogueEnd) -> Option<Event> {
        self.state = State::End;
        Some(Event::End(end))
    }
}
