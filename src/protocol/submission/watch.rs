//! A session after the login: what the provider's replies tell, and the last word.
//!
//! In the provider's direction come replies and nothing else, so mail is never looked at. Two things are kept of
//! them: whether the client has been told to send its message (`354`), and what was told last, so that it is told
//! once.

use std::time::Duration;

use super::meaning::advice_on;
use super::response::{Reply, line_code};
use crate::protocol::{LastWord, Overheard, Tail, Watch};

/// What was overheard of one session.
#[derive(Debug, Default)]
pub struct SessionWatch {
    /// The last reply was `354`: a message is on its way, or its reply is.
    in_message: bool,
    /// The last piece ended within a line.
    in_line: bool,
    /// The refusal that was told last, until a message is taken.
    told: Option<&'static str>,
}

impl Watch for SessionWatch {
    /// The replies to a hundred recipients come in one piece, and none may be missed: the last may be `354`.
    const LISTENS_TO: usize = usize::MAX;

    /// A sender that has moved nothing for so long is between two messages, and not within a chunk (RFC 3030).
    const QUIET: Duration = Duration::from_secs(5);

    fn overhear(&mut self, piece: &[u8]) -> Option<Overheard> {
        let begins_in_line = std::mem::replace(&mut self.in_line, !piece.ends_with(b"\n"));
        let mut rest = piece;
        if begins_in_line {
            let end = memchr::memchr(b'\n', rest)? + 1;
            rest = rest.get(end..)?;
        }
        let mut news = None;
        while let Some(end) = reply_end(rest) {
            let (reply, behind) = rest.split_at_checked(end)?;
            rest = behind;
            let heard = self.hear(&Reply::read(reply));
            news = match (news, heard) {
                (Some(news @ Overheard::MessageRefused { .. }), Some(Overheard::Refused { .. })) => {
                    Some(news)
                }
                (news, heard) => heard.or(news),
            };
        }
        news
    }

    fn last_word(&self, tail: Tail, reason: &str) -> LastWord {
        match tail {
            [.., b'\n'] if !self.in_message => LastWord::Say(format!("421 4.3.2 {reason}\r\n")),
            _ => LastWord::NotYet,
        }
    }
}

impl SessionWatch {
    fn hear(&mut self, reply: &Reply<'_>) -> Option<Overheard> {
        let was_in_message = std::mem::replace(&mut self.in_message, reply.code == 354);
        match reply.code {
            200..=299 if was_in_message => {
                self.told = None;
                Some(Overheard::MessageTaken)
            }
            400..=599 => {
                let code = reply.enhanced().map_or_else(|| reply.code.to_string(), str::to_owned);
                match advice_on(reply).filter(|advice| self.told != Some(advice.cause)) {
                    Some(advice) => {
                        self.told = Some(advice.cause);
                        Some(Overheard::MessageRefused { code, advice })
                    }
                    None => Some(Overheard::Refused { code }),
                }
            }
            _ => None,
        }
    }
}

/// Where the first whole reply of `bytes` ends; a line that is none ends by itself.
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

    fn refused(overheard: Option<Overheard>) -> Option<String> {
        match overheard {
            Some(Overheard::MessageRefused { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// Whether it is a refusal that is counted, and not told.
    fn is_counted(overheard: &Option<Overheard>) -> bool {
        matches!(overheard, Some(Overheard::Refused { .. }))
    }

    #[test]
    fn a_refused_message_is_told_once_and_again_behind_one_that_was_taken() {
        let mut watch = SessionWatch::default();
        assert!(
            watch.overhear(b"250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n354 Go ahead\r\n").is_none()
        );
        assert_eq!(refused(watch.overhear(SEND_AS)).as_deref(), Some("5.2.252"));
        assert!(is_counted(&watch.overhear(SEND_AS)));
        let recipient = watch.overhear(b"550 5.1.1 no such user\r\n");
        assert!(is_counted(&recipient), "that is about a recipient");
        assert!(watch.overhear(b"354 Go ahead\r\n").is_none());
        assert!(matches!(watch.overhear(b"250 2.0.0 OK queued\r\n"), Some(Overheard::MessageTaken)));
        assert!(watch.overhear(b"250 2.0.0 OK\r\n").is_none(), "a NOOP takes no message");
        assert!(refused(watch.overhear(SEND_AS)).is_some());
    }

    #[test]
    fn a_reply_of_several_lines_is_one_and_a_torn_line_is_none() {
        let mut watch = SessionWatch::default();
        let limit = b"550-5.4.5 Daily user sending limit exceeded. For more\r\n550 5.4.5  https://x\r\n";
        assert_eq!(refused(watch.overhear(limit)).as_deref(), Some("5.4.5"));
        let mut watch = SessionWatch::default();
        assert!(watch.overhear(b"250 2.0").is_none());
        assert!(watch.overhear(b"554 5.2.252 SendAsDenied\r\n").is_none(), "the end of a line");
        assert!(refused(watch.overhear(SEND_AS)).is_some());
    }

    #[test]
    fn nothing_is_said_while_a_message_is_on_its_way() {
        let mut watch = SessionWatch::default();
        let say = LastWord::Say("421 4.3.2 Enough\r\n".to_owned());
        assert_eq!(watch.last_word(*b"OK\r\n", "Enough"), say);
        watch.overhear(b"354 Go ahead\r\n");
        assert_eq!(watch.last_word(*b"ad\r\n", "Enough"), LastWord::NotYet);
        watch.overhear(b"250 2.0.0 OK\r\n");
        assert_eq!(watch.last_word(*b"OK\r\n", "Enough"), say);
        assert_eq!(watch.last_word(*b"250 ", "Enough"), LastWord::NotYet);
    }
}
