//! The cleartext before TLS on a port of STLS.

use super::meaning::{turned_away, violation};
use super::response::{Lines, Status, code};
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// The cleartext before TLS on a port of STLS: greeting -> STLS -> `+OK`.
#[derive(Default)]
pub struct BeginTls {
    /// Whether STLS was sent.
    asked: bool,
    lines: Lines,
}

impl BeginTls {
    /// Processes the inbox; true once the server waits for the handshake.
    pub fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<bool, Refusal> {
        while let Some(end) = self.lines.next(inbox)? {
            let ready = self.line(inbox.get(..end).unwrap_or_default(), outbox)?;
            inbox.consume(end);
            if ready {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn line(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<bool, Refusal> {
        let answers = if self.asked { Answers::Command("STLS") } else { Answers::Connection };
        match Status::read(line)? {
            Status::Ok if self.asked => Ok(true),
            Status::Ok => {
                outbox.push(b"STLS\r\n");
                self.asked = true;
                Ok(false)
            }
            Status::Err(text) if self.asked && code(text).is_none() => Err(violation("it offers no STLS")),
            Status::Err(text) => Err(turned_away(text, Heard::while_waiting_for(answers))),
            Status::Challenge(_) => Err(violation("it did not greet as a POP3 server does")),
        }
    }
}
