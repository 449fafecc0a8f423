//! The ways in which a client logs in: USER and PASS (RFC 1939 §7), and AUTH (RFC 5034).
//!
//! Each ends in a [`Login`], which the caller decides. No earlier answer depends on the accounts that exist: USER
//! and AUTH check only the form.

use zeroize::Zeroizing;

use super::{Dialogue, STLS_FIRST, State};
use crate::protocol::dialogue::Event;
use crate::protocol::pop3::RECENT;
use crate::protocol::pop3::answer::{write_err, write_ok};
use crate::protocol::sasl::exchange::{Expects, NAME_LIMIT, Turn, WrongLine};
use crate::protocol::sasl::{secret_text_of, text_of};
use crate::protocol::{Channel, Login};
use crate::wire::Buffer;

impl Dialogue {
    /// The answer is the same whether the account exists or not.
    pub(super) fn user(&mut self, name: &[u8], outbox: &mut Buffer) {
        self.name = None;
        if self.channel == Channel::StartTls {
            return write_err(outbox, STLS_FIRST);
        }
        match name.len() {
            0 => write_err(outbox, "USER takes the user name"),
            1..=NAME_LIMIT => {
                self.name = Some(Zeroizing::new(name.to_vec()));
                write_ok(outbox, "Send the password");
            }
            _ => write_err(outbox, &WrongLine::NameTooLong.to_string()),
        }
    }

    pub(super) fn pass(&mut self, password: &[u8], outbox: &mut Buffer) -> Option<Event> {
        if self.channel == Channel::StartTls {
            write_err(outbox, STLS_FIRST);
            return None;
        }
        let Some(name) = self.name.take() else {
            write_err(outbox, "Say USER with the user name first");
            return None;
        };
        Some(self.login(Login { name: text_of(&name), password: secret_text_of(password) }))
    }

    pub(super) fn auth(
        &mut self,
        mechanism: &[u8],
        initial: Option<&[u8]>,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        self.name = None;
        if self.channel == Channel::StartTls {
            write_err(outbox, STLS_FIRST);
            return None;
        }
        let Some(expects) = Expects::first_of(mechanism) else {
            write_err(outbox, "Only the mechanism PLAIN, or USER and PASS, are supported here");
            return None;
        };
        match initial {
            // An empty initial response cannot be a login, so the challenge follows.
            None | Some(b"=") => self.ask(expects, outbox),
            Some(response) => self.response(expects, response, outbox),
        }
    }

    /// Sends the challenge that asks for the next line.
    fn ask(&mut self, expects: Expects, outbox: &mut Buffer) -> Option<Event> {
        for part in ["+ ", expects.challenge(), "\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.state = State::Sasl(expects);
        None
    }

    /// Reads a line of an AUTH exchange.
    pub(super) fn sasl(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match line {
            b"*" => {
                write_err(outbox, "AUTH cancelled");
                None
            }
            _ => self.response(expects, line, outbox),
        }
    }

    /// A SASL response in base64, initial or not.
    fn response(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match expects.take(line) {
            Turn::Ask(expects) => self.ask(expects, outbox),
            Turn::Login(login) => Some(self.login(login)),
            Turn::Wrong(wrong) => {
                write_err(outbox, &wrong.to_string());
                None
            }
        }
    }

    /// Hands a login out. The prefix for the provider is removed from the name.
    fn login(&mut self, mut login: Login) -> Event {
        let begins = login.name.get(..RECENT.len());
        self.recent = begins.is_some_and(|begin| begin.eq_ignore_ascii_case(RECENT));
        if self.recent {
            login.name.drain(..RECENT.len());
        }
        self.state = State::Login;
        Event::Login(login)
    }
}
