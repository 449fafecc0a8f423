//! The cleartext before TLS on a port of STLS.

use super::meaning::{turned_away, violation};
use super::response::{Lines, Status, code};
use crate::protocol::provider::ProviderDialogue;
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

impl ProviderDialogue for BeginTls {
    /// The server waits for the handshake.
    type Outcome = ();

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.lines.next(inbox)
    }

    fn hear(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<Option<()>, Refusal> {
        let answers = if self.asked { Answers::Command("STLS") } else { Answers::Connection };
        match Status::read(line)? {
            Status::Ok if self.asked => Ok(Some(())),
            Status::Ok => {
                outbox.push(b"STLS\r\n");
                self.asked = true;
                Ok(None)
            }
            Status::Err(text) if self.asked && code(text).is_none() => Err(violation("it offers no STLS")),
            Status::Err(text) => Err(turned_away(text, Heard::while_waiting_for(answers))),
            Status::Challenge(_) => Err(violation("it did not greet as a POP3 server does")),
        }
    }
}
