//! Follows the commands of a device in its session, to know which reply accepts a message that came by BDAT (RFC 3030).
//!
//! The provider answers DATA with `354`, so such a message is easy to count. BDAT has no such reply, and a `250` may
//! accept any command. So this module numbers the commands of a device and the replies: the reply with the number of a
//! `BDAT … LAST` accepts or refuses its message. Whenever no reply is awaited the numbers start again at zero, so that
//! a wrong count does not stay wrong.
//!
//! Only the beginning of a command is kept, and nothing of mail: chunks are skipped by their size, and a message of
//! DATA up to its dot. Only devices are followed, no other clients.

use std::collections::VecDeque;

use crate::protocol::line::{trim_end, word};

/// Bytes of a command that are kept: blanks, BDAT, the size and LAST.
const KEPT: usize = 64;
/// The most messages that are remembered while their replies are awaited. A device that pipelines more has them
/// counted when it sends them.
const AWAITED: usize = 100;

/// The commands of a session.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    expects: Expects,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    /// Commands sent and replies received since nothing was awaited.
    commands: u64,
    replies: u64,
    /// The numbers of the commands that end a message by BDAT, without those that were answered.
    last: VecDeque<u64>,
    /// Messages that were not remembered.
    unremembered: u32,
}

/// What the device sends next.
#[derive(Debug, Default)]
enum Expects {
    #[default]
    Command,
    /// The remaining bytes of a chunk.
    Chunk(u64),
    /// Lines of a message, up to the dot.
    Message,
}

impl Chunks {
    /// Reads bytes of the device.
    pub(super) fn said(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.expects {
                Expects::Chunk(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.expects = match left - taken as u64 {
                        0 => Expects::Command,
                        left => Expects::Chunk(left),
                    };
                    taken
                }
                Expects::Command | Expects::Message => self.line(bytes),
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Reads one line or its beginning; returns the number of bytes read.
    fn line(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let taken = end.unwrap_or(bytes.len());
        let room = KEPT.saturating_sub(self.line.len()).min(taken);
        self.line.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            match self.expects {
                Expects::Message if line != b".\r\n" && line != b".\n" => {}
                // The dot has a reply, as a command has.
                Expects::Message => {
                    self.expects = Expects::Command;
                    self.commands += 1;
                }
                Expects::Command | Expects::Chunk(_) => self.command(trim_end(&line)),
            }
        }
        taken
    }

    fn command(&mut self, line: &[u8]) {
        self.commands += 1;
        let (verb, rest) = word(line);
        if !verb.eq_ignore_ascii_case(b"BDAT") {
            return;
        }
        let (size, rest) = word(rest);
        let Some(size) = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()) else { return };
        if size > 0 {
            self.expects = Expects::Chunk(size);
        }
        if !word(rest).0.eq_ignore_ascii_case(b"LAST") {
            return;
        }
        match self.last.len() < AWAITED {
            true => self.last.push_back(self.commands),
            false => self.unremembered += 1,
        }
    }

