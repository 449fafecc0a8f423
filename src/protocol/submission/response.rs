//! Reads the replies of a provider's submission server, as far as a sign-in needs them: one line or more (RFC 5321
//! §4.2.1), within bounds.

use super::meaning::violation;
use crate::protocol::Refusal;
use crate::protocol::framer::Framer;
use crate::protocol::line::trim_end;

/// Bytes of one reply. An EHLO takes a few hundred.
const REPLY_LIMIT: usize = 16_384;

/// Limits of the whole exchange; a server that never stops is cut off.
const EXCHANGE_LIMIT: usize = 65_536;
const REPLIES_LIMIT: u32 = 50;

/// The search for whole replies in a buffer that grows.
#[derive(Default)]
pub(super) struct Replies {
    framer: Framer,
    bytes: usize,
    count: u32,
}

impl Replies {
    /// The end of the first reply of `input`. The caller must then remove the reply.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        let room = REPLY_LIMIT.min(EXCHANGE_LIMIT.saturating_sub(self.bytes));
        loop {
            let found = self.framer.find_line(input);
            if found.as_ref().map_or(input.len(), |(_, end)| *end) > room {
                return Err(violation("it sent more than a sign-in can need"));
            }
            let Some((line, end)) = found else { return Ok(None) };
            let line = input.get(line).unwrap_or_default();
            self.framer.go_on(end);
            let (code, goes_on) =
                line_code(line).ok_or_else(|| violation("it sent a line that is no reply"))?;
            if goes_on && (100..=999).contains(&code) {
                continue;
            }
            self.count += 1;
            if self.count > REPLIES_LIMIT {
                return Err(violation("it sent more than 50 replies without a verdict"));
            }
            self.bytes += end;
            self.framer = Framer::default();
            return Ok(Some(end));
        }
    }
}

/// The code of a reply's line, and whether another line follows it.
pub(super) fn line_code(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code: u16, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        Some(b'-') => Some((code, true)),
        None | Some(b' ' | b'\r' | b'\n') => Some((code, false)),
        Some(_) => None,
    }
}

/// A whole reply.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    /// The code of its last line.
    pub(super) code: u16,
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads a reply that [`Replies::next`] found.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let last = bytes.split_inclusive(|&byte| byte == b'\n').next_back().unwrap_or_default();
        Self { code: line_code(last).map_or(0, |(code, _)| code), bytes }
    }

    /// The text of each line, without the code.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.bytes.split_inclusive(|&byte| byte == b'\n');
        lines.map(|line| trim_end(line.get(4..).unwrap_or_default()))
    }

    /// The enhanced code (RFC 3463) of the first line that has one: "5.7.139".
    pub(super) fn enhanced(&self) -> Option<&'a str> {
        self.lines().find_map(enhanced)
    }

    /// The reply as one line of text: the code, then the lines without repeating the enhanced code.
    pub(super) fn text(&self) -> String {
        let mut text = self.code.to_string();
        for (index, line) in self.lines().enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = match (index, enhanced(line.as_bytes())) {
                (1.., Some(code)) => line.get(code.len()..).unwrap_or_default().trim_start().to_owned(),
                _ => line.into_owned(),
            };
            text.push(' ');
            text.push_str(&line);
        }
        text
    }
}

/// The enhanced code that a line's text begins with.
pub(super) fn enhanced(text: &[u8]) -> Option<&str> {
    let word = text.split(|&byte| byte == b' ').next()?;
    let word = std::str::from_utf8(word).ok()?;
    let mut parts = word.split('.');
    let (Some(class), Some(subject), Some(detail), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (matches!(class, "2" | "4" | "5") && digits(subject) && digits(detail)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_the_first_line_that_has_no_hyphen() {
        let mut replies = Replies::default();
        let input = b"250-one\r\n250-two\r\n250 three\r\n334 ";
        assert!(replies.next(&input[..12]).unwrap().is_none());
        let end = replies.next(input).unwrap().unwrap();
        assert_eq!(end, 29);
        let reply = Reply::read(&input[..end]);
        assert_eq!(reply.code, 250);
        assert_eq!(reply.lines().collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
        assert!(replies.next(&input[end..]).unwrap().is_none());
        assert!(Replies::default().next(b"* OK IMAP\r\n").is_err());
        assert!(Replies::default().next(b"\r\n").is_err());
    }

    #[test]
    fn enhanced_codes_are_told_from_words() {
        assert_eq!(enhanced(b"5.7.139 Authentication unsuccessful"), Some("5.7.139"));
        for text in ["5.7 x", "1.2.3 x", "5.7.1394 x", "5.7.8x y", "", "no code"] {
            assert_eq!(enhanced(text.as_bytes()), None, "{text}");
        }
        let reply = Reply::read(b"535-5.7.8 Not accepted. For more\r\n535 5.7.8  https://x.example\r\n");
        assert_eq!(reply.enhanced(), Some("5.7.8"));
        assert_eq!(reply.text(), "535 5.7.8 Not accepted. For more https://x.example");
    }

    #[test]
    fn a_server_that_never_stops_talking_is_left() {
        let mut replies = Replies::default();
        for _ in 0..REPLIES_LIMIT {
            assert_eq!(replies.next(b"250 x\r\n").unwrap(), Some(7));
        }
        assert!(replies.next(b"250 x\r\n").is_err());
        let long = [b"250-".as_slice(), &vec![b'x'; REPLY_LIMIT]].concat();
        assert!(Replies::default().next(&long).is_err());
    }
}
