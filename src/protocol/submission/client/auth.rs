//! AUTH (RFC 4954): the exchange up to a login.

use super::{Dialogue, State};
use crate::protocol::Channel;
use crate::protocol::dialogue::Event;
use crate::protocol::sasl::exchange::{Expects, Turn};
use crate::protocol::submission::reply::write_reply;
use crate::wire::Buffer;

impl Dialogue {
    pub(super) fn auth(
        &mut self,
        mechanism: &[u8],
        initial: Option<&[u8]>,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        if self.channel == Channel::StartTls {
            let text = "Say STARTTLS first: passwords are not read in cleartext here";
            write_reply(outbox, "530 5.7.0", text);
            return None;
        }
        let Some(expects) = Expects::first_of(mechanism) else {
            write_reply(outbox, "504 5.5.4", "Only the mechanisms PLAIN and LOGIN are supported here");
            return None;
        };
        match initial {
            // An empty initial response cannot be a login, so the challenge follows.
            None | Some(b"=") => self.ask(expects, outbox),
            Some(response) => self.response(expects, response, outbox),
        }
    }

    /// Sends the challenge that asks for the next line.
    pub(super) fn ask(&mut self, expects: Expects, outbox: &mut Buffer) -> Option<Event> {
        for part in ["334 ", expects.challenge(), "\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.state = State::Sasl(expects);
        None
    }

    /// Reads a line of an AUTH exchange.
    pub(super) fn sasl(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match line {
            b"*" => {
                write_reply(outbox, "501 5.7.0", "AUTH cancelled");
                None
            }
            _ => self.response(expects, line, outbox),
        }
    }

    /// A SASL response in base64, initial or not.
    pub(super) fn response(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match expects.take(line) {
            Turn::Ask(expects) => self.ask(expects, outbox),
            Turn::Login(login) => {
                self.state = State::Login;
                Some(Event::Login(login))
            }
            Turn::Wrong(wrong) => {
                write_reply(outbox, "501 5.5.2", &wrong.to_string());
                None
            }
        }
    }
}
