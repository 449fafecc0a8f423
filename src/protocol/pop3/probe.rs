//! A look into a mailbox that was just signed in to: STAT, which deletes nothing and marks nothing as fetched.

use super::meaning::{refused, violation};
use super::response::{Lines, Status};
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// The command STAT and its answer.
#[derive(Default)]
pub(super) struct Stat {
    asked: bool,
    lines: Lines,
}

impl Stat {
    /// Processes the inbox until the answer is there.
    pub(super) fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Option<()>, Refusal> {
        if !self.asked {
            outbox.push(b"STAT\r\n");
            self.asked = true;
        }
        let Some(end) = self.lines.next(inbox)? else { return Ok(None) };
        let answers = Heard::while_waiting_for(Answers::Command("STAT"));
        let outcome = match Status::read(inbox.get(..end).unwrap_or_default())? {
            Status::Ok => Ok(Some(())),
            Status::Err(text) => Err(refused(text, answers)),
            Status::Challenge(_) => Err(violation("it did not answer STAT as a POP3 server does")),
        };
        inbox.consume(end);
        outcome
    }
}
