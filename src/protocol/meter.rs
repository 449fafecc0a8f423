//! Counts what a client has used before its login, against its [`Limits`].

use super::{DialogueEnd, Limits};
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
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, commands: 0, failures: 0 }
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

    /// Whether the connection begins with a PROXY protocol header (security row 44), by the untaken bytes in
    /// `inbox`. Such a header can begin with empty lines, so empty lines wait until this is known.
    pub(super) fn proxy_header(&self, inbox: &[u8]) -> Option<bool> {
        let nothing_taken = self.bytes == 0 && !inbox.is_empty();
        nothing_taken.then(|| proxy_header(inbox)).flatten()
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
