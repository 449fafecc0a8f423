//! Counts what a client has used before its login, against its [`Limits`].

use super::{Channel, DialogueEnd, Limits};
use crate::text::proxy_header;

/// CR and LF, which no limit counts.
const LINE_END: usize = 2;

/// Bytes taken, commands begun and passwords refused so far on one connection. STARTTLS does not reset them.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    bytes: usize,
    commands: u32,
    failures: u32,
    /// Whether no PROXY protocol header will come: the client sent a possible beginning of one, and then waited.
    no_header: bool,
}

/// The protocol of a client's bytes, judged by the first ones.
pub(super) enum Begins {
    /// The bytes are of the door's protocol.
    Ours,
    /// More bytes are needed to know.
    Unclear,
    /// The bytes are of another protocol.
    Foreign(DialogueEnd),
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, commands: 0, failures: 0, no_header: false }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The reason to end the connection if `size` bytes of one command are too many. Only the number of bytes
    /// counts, not their division into packets.
    pub(super) fn check(&self, size: usize) -> Result<(), &'static str> {
        if size > self.limits.command + LINE_END {
            return Err("it sent a line that is too long");
        }
        if self.bytes + size > self.limits.bytes {
            return Err("it sent too many bytes without logging in");
        }
        Ok(())
    }

    /// Bytes that may still be taken.
    pub(super) fn left(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// `count` bytes were removed from the inbox.
    pub(super) fn take(&mut self, count: usize) {
        self.bytes += count;
    }

    /// Judges the beginning of `inbox`, before it is read as a command. A PROXY protocol header (security row 44) is
    /// recognised at the beginning of the connection alone. It can begin with empty lines, so empty lines wait until
    /// this is known, or until [`Meter::no_header`].
    pub(super) fn begins(&self, channel: Channel, inbox: &[u8]) -> Begins {
        if channel != Channel::Tls && inbox.starts_with(&[0x16, 0x03]) {
            return Begins::Foreign(DialogueEnd::TlsHello);
        }
        let may_be_header = self.bytes == 0 && !inbox.is_empty() && !self.no_header;
        match may_be_header.then(|| proxy_header(inbox)).flatten() {
            Some(true) => Begins::Foreign(DialogueEnd::ProxyHeader),
            Some(false) => Begins::Unclear,
            None => Begins::Ours,
        }
    }

    /// Whether `inbox` holds whole empty lines that wait for the rest of a header.
    pub(super) fn awaits_header(&self, inbox: &[u8]) -> bool {
        self.bytes == 0 && !self.no_header && matches!(inbox, b"\r\n" | b"\r\n\r\n")
    }

    /// Notes that the rest of a header did not come: from now on, empty lines are never the beginning of a header.
    pub(super) fn no_header(&mut self) {
        self.no_header = true;
    }

    /// Counts a command.
    pub(super) fn command(&mut self) -> Result<(), &'static str> {
        self.commands += 1;
        match self.commands > self.limits.commands {
            true => Err("it sent too many commands without logging in"),
            false => Ok(()),
        }
    }

    /// Counts a wrong password; `Some` if it is one too many.
    pub(super) fn failure(&mut self) -> Option<DialogueEnd> {
        self.failures += 1;
        (self.failures >= self.limits.failed_logins).then_some(DialogueEnd::FailedLogins(self.failures))
    }
}
