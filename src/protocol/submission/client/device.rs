//! A device that needs no login: what it says around a MAIL that was refused.

use super::{Dialogue, State};
use crate::protocol::submission::reply::write_reply;
use crate::wire::Buffer;

impl Dialogue {
    /// Drops the line of a refused MAIL, which must not be read a second time.
    pub(super) fn drop_line(&mut self, inbox: &mut Buffer) {
        if let Some(end) = self.search.next(inbox) {
            self.meter.take(end);
            inbox.consume(end);
        }
        self.state = State::Command;
    }

    /// What a device says without a MAIL that goes up.
    pub(super) fn refuse_recipient(&self, outbox: &mut Buffer) {
        match self.mail_refused {
            true => write_reply(outbox, "451 4.7.0", "MAIL was refused; try again later"),
            false => write_reply(outbox, "503 5.5.1", "Say MAIL first"),
        }
    }
}
