//! Reads the answers of a provider's POP3 server, as far as a sign-in needs them: single lines (RFC 1939 §3),
//! challenges (RFC 5034 §4) and the lines of CAPA's list, within bounds.

use super::meaning::violation;
use crate::protocol::Refusal;
use crate::protocol::framer::Framer;
use crate::protocol::line::trim_end;

/// Bytes of one line. RFC 2449 §4 bounds it at 512; a challenge may take more.
const LINE_LIMIT: usize = 8192;

/// Limits of the whole exchange; a server that never stops is cut off.
const EXCHANGE_LIMIT: usize = 65_536;
const LINES_LIMIT: u32 = 200;

/// The search for whole lines in a buffer that grows.
#[derive(Default)]
pub(super) struct Lines {
    framer: Framer,
    bytes: usize,
    count: u32,
}

impl Lines {
    /// The end of the first line of `input`. The caller must then remove the line.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        let room = LINE_LIMIT.min(EXCHANGE_LIMIT.saturating_sub(self.bytes));
        let found = self.framer.next_line(input);
        if found.unwrap_or(input.len()) > room {
            return Err(violation("it sent more than a sign-in can need"));
        }
        let Some(end) = found else { return Ok(None) };
        self.framer = Framer::default();
        self.count += 1;
        if self.count > LINES_LIMIT {
            return Err(violation("it sent more than 200 lines without a verdict"));
        }
        self.bytes += end;
        Ok(Some(end))
    }
}

/// The kind of an answer line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    Ok,
    /// The text of the error.
    Err(&'a [u8]),
    /// The server asks for a line of the mechanism; holds its message in base64.
    Challenge(&'a [u8]),
}

impl<'a> Status<'a> {
    /// Reads a line with or without its end.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, Refusal> {
        let line = trim_end(line);
        let behind = |name: &[u8]| {
            let (begin, rest) = line.split_at_checked(name.len())?;
            let is = begin.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b' ' | b'\t'));
            is.then(|| rest.trim_ascii_start())
        };
        if behind(b"+OK").is_some() {
            return Ok(Self::Ok);
        }
        let other = behind(b"-ERR").map(Self::Err).or_else(|| behind(b"+").map(Self::Challenge));
        other.ok_or_else(|| violation("it sent a line that is no answer"))
    }
}

/// The response code that an answer's text begins with (RFC 2449 §8), without its brackets: `SYS/TEMP`. Brackets
/// elsewhere are text.
pub(super) fn code(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', inner)?;
    inner.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(Status::read(b"+OK Gpop ready\r\n").unwrap(), Status::Ok);
        assert_eq!(Status::read(b"+ok\n").unwrap(), Status::Ok);
        assert_eq!(Status::read(b"-ERR [AUTH] No\r\n").unwrap(), Status::Err(b"[AUTH] No"));
        assert_eq!(Status::read(b"-ERR\r\n").unwrap(), Status::Err(b""));
        assert_eq!(Status::read(b"+ \r\n").unwrap(), Status::Challenge(b""));
        assert_eq!(Status::read(b"+\r\n").unwrap(), Status::Challenge(b""));
        assert_eq!(Status::read(b"+ eyJ9\r\n").unwrap(), Status::Challenge(b"eyJ9"));
        for line in
            [&b"\r\n"[..], b"* OK IMAP\r\n", b"220 x\r\n", b"+OKAY\r\n", b"-ERROR\r\n", b"+OK\0\r\n", b"."]
        {
            assert!(Status::read(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_code_stands_at_the_beginning() {
        assert_eq!(code(b"[SYS/TEMP] later"), Some(&b"SYS/TEMP"[..]));
        assert_eq!(code(b"ready. [RgBS]"), None);
        assert_eq!(code(b"[open"), None);
    }

    #[test]
    fn a_server_that_never_stops_talking_is_left() {
        let mut lines = Lines::default();
        for _ in 0..LINES_LIMIT {
            assert_eq!(lines.next(b"TOP\r\n").unwrap(), Some(5));
        }
        assert!(lines.next(b"TOP\r\n").is_err());
        assert!(Lines::default().next(&[b'x'; LINE_LIMIT + 1]).is_err());
        let mut lines = Lines::default();
        let long = [&[b'x'; LINE_LIMIT - 1][..], b"\n"].concat();
        assert!((0..9).any(|_| lines.next(&long).is_err()));
    }
}
