//! A look into a mailbox that was just signed in to: STAT, which deletes nothing and marks nothing as fetched.

use super::meaning::{refused, violation};
use super::response::{Lines, Status};
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// The command STAT and its answer.
#[derive(Default)]
pub(super) struct Stat {
    asked: bool,
    lines: Lines,
}

impl ProviderDialogue for Stat {
    type Outcome = ();

    fn begin(&mut self, outbox: &mut Buffer) {
        if !std::mem::replace(&mut self.asked, true) {
            outbox.push(b"STAT\r\n");
        }
    }

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.lines.next(inbox)
    }

    fn hear(&mut self, line: &[u8], _: &mut Buffer) -> Result<Option<()>, Refusal> {
        match Status::read(line)? {
            Status::Ok => Ok(Some(())),
            Status::Err(text) => Err(refused(text, Heard::while_waiting_for(Answers::Command("STAT")))),
            Status::Challenge(_) => Err(violation("it did not answer STAT as a POP3 server does")),
        }
    }
}
