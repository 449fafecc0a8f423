//! IMAP's part of the dialogue with a mail program, from the greeting to its login.
//!
//! RFC 3501 and 9051 in the not-authenticated state, with RFC 2971 (ID), 4959 (SASL-IR), 7888 (LITERAL+) and 5530
//! (response codes). A command may go on behind a literal, so commands are framed here, not read by lines; a refused
//! literal is dropped. Every answer has the tag of its command, which the sign-in at the provider uses too.

mod literal;

use zeroize::Zeroizing;

use super::answer::{self, Answer, bad, no, ok, write_bye, write_denial};
use super::command::{self, Command, Verb};
use crate::protocol::dialogue::{self, Event, Phrase, Speech, State};
use crate::protocol::framer::Framed;
use crate::protocol::sasl::PlainError;
use crate::protocol::sasl::exchange::WrongLine;
use crate::protocol::{Channel, Denial, Login, sasl};
use crate::wire::Buffer;
use literal::{Discard, Refused};

/// The dialogue with a mail program.
pub type Dialogue = dialogue::Dialogue<Imap>;

/// IMAP, and what its dialogue remembers about a mail program.
#[derive(Debug, Default)]
pub struct Imap {
    /// The tag of the last command; wiped, because a client that is out of step may send a password in its place.
    tag: Zeroizing<Vec<u8>>,
    /// The literal that is being dropped.
    discard: Option<Discard>,
    /// The last alert, which the user has read.
    alerted: Option<String>,
}

impl Speech for Imap {
    const PORT: &'static str = "an IMAP port";

    fn read(dialogue: &mut Dialogue, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        if dialogue.own.discard.is_some() {
            return dialogue.discard(inbox, outbox);
        }
        if let State::Sasl(_) = dialogue.state {
            return dialogue.read_line(inbox, outbox);
        }
        dialogue.begins(inbox).or_else(|| match dialogue.framer.next(inbox) {
            Framed::More => dialogue.more(inbox, outbox),
            Framed::Literal(literal) => {
                dialogue.check(literal.start, outbox).or_else(|| dialogue.literal(&literal, inbox, outbox))
            }
            Framed::Complete(end) => dialogue.read_to(end, inbox, outbox),
        })
    }

    fn command(dialogue: &mut Dialogue, input: &[u8], outbox: &mut Buffer) -> Option<Event> {
        let verb = dialogue.begin_command(input);
        let refusal = match verb {
            None => Some(Refused::Tag),
            Some(Verb::Login | Verb::Authenticate) if dialogue.channel == Channel::StartTls => {
                Some(Refused::Privacy)
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            return dialogue.answer(refusal.answer(), outbox);
        }
        match command::parse(input) {
            Some(command) => dialogue.obey(command, outbox),
            None if verb == Some(Verb::Other) => {
                dialogue.answer(bad("Unknown command, or not before login"), outbox)
            }
            None => dialogue.answer(bad("Syntax error in the command's arguments"), outbox),
        }
    }

    fn say(dialogue: &Dialogue, phrase: Phrase, outbox: &mut Buffer) {
        let answer = match phrase {
            Phrase::Greeting => return answer::write_greeting(outbox, dialogue.channel),
            Phrase::Ask(challenge) => return outbox.push_parts(&["+ ", challenge, "\r\n"]),
            Phrase::Http => return write_bye(outbox, None, "This is an IMAP server"),
            Phrase::TooMuch => return write_bye(outbox, None, "Too much before login"),
            Phrase::TooManyFailures => return write_bye(outbox, None, "Too many failed logins"),
            Phrase::Goodbye => {
                write_bye(outbox, None, "Logging out");
                ok("LOGOUT completed")
            }
            Phrase::BeginTls => ok("Begin TLS negotiation now"),
            Phrase::TlsIsActive => bad("TLS is active already"),
            Phrase::NoTls => bad("STARTTLS is not offered here"),
            Phrase::TlsFirst => Refused::Privacy.answer(),
            Phrase::NoMechanism => no("CANNOT", "Only the mechanisms PLAIN and LOGIN are supported here"),
            Phrase::Cancelled => bad("AUTHENTICATE cancelled"),
            Phrase::Wrong(wrong @ WrongLine::Plain(PlainError::OtherIdentity)) => {
                no("AUTHORIZATIONFAILED", &wrong.to_string())
            }
            Phrase::Wrong(wrong) => bad(&wrong.to_string()),
        };
        answer::write(outbox, &dialogue.own.tag, answer);
    }

    fn deny(dialogue: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        let Self { tag, alerted, .. } = &mut dialogue.own;
        write_denial(outbox, tag, denial, alerted);
    }

    fn bye(dialogue: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        if matches!(dialogue.state, State::Login | State::Sasl(_)) || dialogue.own.discard.is_some() {
            Self::deny(dialogue, denial, outbox);
        }
        write_bye(outbox, Some(denial.code), &denial.text);
    }
}

impl Dialogue {
    /// The tag of the waiting login, for the sign-in at the provider.
    pub(super) fn login_tag(&self) -> &[u8] {
        &self.own.tag
    }

    /// Keeps the tag of a command, and returns its verb; `None` if the tag is not valid.
    fn begin_command(&mut self, input: &[u8]) -> Option<Verb> {
        let head = command::head(input);
        // A new buffer, because one that grows leaves its old bytes behind.
        self.own.tag = Zeroizing::new(head.map_or(&b"*"[..], |(tag, _)| tag).to_vec());
        head.map(|(_, verb)| verb)
    }

    /// Answers the last command.
    fn answer(&self, answer: Answer, outbox: &mut Buffer) -> Option<Event> {
        answer::write(outbox, &self.own.tag, answer);
        None
    }

    fn obey(&mut self, command: Command<'_>, outbox: &mut Buffer) -> Option<Event> {
        match command {
            Command::Capability => {
                answer::write_capabilities(outbox, self.channel);
                self.answer(ok("CAPABILITY completed"), outbox)
            }
            Command::Noop => self.answer(ok("NOOP completed"), outbox),
            Command::Id { called } => {
                self.called = called.or(self.called.take());
                answer::write_id(outbox);
                self.answer(ok("ID completed"), outbox)
            }
            Command::Logout => self.log_out(outbox),
            Command::StartTls => self.start_tls(outbox),
            Command::Login { name, password } => Some(self.login(Login {
                name: sasl::text_of(name.bytes()),
                password: sasl::secret_text_of(password.bytes()),
            })),
            Command::Authenticate { mechanism, initial_response } => {
                // An empty response to PLAIN is wrong; no account has an empty name, so LOGIN's gets the challenge.
                let is_plain = mechanism.eq_ignore_ascii_case(b"PLAIN");
                let initial = initial_response.map(|line| if is_plain && line == b"=" { b"" } else { line });
                self.begin_sasl(mechanism, initial, outbox)
            }
        }
    }
}
