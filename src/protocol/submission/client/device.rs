//! A device that needs no login: what it says around a MAIL that was refused.
//!
//! Some devices write a whole message without waiting for answers. Behind a refused DATA or BDAT the message itself
//! would then be read as commands, and a line of it that looks like MAIL would begin another message in the account's
//! name. So what cannot come from a client that has read the refusal ends the connection.

use super::{Dialogue, Submission};
use crate::protocol::DialogueEnd;
use crate::protocol::dialogue::Event;
use crate::protocol::submission::command::{AfterLogin, Command};
use crate::protocol::submission::reply::write_reply;
use crate::wire::Buffer;

/// What follows the last command of a device that does not wait for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Follows {
    #[default]
    Command,
    /// The lines of a message.
    Lines,
    /// The bytes of a chunk.
    Chunk,
}

impl Dialogue {
    /// Drops the line of a refused MAIL, which must not be read a second time.
    pub(super) fn drop_refused_line(&mut self, inbox: &mut Buffer) {
        if std::mem::take(&mut self.own.drops_line)
            && let Some(end) = self.framer.next_line(inbox)
        {
            self.take(end, inbox);
        }
    }

    /// Ends the connection if `inbox` begins with the bytes of a chunk that was refused.
    pub(super) fn chunk(&mut self, inbox: &[u8], outbox: &mut Buffer) -> Option<Event> {
        let is_chunk = self.own.follows == Follows::Chunk && !inbox.is_empty();
        is_chunk.then(|| self.end_blind(outbox))
    }

    /// Ends the connection of a device that sends a message in spite of the refusal.
    pub(super) fn end_blind(&mut self, outbox: &mut Buffer) -> Event {
        write_reply(outbox, "421 4.7.0", "The message was refused; connect again later");
        self.end(DialogueEnd::Limit("it sent a message without waiting for the answers, which refused it"))
    }
}

impl Submission {
    /// Answers a command that needs a MAIL that was passed on, of a device that has none.
    pub(super) fn refuse_recipient(&mut self, command: AfterLogin, outbox: &mut Buffer) {
        self.follows = match command {
            AfterLogin::Data => Follows::Lines,
            AfterLogin::Bdat { chunk: true } => Follows::Chunk,
            _ => Follows::Command,
        };
        match (self.mail_refused, command) {
            (true, _) => write_reply(outbox, "451 4.7.0", "MAIL was refused; try again later"),
            (false, AfterLogin::Verify) => write_reply(outbox, "252 2.5.2", "Say MAIL and RCPT to find out"),
            (false, AfterLogin::Query) => write_reply(outbox, "502 5.5.1", "This is not offered here"),
            (false, _) => write_reply(outbox, "503 5.5.1", "Say MAIL first"),
        }
    }

    /// Whether `command` may be the first line of a message that was refused: whether it is none of those with which a
    /// client goes on behind a refusal.
    pub(super) fn is_body(&mut self, command: &Command<'_>) -> bool {
        let goes_on = matches!(
            command,
            Command::Rset | Command::Quit | Command::Noop | Command::Ehlo(_) | Command::Helo(_)
        );
        std::mem::take(&mut self.follows) == Follows::Lines && !goes_on
    }
}
