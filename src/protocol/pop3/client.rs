//! POP3's part of the dialogue with a client, from the greeting to its login.
//!
//! The AUTHORIZATION state (RFC 1939 §4) with USER and PASS, CAPA (RFC 2449), AUTH (RFC 5034) and STLS (RFC 2595).
//! No answer before the login depends on the accounts that exist: USER and AUTH check only the form.
//!
//! The greeting holds no `<…>`, so that no client tries APOP, for which the proxy would need the password itself.

use zeroize::Zeroizing;

use super::RECENT;
use super::answer::{write_denial, write_err, write_list, write_ok};
use super::command::{self, Command};
use crate::protocol::dialogue::{self, Event, Phrase, Speech};
use crate::protocol::line::without_end;
use crate::protocol::sasl::exchange::{NAME_LIMIT, WrongLine};
use crate::protocol::sasl::{secret_text_of, text_of};
use crate::protocol::{Channel, Denial, Login, Promises};
use crate::wire::Buffer;

/// Capabilities of our own refusals, listed besides those that all providers have.
const CODES: [&str; 2] = ["RESP-CODES", "AUTH-RESP-CODE"];

/// The dialogue with a client.
pub type Dialogue = dialogue::Dialogue<Pop3>;

/// POP3, and what its dialogue remembers about a client.
#[derive(Debug, Default)]
pub struct Pop3 {
    /// The argument of USER, until PASS comes.
    name: Option<Zeroizing<Vec<u8>>>,
    /// Whether the login's name began with `recent:`.
    recent: bool,
}

impl Speech for Pop3 {
    const PORT: &'static str = "a POP3 port";

    fn command(dialogue: &mut Dialogue, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match command::parse(without_end(line)) {
            Command::Capa => dialogue.list_capabilities(outbox),
            Command::User(name) => return dialogue.user(name, outbox),
            Command::Pass(password) => return dialogue.pass(password, outbox),
            Command::Mechanisms if dialogue.channel == Channel::StartTls => {
                return dialogue.say(Phrase::TlsFirst, outbox);
            }
            Command::Mechanisms => write_list(outbox, "Mechanisms follow", std::iter::once("PLAIN")),
            Command::Auth { mechanism, initial } => {
                dialogue.own.name = None;
                return dialogue.begin_sasl(mechanism, initial, outbox);
            }
            Command::Stls => return dialogue.start_tls(outbox),
            Command::StlsWithMore => write_err(outbox, "STLS takes no argument"),
            Command::Quit => return dialogue.log_out(outbox),
            Command::AfterLogin if dialogue.channel == Channel::StartTls => {
                write_err(outbox, "Say STLS first, then log in");
            }
            Command::AfterLogin => {
                write_err(outbox, "Log in first: set user name and app password in the mail program");
            }
            Command::Apop => write_err(outbox, "APOP is not offered here; use USER and PASS, or AUTH PLAIN"),
            Command::Unknown => write_err(outbox, "Unknown command"),
        }
        None
    }

    fn say(_: &Dialogue, phrase: Phrase, outbox: &mut Buffer) {
        let wrong = match phrase {
            Phrase::Greeting => return write_ok(outbox, "imap-oauth-proxy POP3 ready"),
            Phrase::BeginTls => return write_ok(outbox, "Begin TLS"),
            Phrase::Goodbye => return write_ok(outbox, "Closing the connection"),
            Phrase::Ask(challenge) => return outbox.push_parts(&["+ ", challenge, "\r\n"]),
            Phrase::Wrong(wrong) => return write_err(outbox, &wrong.to_string()),
            // The client has had an answer to its last line, and reads no other.
            Phrase::TooManyFailures => return,
            Phrase::Cancelled => "AUTH cancelled",
            Phrase::NoMechanism => "Only the mechanism PLAIN, or USER and PASS, are supported here",
            Phrase::TlsFirst => "Say STLS first: passwords are not read in cleartext here",
            Phrase::TlsIsActive => "TLS is active already",
            Phrase::NoTls => "STLS is not offered here",
            Phrase::Http => "This is a POP3 server",
            Phrase::TooMuch => "Too much before login",
        };
        write_err(outbox, wrong);
    }

    fn deny(_: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        write_denial(outbox, denial);
    }

    /// Writes one line, which answers the waiting login or the client's next line: POP3 has no other kind.
    fn bye(_: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        write_denial(outbox, denial);
    }

    /// Removes the prefix for the provider from the name.
    fn takes(&mut self, login: &mut Login) {
        let begins = login.name.get(..RECENT.len());
        self.recent = begins.is_some_and(|begin| begin.eq_ignore_ascii_case(RECENT));
        if self.recent {
            login.name.drain(..RECENT.len());
        }
    }
}

impl Dialogue {
    /// Whether the name of the login began with `recent:`, a prefix for the provider that is not part of the name.
    pub fn wants_recent(&self) -> bool {
        self.own.recent
    }

    /// Lists what every configured provider supports, because the client's own provider is not known yet.
    fn list_capabilities(&self, outbox: &mut Buffer) {
        let own: &[&str] = match self.channel {
            Channel::Tls | Channel::Cleartext => &["USER", "SASL PLAIN"],
            Channel::StartTls => &["STLS"],
        };
        let promised = self.promises().map(Promises::lines).unwrap_or_default().iter().map(String::as_str);
        let lines = promised.chain(CODES).chain(own.iter().copied());
        write_list(outbox, "Capability list follows", lines);
    }

    /// The answer is the same whether the account exists or not.
    fn user(&mut self, name: &[u8], outbox: &mut Buffer) -> Option<Event> {
        self.own.name = None;
        if self.channel == Channel::StartTls {
            return self.say(Phrase::TlsFirst, outbox);
        }
        match name.len() {
            0 => write_err(outbox, "USER takes the user name"),
            1..=NAME_LIMIT => {
                self.own.name = Some(Zeroizing::new(name.to_vec()));
                write_ok(outbox, "Send the password");
            }
            _ => return self.say(Phrase::Wrong(WrongLine::NameTooLong), outbox),
        }
        None
    }

    fn pass(&mut self, password: &[u8], outbox: &mut Buffer) -> Option<Event> {
        if self.channel == Channel::StartTls {
            return self.say(Phrase::TlsFirst, outbox);
        }
        let Some(name) = self.own.name.take() else {
            write_err(outbox, "Say USER with the user name first");
            return None;
        };
        Some(self.login(Login { name: text_of(&name), password: secret_text_of(password) }))
    }
}