    /// Reads the code of a reply; returns the number of messages that it accepts.
    pub(super) fn answered(&mut self, code: u16) -> u32 {
        self.replies += 1;
        let mut accepted = std::mem::take(&mut self.unremembered);
        while self.last.front().is_some_and(|&number| number <= self.replies) {
            let answered = self.last.pop_front();
            accepted += u32::from(answered == Some(self.replies) && (200..=299).contains(&code));
        }
        match (&self.expects, code) {
            (Expects::Command | Expects::Message, 354) => {
                self.expects = Expects::Message;
                // A device must not send anything between DATA and this reply (RFC 2920). If this one did, its messages
                // by BDAT can no longer be matched with replies, so all of them count as accepted.
                accepted += u32::try_from(self.last.len()).unwrap_or(u32::MAX);
                self.last.clear();
                self.commands = self.replies;
            }
            // The provider has ended the message at another place than the dot.
            (Expects::Message, _) => {
                self.expects = Expects::Command;
                self.line = Vec::new();
            }
            _ => {}
        }
        if self.replies >= self.commands {
            (self.commands, self.replies) = (0, 0);
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of messages counted: a piece of digits is a reply, any other piece is sent by the device.
    fn counted(pieces: &[&str]) -> u32 {
        let mut chunks = Chunks::default();
        let mut count = 0;
        for piece in pieces {
            match piece.parse() {
                Ok(code) => count += chunks.answered(code),
                Err(_) => chunks.said(piece.as_bytes()),
            }
        }
        count
    }

    #[test]
    fn the_reply_to_the_last_chunk_counts() {
        let one = ["MAIL FROM:<a@b>\r\n", "250", "RCPT TO:<c@d>\r\n", "250", "BDAT 5 LAST\r\nhello", "250"];
        assert_eq!(counted(&one), 1);
        assert_eq!(counted(&[one, one, one].concat()), 3);
        assert_eq!(counted(&[&one[..4], &["bdat  5\tlast \nhello", "250"]].concat()), 1, "old habits");
        assert_eq!(counted(&[&one[..5], &["552"]].concat()), 0, "refused");
        let chunks = ["BDAT 4\r\nBDAT", "250", "BDAT 12\r\nBDAT 1 LAST\n", "250", "BDAT 0 LAST\r\n"];
        assert_eq!(
            counted(&[&one[..4], &chunks, &["250", "NOOP\r\n", "250"]].concat()),
            1,
            "a chunk's content"
        );
    }

    #[test]
    fn of_pipelined_commands_the_right_reply_counts() {
        let message = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\n\r\n";
        assert_eq!(counted(&[message, "250", "250", "250", "250"]), 1);
        assert_eq!(counted(&[message, "250", "250", "250", "552"]), 0);
        assert_eq!(counted(&[message, "250", "550", "503", "503"]), 0);
        let two = format!("{message}{message}");
        assert_eq!(counted(&[&two, "250", "250", "250", "250", "250", "250", "250"]), 1);
        assert_eq!(counted(&[&two, "250", "250", "250", "250", "250", "250", "250", "250"]), 2);
    }

    /// A message by DATA is counted by its `354`.
    #[test]
    fn a_message_by_data_is_skipped_to_its_dot() {
        let data = ["DATA\r\n", "354", "BDAT 1 LAST\r\n", "..\r\n.", "\r\nMAIL FROM:<a@b>\r\n"];
        let replies = ["250", "250", "RCPT TO:<c@d>\r\n", "250", "BDAT 1 LAST\r\nx"];
        assert_eq!(counted(&[&data[..], &replies].concat()), 0);
        assert_eq!(counted(&[&data[..], &replies, &["250"]].concat()), 1);
        assert_eq!(counted(&["DATA\r\n", "503", "BDAT 1 LAST\r\nx", "250"]), 1, "no message was asked for");
    }

    #[test]
    fn a_message_that_did_not_wait_for_its_354_hides_no_later_ones() {
        let one = ["BDAT 5 LAST\r\nhello", "250"];
        let lines = format!("DATA\r\n{}.\r\n", "line\r\n".repeat(5_000));
        assert_eq!(counted(&[&[lines.as_str(), "354", "250"][..], &one, &one].concat()), 2);
        let hidden = format!("{lines}BDAT 1 LAST\r\nx");
        assert_eq!(counted(&[&[hidden.as_str(), "354", "250", "250"][..], &one].concat()), 2);
    }

    #[test]
    fn a_count_that_went_wrong_does_not_stay_wrong() {
        let one = ["BDAT 5 LAST\r\nhello", "250"];
        assert_eq!(counted(&[&["250", "250", "421"][..], &one].concat()), 1, "replies to nothing");
        assert_eq!(
            counted(&[&["DATA\r\n", "354", "x\r\n", "250"][..], &one].concat()),
            1,
            "no dot was needed"
        );
        assert_eq!(counted(&[&["BDAT x LAST\r\n", "501", "BDAT -1\r\n", "501"][..], &one].concat()), 1);
        assert_eq!(counted(&["BDAT 99999999999999999999 LAST\r\n", "501"]), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_no_message_is_lost_by_that() {
        let mut chunks = Chunks::default();
        chunks.said(&vec![b'x'; 100_000]);
        assert!(chunks.line.len() <= KEPT);
        chunks.said(b"\r\n");
        let all = AWAITED as u32 + 900;
        (0..all).for_each(|_| chunks.said(b"BDAT 1 LAST\r\nx"));
        assert_eq!(chunks.last.len(), AWAITED);
        let count: u32 = (0..=all).map(|_| chunks.answered(250)).sum();
        assert_eq!(count, all);
    }

    #[test]
    fn every_cut_gives_the_same_count() {
        let said = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\n\r\n";
        for cut in 0..=said.len() {
            let (one, other) = said.split_at(cut);
            assert_eq!(counted(&[one, other, "250", "250", "250", "250"]), 1, "{one:?}");
        }
    }
}
