//! AUTHENTICATE (RFC 3501 §6.2.2): PLAIN (RFC 4616) and the LOGIN of old Outlook, each with and without
//! an initial response (RFC 4959).

use zeroize::Zeroizing;

use super::{Dialogue, Event, State};
use crate::protocol::Login;
use crate::protocol::imap::answer::write_line;
use crate::protocol::imap::command;
use crate::protocol::sasl::{self, PlainError};
use crate::wire::Buffer;

/// Which line of an AUTHENTICATE exchange comes next.
#[derive(Debug)]
pub(super) enum Expects {
    Plain,
    LoginName,
    LoginPassword { name: Zeroizing<Vec<u8>> },
}

/// The longest user name that is kept while the password is asked for; an address has at most 254 bytes.
const NAME_LIMIT: usize = 1024;

const BASE64: &str = "BAD The line is not valid base64";

impl Dialogue {
    pub(super) fn authenticate(
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
            // No account has an empty name, so `=` gets the question.
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
    pub(super) fn sasl(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let Some(end) = self.framer.next_line(inbox) else { return self.more(inbox, outbox) };
        if let Some(end) = self.check(end, outbox) {
            return Some(end);
        }
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
            Expects::LoginName if decoded.len() > NAME_LIMIT => {
                write_line(outbox, &tag, "BAD The user name is too long");
                None
            }
            Expects::LoginName => self.ask(tag, Expects::LoginPassword { name: decoded }, outbox),
            Expects::LoginPassword { name } => {
                let login = Login { name: sasl::text_of(&name), password: sasl::secret_text_of(&decoded) };
                self.login(tag, login)
            }
        }
    }
}
