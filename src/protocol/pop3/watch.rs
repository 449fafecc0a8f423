//! Observes a POP3 session after the login: whether it may end now, and bad news from the provider.
//!
//! The proxy never writes to the client, which would take the line for the answer to its next command, and never
//! sends QUIT. A session must not end within an answer. An answer of several lines ends with a single dot, and one
//! of one line begins with `+` or `-`, so the beginning of the last line tells whether an answer is complete. The
//! pause of five seconds covers a line of mail that looks like an answer.

use std::time::Duration;

use super::meaning::advice_on;
use crate::protocol::{Advice, LastWord, Overheard, Tail, Watch};

/// Observations of one session.
#[derive(Debug, Default)]
pub struct SessionWatch {
    /// The beginning of the last line.
    begun: [u8; 4],
    /// Number of bytes in `begun`.
    begun_len: usize,
    /// Whether the end of the last line has come.
    is_whole: bool,
    /// The last cause that was told; it is not repeated.
    told: Option<&'static str>,
}

/// The longest `-ERR` (RFC 2449 §4).
const LINE_LIMIT: usize = 512;

impl Watch for SessionWatch {
    /// Only the beginning of the last line of mail is kept.
    const LISTENS_TO: usize = usize::MAX;

    /// After this pause the client is between two commands.
    const QUIET: Duration = Duration::from_secs(5);

    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard)) {
        if piece.len() <= LINE_LIMIT && piece.starts_with(b"-ERR ") && self.is_between_answers() {
            self.hear(piece, tell);
        }
        let body = piece.strip_suffix(b"\n").unwrap_or(piece);
        let last = match memchr::memrchr(b'\n', body) {
            Some(at) => {
                self.begun_len = 0;
                piece.get(at + 1..).unwrap_or_default()
            }
            None => {
                if std::mem::take(&mut self.is_whole) {
                    self.begun_len = 0;
                }
                piece
            }
        };
        self.is_whole = piece.ends_with(b"\n");
        for (kept, byte) in self.begun.iter_mut().skip(self.begun_len).zip(last) {
            *kept = *byte;
            self.begun_len += 1;
        }
    }

    fn last_word(&self, _: Tail, _: &str) -> LastWord {
        if self.is_between_answers() { LastWord::Silence } else { LastWord::NotYet }
    }
}

impl SessionWatch {
    fn is_between_answers(&self) -> bool {
        match self.begun.get(..self.begun_len).unwrap_or_default() {
            // The answer to the login came before.
            b"" => true,
            _ if !self.is_whole => false,
            b".\r\n" | b".\n" => true,
            line => line.starts_with(b"+OK") || line.starts_with(b"-ERR") || line.starts_with(b"+ "),
        }
    }

    fn hear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard)) {
        let line = piece.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let news = advice_on(line).filter(|news: &Advice| self.told != Some(news.cause));
        if let Some(news) = news {
            self.told = Some(news.cause);
            tell(Overheard::Trouble(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last word after these pieces.
    fn end_behind(pieces: &[&[u8]]) -> LastWord {
        let mut watch = SessionWatch::default();
        pieces.iter().for_each(|piece| watch.overhear(piece, &mut |_| {}));
        watch.last_word(*b"\0\0\0\0", "Enough")
    }

    #[test]
    fn a_session_ends_between_two_answers_and_without_a_word() {
        for answer in [
            &b""[..],
            b"+OK 2 320\r\n",
            b"-ERR no such message\r\n",
            b"+OK message follows\r\nSubject: x\r\n\r\nHello\r\n..\r\n.\r\n",
            b"+OK\r\n.\r\n+OK\r\n",
            b".\r\n",
            b"+OK\n",
        ] {
            assert_eq!(end_behind(&[answer]), LastWord::Silence, "{}", answer.escape_ascii());
            let pieces: Vec<&[u8]> = answer.chunks(1).collect();
            assert_eq!(end_behind(&pieces), LastWord::Silence, "{}", answer.escape_ascii());
        }
        for begun in [
            &b"+OK 2"[..],
            b"+OK message follows\r\nSubject: x\r\n",
            b"+OK message follows\r\nSubject: x\r\n\r\nHello\r\n.",
            b"+OK message follows\r\nSubject: x\r\n\r\n..\r\n",
            b"+OK message follows\r\nSubject: x\r\n\r\n",
        ] {
            assert_eq!(end_behind(&[begun]), LastWord::NotYet, "{}", begun.escape_ascii());
            let pieces: Vec<&[u8]> = begun.chunks(1).collect();
            assert_eq!(end_behind(&pieces), LastWord::NotYet, "{}", begun.escape_ascii());
        }
    }

    #[test]
    fn news_of_a_session_are_told_once_and_mail_is_none() {
        let mut watch = SessionWatch::default();
        let mut hears = |piece: &[u8]| {
            let mut told = 0;
            watch.overhear(piece, &mut |_| told += 1);
            told
        };
        let busy = b"-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)\r\n";
        assert_eq!((hears(b"+OK 1 5504\r\n"), hears(busy), hears(busy)), (0, 1, 0));
        assert_eq!(
            (hears(b"+OK message follows\r\nSubject: x\r\n"), hears(b"-ERR Web login required\r\n")),
            (0, 0)
        );
        assert_eq!((hears(b".\r\n"), hears(b"-ERR no such message\r\n")), (0, 0));
    }
}
