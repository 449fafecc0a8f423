//! The dialogue with a mail program, from the greeting to its login: bytes in, events out.
//!
//! RFC 3501 and 9051 in the not-authenticated state, with RFC 2971 (ID), 4959 (SASL-IR), 7888
//! (LITERAL+) and 5530 (response codes). The machine takes complete commands from the inbox, writes
//! answers to the outbox and returns when it needs more bytes, or a decision. Behind a login
//! it stands still: what the client pipelined stays in the inbox, uninterpreted, until the login is denied
//! (then it goes on here) or accepted (then it is the relay's).
//!
//! Everything is bounded by [`Limits`]. Bytes of a command are wiped as soon as it is answered.

use zeroize::Zeroizing;

use super::command::{self, Command, Verb};
use super::framer::{Framed, Framer, Literal};
use super::{DialogueEnd, write_line};
use crate::protocol::denial::write_text;
use crate::protocol::sasl::{self, PlainError};
use crate::protocol::{Code, Denial, Login};
use crate::wire::Buffer;

/// What protects the connection below the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// TLS: logging in is welcome.
    Tls,
    /// Cleartext with STARTTLS on offer: logging in is refused before the password is asked for.
    StartTls,
    /// Cleartext without TLS, on loopback only: logging in is welcome.
    Cleartext,
}

impl Channel {
    /// What is true here before login (RFC 3501 §7.2.1). `LITERAL+` and not `LITERAL-`, because
    /// old programs know only the former; that a literal is too long may be said with either.
    fn capabilities(self) -> &'static str {
        match self {
            Self::Tls | Self::Cleartext => "IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN",
            Self::StartTls => "IMAP4rev1 LITERAL+ SASL-IR ID STARTTLS LOGINDISABLED",
        }
    }
}

/// What a client may cost before it is known.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one command, literals included, or of one line of a SASL exchange. 64 KiB: RFC 2683
    /// §3.2.1.5 asks for 8,000, and SASL messages are the longest lines that clients send.
    pub command: usize,
    /// Bytes of one literal. 4,096: as much as RFC 7888 §5 lets a client send unasked under
    /// `LITERAL-`, and far more than any password.
    pub literal: usize,
    /// Bytes until a login is accepted. 256 KiB: room for a few of the longest commands.
    pub bytes: usize,
    /// Commands until a login is accepted. 100: a careful client sends five, a retrying one twenty.
    pub commands: u32,
    /// Wrong passwords; the last one is answered and followed by BYE. 4: a typing error or two, and
    /// a collector's second and third password are forgiven.
    pub failed_logins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { command: 65_536, literal: 4096, bytes: 262_144, commands: 100, failed_logins: 4 }
    }
}

/// Why the machine stopped.
#[derive(Debug)]
pub enum Event {
    /// It needs more bytes than the inbox holds.
    More,
    /// A login, which [`Dialogue::denied`] or [`Dialogue::accepted`] answers.
    Login(Login),
    /// STARTTLS was agreed to, with so many bytes behind it that must not be interpreted.
    StartTls(usize),
    /// The dialogue is over; the outbox holds the last words.
    End(DialogueEnd),
}

/// The dialogue's state.
#[derive(Debug)]
pub struct Dialogue {
    channel: Channel,
    limits: Limits,
    state: State,
    framer: Framer,
    /// Bytes taken, commands begun and passwords refused so far; TLS does not forgive them.
    bytes: usize,
    commands: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    /// Nothing was said yet.
    New,
    /// Between commands, or within one.
    Command,
    /// Dropping so many bytes of an unwelcome literal and the rest of its command, then answering.
    Discard { left: u64, answer: Answer },
    /// In an AUTHENTICATE exchange that waits for a line.
    Sasl { tag: Vec<u8>, expects: Expects },
    /// A login was handed out.
    Login { tag: Vec<u8> },
    /// STARTTLS was handed out.
    StartTls,
    /// Over.
    End,
}

