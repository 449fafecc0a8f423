//! AUTHENTICATE (RFC 3501 §6.2.2), with and without an initial response (RFC 4959).

use super::{Dialogue, Event, State};
use crate::protocol::imap::answer::{self, bad, no};
use crate::protocol::line::trim_end;
use crate::protocol::sasl::PlainError;
use crate::protocol::sasl::exchange::{Expects, Turn, WrongLine};
use crate::wire::Buffer;

impl Dialogue {
    pub(super) fn authenticate(
        &mut self,
        tag: &[u8],
        mechanism: &[u8],
        initial_response: Option<&[u8]>,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        let Some(expects) = Expects::first_of(mechanism) else {
            let only = "Only the mechanisms PLAIN and LOGIN are supported here";
            answer::write(outbox, tag, no("CANNOT", only));
            return None;
        };
        let tag = tag.to_vec();
        match (expects, initial_response) {
            // No account has an empty name, so `=` gets the challenge too.
            (Expects::LoginName, None | Some(b"=")) => self.ask(tag, Expects::LoginName, outbox),
            (expects, None) => self.ask(tag, expects, outbox),
            (expects, Some(b"=")) => self.response(tag, expects, b"", outbox),
            (expects, Some(response)) => self.response(tag, expects, response, outbox),
        }
    }

    /// Sends the challenge that asks for the next line.
    fn ask(&mut self, tag: Vec<u8>, expects: Expects, outbox: &mut Buffer) -> Option<Event> {
        for part in ["+ ", expects.challenge(), "\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.state = State::Sasl { tag, expects };
        None
    }

    /// Reads a line of an AUTHENTICATE exchange.
    pub(super) fn sasl(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let Some(end) = self.framer.next_line(inbox) else { return self.more(inbox, outbox) };
        if let Some(end) = self.check(end, outbox) {
            return Some(end);
        }
        let State::Sasl { tag, expects } = std::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        let line = trim_end(inbox.get(..end).unwrap_or_default());
        let event = match line {
            b"*" => {
                answer::write(outbox, &tag, bad("AUTHENTICATE cancelled"));
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
        match expects.take(line) {
            Turn::Ask(expects) => self.ask(tag, expects, outbox),
            Turn::Login(login) => self.login(tag, login),
            Turn::Wrong(wrong) => {
                let said = wrong.to_string();
                let answer = match wrong {
                    WrongLine::Plain(PlainError::OtherIdentity) => no("AUTHORIZATIONFAILED", &said),
                    _ => bad(&said),
                };
                answer::write(outbox, &tag, answer);
                None
            }
        }
    }
}
