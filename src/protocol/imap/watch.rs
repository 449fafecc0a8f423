//! Observes an IMAP session after the login: bad news from the provider, and the BYE at the end.

use std::time::Duration;

use memchr::memmem;

use super::{advice_on, answer};
use crate::protocol::{Advice, LastWord, Overheard, Tail, Watch};

/// The end of each piece of a compressed session (RFC 4978 §4, the sync flush of RFC 1951).
const FLUSHED: Tail = [0x00, 0x00, 0xff, 0xff];

/// Observations of one session.
#[derive(Debug, Default)]
pub struct SessionWatch {
    /// The cause that was reported last, which is not reported again.
    told: Option<&'static str>,
}

impl Watch for SessionWatch {
    /// Status lines are short; longer pieces are mail.
    const LISTENS_TO: usize = 1024;
    const QUIET: Duration = Duration::from_millis(300);

    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard)) {
        if let Some(news) = bad_news(piece).filter(|news| self.told != Some(news.cause)) {
            self.told = Some(news.cause);
            tell(Overheard::Trouble(news));
        }
    }

    /// A BYE fits between two lines. In a compressed session the client could not read it.
    fn last_word(&self, tail: Tail, reason: &str) -> LastWord {
        match tail {
            [.., b'\n'] => LastWord::Say(String::from_utf8_lossy(&answer::bye(None, reason)).into_owned()),
            FLUSHED => LastWord::Silence,
            _ => LastWord::NotYet,
        }
    }
}

/// Finds a short piece that concerns the session itself: Exchange's false success ("authenticated but not
/// connected"), or a BYE with a reason. The search starts only at the words of such lines, which costs next to
/// nothing, and only at the beginning of a line: mail may quote them.
fn bad_news(piece: &[u8]) -> Option<Advice> {
    let is_bad = |at: usize| !piece.get(..at).unwrap_or_default().iter().any(u8::is_ascii_whitespace);
    let suspicious = piece.starts_with(b"* BYE") || memmem::find(piece, b" BAD User is ").is_some_and(is_bad);
    suspicious.then(|| advice_on(piece)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bye_fits_between_two_lines_and_nowhere_else() {
        let watch = SessionWatch::default();
        let say = LastWord::Say("* BYE Enough\r\n".to_owned());
        for (tail, word) in [
            (*b"\0\0\r\n", say),
            (FLUSHED, LastWord::Silence),
            (*b"TS\r*", LastWord::NotYet),
            ([0x00, 0xff, 0xff, 0x00], LastWord::NotYet),
        ] {
            assert_eq!(watch.last_word(tail, "Enough"), word, "{tail:?}");
        }
    }

    #[test]
    fn news_of_a_session_are_told_once() {
        let mut watch = SessionWatch::default();
        let mut hears = |piece: &[u8]| {
            let mut told = 0;
            watch.overhear(piece, &mut |_| told += 1);
            told
        };
        let expired = b"* BYE Session expired, please login again.\r\n";
        assert_eq!((hears(b"* 3 EXISTS\r\n"), hears(expired), hears(expired)), (0, 1, 0));
        assert_eq!(hears(b"a9 BAD User is authenticated but not connected.\r\n"), 1);
        assert_eq!(hears(b"subject: * BAD User is authenticated but not connected.\r\n"), 0);
    }
}