/// Which line of an AUTHENTICATE exchange comes next.
#[derive(Debug)]
enum Expects {
    Plain,
    LoginName,
    LoginPassword { name: Zeroizing<Vec<u8>> },
}

/// A tagged answer that waits for the end of its command.
#[derive(Debug)]
struct Answer {
    tag: Vec<u8>,
    refusal: Refused,
}

/// Why a command is refused where its end has not come yet.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Tag,
    Privacy,
    TooBig,
    NoLiteral,
}

impl Refused {
    fn text(self) -> &'static str {
        match self {
            Self::Tag => "BAD Invalid tag",
            Self::Privacy => {
                "NO [PRIVACYREQUIRED] Use STARTTLS first: passwords are not read in cleartext here"
            }
            Self::TooBig => "BAD [TOOBIG] The literal is too long",
            Self::NoLiteral => "BAD This command takes no literal before login",
        }
    }
}

/// CR and LF, which no limit counts.
const LINE_END: usize = 2;

const SYNTAX: &str = "BAD Syntax error in the command's arguments";
const BASE64: &str = "BAD The line is not valid base64";

impl Dialogue {
    /// A dialogue at its very beginning.
    pub fn new(channel: Channel, limits: Limits) -> Self {
        Self {
            channel,
            limits,
            state: State::New,
            framer: Framer::default(),
            bytes: 0,
            commands: 0,
            failures: 0,
        }
    }

