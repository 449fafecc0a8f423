//! Observes a session after the login: the provider's replies, and the last word.
//!
//! The provider sends only replies, so mail is never read. The watch keeps whether the client was told to send its
//! message (`354`), the code of an incomplete line, and the last refusal that was reported, so that each is reported
//! once. A device's commands are followed as well ([`Chunks`]), because its messages are counted.

use std::time::Duration;

use super::chunks::Chunks;
use super::meaning::advice_on;
use super::response::{Reply, line_code};
use crate::protocol::{LastWord, Overheard, Tail, Watch};

/// Observations of one session.
#[derive(Debug, Default)]
pub struct SessionWatch {
    /// The last reply was `354`: the message or its reply is still to come.
    in_message: bool,
    /// The beginning of an incomplete line at the end of the last piece: enough for its code.
    torn: [u8; 4],
    /// Number of bytes in `torn`; 0 between two lines.
    torn_len: usize,
    /// The last refusal that was reported, until a message is accepted.
    told: Option<&'static str>,
    /// The commands of a device.
    chunks: Option<Box<Chunks>>,
}

impl Watch for SessionWatch {
    /// The replies to a hundred recipients come in one piece, and each must be read: the last may be `354`.
    const LISTENS_TO: usize = usize::MAX;

    /// After this pause a sender is between two messages, and not within a chunk (RFC 3030).
    const QUIET: Duration = Duration::from_secs(5);

    fn of_device() -> Self {
        Self { chunks: Some(Box::default()), ..Self::default() }
    }

    fn overhear_client(&mut self, piece: &[u8]) {
        if let Some(chunks) = &mut self.chunks {
            chunks.said(piece);
        }
    }

    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard)) {
        let Some(mut rest) = self.mend_torn_line(piece, tell) else { return };
        while let Some(end) = reply_end(rest) {
            let (reply, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
            rest = behind;
            self.hear(&Reply::read(reply), tell);
        }
        let begun = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        self.keep_torn_line(rest.get(begun..).unwrap_or_default());
    }

    fn last_word(&self, tail: Tail, reason: &str) -> LastWord {
        match tail {
            [.., b'\n'] if !self.in_message => LastWord::Say(format!("421 4.3.2 {reason}\r\n")),
            _ => LastWord::NotYet,
        }
    }
}

impl SessionWatch {
    /// Completes the line that the last piece left incomplete, of which only the code matters, and returns the rest of
    /// `piece`; `None` if the line continues.
    fn mend_torn_line<'a>(&mut self, piece: &'a [u8], tell: &mut dyn FnMut(Overheard)) -> Option<&'a [u8]> {
        if self.torn_len == 0 {
            return Some(piece);
        }
        let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
        self.keep_torn_line(piece.get(..end.unwrap_or(piece.len())).unwrap_or_default());
        let rest = piece.get(end?..)?;
        let (line, length) = (self.torn, std::mem::take(&mut self.torn_len));
        if let Some((code, false)) = line_code(line.get(..length).unwrap_or_default()) {
            self.take_note(code, tell);
        }
        Some(rest)
    }

    /// Keeps the bytes of an incomplete line that hold its code.
    fn keep_torn_line(&mut self, begun: &[u8]) {
        for (kept, byte) in self.torn.iter_mut().skip(self.torn_len).zip(begun) {
            *kept = *byte;
            self.torn_len += 1;
        }
    }

    /// Notes whether a message follows a reply of `code`, and reports a message that the reply accepts.
    fn take_note(&mut self, code: u16, tell: &mut dyn FnMut(Overheard)) {
        let was_in_message = std::mem::replace(&mut self.in_message, code == 354);
        if was_in_message && (200..=299).contains(&code) {
            self.told = None;
            tell(Overheard::MessageTaken);
        }
        if self.in_message {
            tell(Overheard::MessageBegun);
        }
        for _ in 0..self.chunks.as_mut().map_or(0, |chunks| chunks.answered(code)) {
            self.told = None;
            tell(Overheard::MessageBegun);
            tell(Overheard::MessageTaken);
        }
    }

    fn hear(&mut self, reply: &Reply<'_>, tell: &mut dyn FnMut(Overheard)) {
        self.take_note(reply.code, tell);
        if !(400..=599).contains(&reply.code) {
            return;
        }
        let code = reply.enhanced().map_or_else(|| reply.code.to_string(), str::to_owned);
        match advice_on(reply).filter(|advice| self.told != Some(advice.cause)) {
            Some(advice) => {
                self.told = Some(advice.cause);
                tell(Overheard::MessageRefused { code, advice });
            }
            None => tell(Overheard::Refused { code }),
        }
    }
}

