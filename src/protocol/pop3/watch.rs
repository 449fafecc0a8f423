//! Observes a POP3 session after the login: whether it may end now, and bad news from the provider.
//!
//! The client would take a line of the proxy for the answer to its next command, so the proxy sends no last line, and
//! no QUIT to the provider. It only chooses the moment of the end: not within an answer, and not while mail is
//! transferred. An answer is a line that begins with `+` or `-`. Any other line belongs to a text, which ends with a
//! line that is only a dot; so a line of mail that looks like an answer is not taken for one. One case cannot be
//! recognised by the lines: a pause between an answer's first line and its text. There only the five seconds of silence
//! help.

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
    /// The whole lines so far end within a text, which may be mail.
    in_text: bool,
    /// The cause that was reported last, which is not reported again.
    told: Option<&'static str>,
}

/// The longest `-ERR` (RFC 2449 §4).
const LINE_LIMIT: usize = 512;

impl Watch for SessionWatch {
    /// All pieces are shown. Of mail only the beginning of its last line is kept, and that the mail has not ended.
    const LISTENS_TO: usize = usize::MAX;

    /// After this pause the client is between two commands.
    const QUIET: Duration = Duration::from_secs(5);

    /// QUIT deletes the marked messages, and a provider may take long to answer it.
    const AWAITS_ANSWERS: bool = true;

    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard)) {
        if piece.len() <= LINE_LIMIT && piece.starts_with(b"-ERR ") && self.is_between_answers() {
            self.hear(piece, tell);
        }
        // First the rest of the line in which the last piece ended.
        let first_end = memchr::memchr(b'\n', piece).map_or(piece.len(), |at| at + 1);
        let (first, rest) = piece.split_at_checked(first_end).unwrap_or((piece, b""));
        self.keep(first);
        if rest.is_empty() {
            return;
        }
        let whole = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        let (lines, begun) = rest.split_at_checked(whole).unwrap_or((rest, b""));
        self.in_text = is_text_behind(lines).unwrap_or(self.in_text);
        let last = lines.strip_suffix(b"\n").and_then(|lines| memchr::memrchr(b'\n', lines));
        self.keep(match begun {
            b"" => lines.get(last.map_or(0, |at| at + 1)..).unwrap_or_default(),
            _ => begun,
        });
    }

    fn last_word(&self, _: Tail, _: &str) -> LastWord {
        if self.is_between_answers() { LastWord::Silence } else { LastWord::NotYet }
    }
}

impl SessionWatch {
    fn is_between_answers(&self) -> bool {
        match self.begun.get(..self.begun_len).unwrap_or_default() {
            // Nothing came since the answer to the login.
            b"" => true,
            _ => self.is_whole && !self.in_text,
        }
    }

    /// Keeps the beginning of a new line, or appends to the beginning of a line that continues.
    fn keep(&mut self, line: &[u8]) {
        if std::mem::take(&mut self.is_whole) {
            self.begun_len = 0;
        }
        for (kept, byte) in self.begun.iter_mut().skip(self.begun_len).zip(line) {
            *kept = *byte;
            self.begun_len += 1;
        }
        self.is_whole = line.ends_with(b"\n");
        if self.is_whole {
            let line = self.begun.get(..self.begun_len).unwrap_or_default();
            self.in_text = is_text_behind_line(line).unwrap_or(self.in_text);
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

/// Whether whole lines end within a text; `None` if all of them look like answers, because a text can hold such lines
/// too.
fn is_text_behind(mut lines: &[u8]) -> Option<bool> {
    while let Some(others) = lines.strip_suffix(b"\n") {
        let begun = memchr::memrchr(b'\n', others).map_or(0, |at| at + 1);
        let (before, line) = lines.split_at_checked(begun)?;
        if let Some(is_text) = is_text_behind_line(line) {
            return Some(is_text);
        }
        lines = before;
    }
    None
}

/// Like [`is_text_behind`], for one line, or its beginning.
fn is_text_behind_line(line: &[u8]) -> Option<bool> {
    let is_answer = line.starts_with(b"+OK") || line.starts_with(b"-ERR") || line.starts_with(b"+ ");
    match line {
        b".\r\n" | b".\n" => Some(false),
        _ => (!is_answer).then_some(true),
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
            b"+OK message follows\r\nSubject: x\r\n\r\n+OK\r\n",
            b"+OK message follows\r\nSubject: x\r\n\r\n+OK\r\n-ERR\r\n+ \r\n",
            b"+OK\r\n.\r\n+OK message follows\r\nSubject: x\r\n",
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

    #[test]
    fn security_row_13_mail_cannot_write_a_trouble_into_an_account() {
        let answer = b"+OK message follows\r\nReceived: x\r\n\r\n+OK\r\n";
        let forged = b"-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)\r\n";
        for size in 1..=answer.len() {
            let mut watch = SessionWatch::default();
            let mut told = 0;
            for piece in answer.chunks(size).chain([&forged[..], b"\r\n.\r\n"]) {
                watch.overhear(piece, &mut |_| told += 1);
            }
            assert_eq!(told, 0, "in pieces of {size}");
            watch.overhear(forged, &mut |_| told += 1);
            assert_eq!(told, 1, "the provider itself says so, behind pieces of {size}");
        }
    }
}