    /// Works through the inbox until something is needed. Call it first with an empty inbox: it greets.
    pub fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event {
        loop {
            let event = match &mut self.state {
                State::New => {
                    self.greet(outbox);
                    None
                }
                State::Command => self.command(inbox, outbox),
                State::Discard { .. } => self.discard(inbox, outbox),
                State::Sasl { .. } => self.sasl(inbox, outbox),
                // Nobody answered: the client still gets its answer.
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

    /// Goes on in TLS: no greeting, no state (RFC 9051 §6.2.1); the counters stay.
    pub fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.framer = Framer::default();
        self.state = State::Command;
    }

    /// The tag of the login that waits, for the provider.
    pub fn login_tag(&self) -> Option<&[u8]> {
        match &self.state {
            State::Login { tag } => Some(tag),
            _ => None,
        }
    }

    /// Refuses the login that waits; `Some` where that was one too many.
    pub fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd> {
        let State::Login { tag } = std::mem::replace(&mut self.state, State::Command) else { return None };
        write_denial(outbox, &tag, denial);
        if denial.code != Code::AuthenticationFailed {
            return None;
        }
        self.failures += 1;
        if self.failures < self.limits.failed_logins {
            return None;
        }
        outbox.push(b"* BYE Too many failed logins\r\n");
        self.state = State::End;
        Some(DialogueEnd::FailedLogins(self.failures))
    }

    /// The login that waited was accepted by the provider: nothing is interpreted any more.
    pub fn accepted(&mut self) {
        self.state = State::End;
    }

    /// Ends from our side, with an answer to a command that waits for one.
    pub fn bye(&mut self, denial: &Denial, outbox: &mut Buffer) {
        match std::mem::replace(&mut self.state, State::End) {
            State::Login { tag }
            | State::Sasl { tag, .. }
            | State::Discard { answer: Answer { tag, .. }, .. } => {
                write_denial(outbox, &tag, denial);
            }
            State::New | State::Command | State::StartTls => {}
            State::End => return,
        }
        push_bye(outbox, denial);
    }

    fn greet(&mut self, outbox: &mut Buffer) {
        let capabilities = self.channel.capabilities();
        for part in ["* OK [CAPABILITY ", capabilities, "] imap-oauth-proxy ready\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.state = State::Command;
    }

    /// One command, or as much of it as there is.
    fn command(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        if self.channel != Channel::Tls && inbox.starts_with(&[0x16, 0x03]) {
            return self.end(DialogueEnd::TlsHello);
        }
        match self.framer.next(inbox) {
            Framed::More if inbox.is_empty() => Some(Event::More),
            Framed::More => self.may_grow(inbox, outbox),
            Framed::Literal(literal) => self.literal(&literal, inbox, outbox),
            Framed::Complete(end) if end > self.limits.command + LINE_END => self.too_long(outbox),
            Framed::Complete(end) => self.complete(end, inbox, outbox),
        }
    }

    /// Another read, unless the client has used up what it may send.
    fn may_grow(&mut self, inbox: &Buffer, outbox: &mut Buffer) -> Option<Event> {
        if inbox.len() >= self.limits.command + LINE_END {
            return self.too_long(outbox);
        }
        if self.bytes + inbox.len() > self.limits.bytes {
            return self.limit("it sent too many bytes without logging in", outbox);
        }
        Some(Event::More)
    }

    /// A literal is announced: asked for, or refused before its bytes are (RFC 3501 §4.3, 7888 §4).
    fn literal(&mut self, literal: &Literal, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let (tag, refusal) = match command::head(inbox) {
            Some((tag, verb)) => (tag, self.refuses(literal, verb)),
            None => (&b"*"[..], Some(Refused::Tag)),
        };
        let Some(refusal) = refusal else {
            if literal.waits {
                outbox.push(b"+ Go ahead\r\n");
            }
            self.framer.skip(literal);
            return None;
        };
        let answer = Answer { tag: tag.to_vec(), refusal };
        self.take(literal.start, inbox);
        self.count_command(outbox).or_else(|| self.refuse(literal, answer, outbox))
    }

    fn refuses(&self, literal: &Literal, verb: Verb) -> Option<Refused> {
        if verb == Verb::Login && self.channel == Channel::StartTls {
            return Some(Refused::Privacy);
        }
        if !verb.takes_literals() {
            return Some(Refused::NoLiteral);
        }
        let room = self.limits.command.saturating_sub(literal.start).min(self.limits.literal);
        (literal.size > room as u64).then_some(Refused::TooBig)
    }

    /// Answers at once where the client waits, and behind the literal where it does not.
    fn refuse(&mut self, literal: &Literal, answer: Answer, outbox: &mut Buffer) -> Option<Event> {
        if literal.waits {
            write_line(outbox, &answer.tag, answer.refusal.text());
            self.state = State::Command;
            return None;
        }
        if literal.size > self.limits.bytes.saturating_sub(self.bytes) as u64 {
            write_line(outbox, &answer.tag, answer.refusal.text());
            return self.limit("it announced more bytes than it may send without logging in", outbox);
        }
        self.state = State::Discard { left: literal.size, answer };
        None
    }

    /// Drops an unwelcome literal as it comes, and then the rest of its command, further literals included.
    fn discard(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let State::Discard { left, .. } = &mut self.state else { return None };
        let dropped = usize::try_from(*left).unwrap_or(usize::MAX).min(inbox.len());
        *left -= dropped as u64;
        let left = *left;
        self.take(dropped, inbox);
        if left > 0 {
            return self.may_grow(inbox, outbox);
        }
        let end = match self.framer.next(inbox) {
            Framed::More => return self.may_grow(inbox, outbox),
            Framed::Literal(literal) => {
                self.take(literal.start, inbox);
                let State::Discard { answer, .. } = std::mem::replace(&mut self.state, State::Command) else {
                    return None;
                };
                return self.refuse(&literal, answer, outbox);
            }
            Framed::Complete(end) => end,
        };
        self.take(end, inbox);
        if let State::Discard { answer, .. } = std::mem::replace(&mut self.state, State::Command) {
            write_line(outbox, &answer.tag, answer.refusal.text());
        }
        None
    }

    /// A whole command lies in the inbox.
    fn complete(&mut self, end: usize, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let command = inbox.get(..end).unwrap_or_default();
        if is_http(command) {
            outbox.push(b"* BYE This is an IMAP server\r\n");
            return self.end(DialogueEnd::Http);
        }
        let event = self.count_command(outbox).or_else(|| self.answer(command, outbox));
        self.take(end, inbox);
        // Only known once the command itself is taken.
        match event {
            Some(Event::StartTls(_)) => Some(Event::StartTls(inbox.len())),
            other => other,
        }
    }

    fn answer(&mut self, input: &[u8], outbox: &mut Buffer) -> Option<Event> {
        let Some((tag, verb)) = command::head(input) else {
            write_line(outbox, b"*", Refused::Tag.text());
            return None;
        };
        if self.channel == Channel::StartTls && matches!(verb, Verb::Login | Verb::Authenticate) {
            write_line(outbox, tag, Refused::Privacy.text());
            return None;
        }
        let Some(command) = command::parse(input) else {
            let text = if verb == Verb::Other { "BAD Unknown command, or not before login" } else { SYNTAX };
            write_line(outbox, tag, text);
            return None;
        };
        match command {
            Command::Capability => {
                for part in ["* CAPABILITY ", self.channel.capabilities(), "\r\n"] {
                    outbox.push(part.as_bytes());
                }
                write_line(outbox, tag, "OK CAPABILITY completed");
                None
            }
            Command::Noop => {
                write_line(outbox, tag, "OK NOOP completed");
                None
            }
            Command::Id => {
                // RFC 2971 §5: who stands in between shows itself.
                outbox.push(b"* ID (\"name\" \"imap-oauth-proxy\")\r\n");
                write_line(outbox, tag, "OK ID completed");
                None
            }
            Command::Logout => {
                outbox.push(b"* BYE Logging out\r\n");
                write_line(outbox, tag, "OK LOGOUT completed");
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
                write_line(outbox, tag, "OK Begin TLS negotiation now");
                self.state = State::StartTls;
                Some(Event::StartTls(0))
            }
            Channel::Tls => {
                write_line(outbox, tag, "BAD TLS is active already");
                None
            }
            Channel::Cleartext => {
                write_line(outbox, tag, "BAD STARTTLS is not offered here");
                None
            }
        }
    }

    fn authenticate(
        &mut self,
        tag: &[u8],
        mechanism: &[u8],
        initial_response: Option<&[u8]>,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        let expects = if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            Expects::Plain
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            Expects::LoginName
        } else {
            write_line(outbox, tag, "NO [CANNOT] Only the mechanisms PLAIN and LOGIN are supported here");
            return None;
        };
        let tag = tag.to_vec();
        match (expects, initial_response) {
            // An empty name is nobody's, so `=` gets the question.
            (Expects::LoginName, None | Some(b"=")) => self.ask(tag, Expects::LoginName, outbox),
            (expects, None) => self.ask(tag, expects, outbox),
            (expects, Some(b"=")) => self.response(tag, expects, b"", outbox),
            (expects, Some(response)) => self.response(tag, expects, response, outbox),
        }
    }

    /// Sends the challenge that asks for the next line.
    fn ask(&mut self, tag: Vec<u8>, expects: Expects, outbox: &mut Buffer) -> Option<Event> {
        outbox.push(match &expects {
            Expects::Plain => b"+ \r\n",
            // "Username:" and "Password:", by which old programs recognise the step.
            Expects::LoginName => b"+ VXNlcm5hbWU6\r\n",
            Expects::LoginPassword { .. } => b"+ UGFzc3dvcmQ6\r\n",
        });
        self.state = State::Sasl { tag, expects };
        None
    }

    /// A line of an AUTHENTICATE exchange.
    fn sasl(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let Some(end) = self.framer.next_line(inbox) else {
            return self.may_grow(inbox, outbox);
        };
        let State::Sasl { tag, expects } = std::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        let line = command::trim_end(inbox.get(..end).unwrap_or_default());
        let event = match line {
            b"*" => {
                write_line(outbox, &tag, "BAD AUTHENTICATE cancelled");
                None
            }
            _ => self.response(tag, expects, line, outbox),
        };
        self.take(end, inbox);
        event
    }

    /// A SASL response in base64, initial or not.
    fn response(
        &mut self,
        tag: Vec<u8>,
        expects: Expects,
        line: &[u8],
        outbox: &mut Buffer,
    ) -> Option<Event> {
        let Some(decoded) = sasl::decode_base64(line) else {
            write_line(outbox, &tag, BASE64);
            return None;
        };
        match expects {
            Expects::Plain => match sasl::decode_plain(&decoded) {
                Ok(login) => self.login(tag, login),
                Err(error @ PlainError::Malformed) => {
                    write_line(outbox, &tag, &format!("BAD {error}"));
                    None
                }
                Err(error @ PlainError::OtherIdentity) => {
                    write_line(outbox, &tag, &format!("NO [AUTHORIZATIONFAILED] {error}"));
                    None
                }
            },
            Expects::LoginName => self.ask(tag, Expects::LoginPassword { name: decoded }, outbox),
            Expects::LoginPassword { name } => {
                let login = Login { name: sasl::text_of(&name), password: sasl::secret_text_of(&decoded) };
                self.login(tag, login)
            }
        }
    }

    fn login(&mut self, tag: Vec<u8>, login: Login) -> Option<Event> {
        self.state = State::Login { tag };
        Some(Event::Login(login))
    }

    /// Takes `count` bytes from the inbox for good; the next command begins behind them.
    fn take(&mut self, count: usize, inbox: &mut Buffer) {
        self.bytes += count;
        self.framer = Framer::default();
        inbox.consume(count);
    }

    fn count_command(&mut self, outbox: &mut Buffer) -> Option<Event> {
        self.commands += 1;
        if self.commands > self.limits.commands {
            return self.limit("it sent too many commands without logging in", outbox);
        }
        if self.bytes > self.limits.bytes {
            return self.limit("it sent too many bytes without logging in", outbox);
        }
        None
    }

    fn too_long(&mut self, outbox: &mut Buffer) -> Option<Event> {
        self.limit("it sent a line that is too long", outbox)
    }

    fn limit(&mut self, what: &'static str, outbox: &mut Buffer) -> Option<Event> {
        outbox.push(b"* BYE Too much before login\r\n");
        self.end(DialogueEnd::Limit(what))
    }

    fn end(&mut self, end: DialogueEnd) -> Option<Event> {
        self.state = State::End;
        Some(Event::End(end))
    }
}

/// Whether a browser or a probe speaks: `GET / HTTP/1.1`.
fn is_http(line: &[u8]) -> bool {
    let mut words = command::trim_end(line).split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    !method.is_empty()
        && method.iter().all(u8::is_ascii_uppercase)
        && words.next_back().is_some_and(|version| version.starts_with(b"HTTP/"))
        && words.count() == 1
}

fn write_denial(outbox: &mut Buffer, tag: &[u8], denial: &Denial) {
    if denial.alert {
        outbox.push(b"* NO [ALERT] ");
        write_text(outbox, &denial.text);
        outbox.push(b"\r\n");
    }
    outbox.push(tag);
    outbox.push(b" NO [");
    outbox.push(denial.code.name().as_bytes());
    outbox.push(b"] ");
    write_text(outbox, &denial.text);
    outbox.push(b"\r\n");
}

/// `* BYE [CODE] text`.
pub(super) fn push_bye(outbox: &mut Buffer, denial: &Denial) {
    outbox.push(b"* BYE [");
    outbox.push(denial.code.name().as_bytes());
    outbox.push(b"] ");
    write_text(outbox, &denial.text);
    outbox.push(b"\r\n");
}