/// The end of the first whole reply of `bytes`; a line that is no reply ends by itself.
fn reply_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let rest = bytes.get(end..)?;
        let line = rest.get(..memchr::memchr(b'\n', rest)? + 1)?;
        end += line.len();
        if line_code(line).is_none_or(|(_, goes_on)| !goes_on) {
            return Some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND_AS: &[u8] = b"554 5.2.252 SendAsDenied; a@x not allowed to send as b@x; STOREDRV\r\n";

    impl SessionWatch {
        /// The news in these pieces: the code of each refusal, in brackets if it is only counted.
        fn hears(&mut self, pieces: &[&[u8]]) -> String {
            let mut told = Vec::new();
            for piece in pieces {
                self.overhear(piece, &mut |overheard| {
                    told.push(match overheard {
                        Overheard::MessageRefused { code, .. } => code,
                        Overheard::Refused { code } => format!("({code})"),
                        Overheard::MessageBegun => "begun".to_owned(),
                        Overheard::MessageTaken => "taken".to_owned(),
                        Overheard::Trouble(advice) => advice.to_string(),
                    });
                });
            }
            told.join(" ")
        }
    }

    #[test]
    fn a_refused_message_is_told_once_and_again_behind_one_that_was_taken() {
        let mut watch = SessionWatch::default();
        assert_eq!(
            watch.hears(&[b"250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n354 Go ahead\r\n"]),
            "begun"
        );
        assert_eq!(watch.hears(&[SEND_AS]), "5.2.252");
        assert_eq!(watch.hears(&[SEND_AS]), "(5.2.252)");
        assert_eq!(watch.hears(&[b"550 5.1.1 no such user\r\n"]), "(5.1.1)", "that is about a recipient");
        assert_eq!(watch.hears(&[b"354 Go ahead\r\n", b"250 2.0.0 OK queued\r\n"]), "begun taken");
        assert_eq!(watch.hears(&[b"250 2.0.0 OK\r\n"]), "", "a NOOP takes no message");
        assert_eq!(watch.hears(&[SEND_AS]), "5.2.252");
    }

    #[test]
    fn each_reply_of_a_piece_counts() {
        let mut watch = SessionWatch::default();
        let piece = b"354 Go ahead\r\n250 2.0.0 queued\r\n550 5.1.1 no\r\n550 5.1.1 no\r\n";
        assert_eq!(watch.hears(&[piece]), "begun taken (5.1.1) (5.1.1)");
    }

    /// A client with a password is not followed, because it has no limit of messages.
    #[test]
    fn a_devices_message_by_bdat_counts_with_its_reply() {
        for (mut watch, heard) in
            [(SessionWatch::of_device(), "begun taken begun taken"), (SessionWatch::default(), "begun taken")]
        {
            watch.overhear_client(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\nhello");
            let replies = b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n250-2.0.0 OK\r\n250 2.0.0 queued\r\n";
            let mut told = watch.hears(&[&replies[..50], &replies[50..]]);
            watch.overhear_client(b"DATA\r\n");
            for piece in [&b"354 Go ahead\r\n"[..], b"250 2.0.0 OK\r\n"] {
                told = format!("{told} {}", watch.hears(&[piece]));
                watch.overhear_client(b"BDAT 1 LAST\r\n.\r\n");
            }
            assert_eq!(told.trim(), heard);
        }
    }

    #[test]
    fn a_reply_of_several_lines_is_one() {
        let limit = b"550-5.4.5 Daily user sending limit exceeded. For more\r\n550 5.4.5  https://x\r\n";
        assert_eq!(SessionWatch::default().hears(&[limit]), "5.4.5");
    }

    /// The stream is cut at every byte: after a missed `354`, a stop would cut the message off.
    #[test]
    fn of_a_torn_line_the_code_counts() {
        let replies = b"250 2.1.5 OK\r\n354 Go ahead\r\n";
        for cut in 0..=replies.len() {
            let mut watch = SessionWatch::default();
            let (one, other) = replies.split_at(cut);
            assert_eq!(watch.hears(&[one, other]), "begun", "cut at {cut}");
            assert!(watch.in_message, "cut at {cut}");
            assert_eq!(watch.hears(&[b"2", b"5", b"0", b" OK\r", b"\n"]), "taken", "cut at {cut}");
            assert!(!watch.in_message);
        }
        let mut watch = SessionWatch::default();
        assert_eq!(watch.hears(&[b"250 2.0", b"554 5.2.252 SendAsDenied\r\n"]), "", "the end of a line");
        assert_eq!(watch.hears(&[SEND_AS]), "5.2.252");
    }

    #[test]
    fn nothing_is_said_while_a_message_is_on_its_way() {
        let mut watch = SessionWatch::default();
        let say = LastWord::Say("421 4.3.2 Enough\r\n".to_owned());
        assert_eq!(watch.last_word(*b"OK\r\n", "Enough"), say);
        watch.hears(&[b"354 Go ahead\r\n"]);
        assert_eq!(watch.last_word(*b"ad\r\n", "Enough"), LastWord::NotYet);
        watch.hears(&[b"250 2.0.0 OK\r\n"]);
        assert_eq!(watch.last_word(*b"OK\r\n", "Enough"), say);
        assert_eq!(watch.last_word(*b"250 ", "Enough"), LastWord::NotYet);
    }
}
