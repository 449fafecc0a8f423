//! Finds the end of a command or a response: lines, and the literals that continue those of IMAP.
//!
//! A line of IMAP that ends in `{n}` continues behind the next n bytes (RFC 3501 §4.3). The framer finds these ends in a
//! growing buffer and looks at each byte once. The caller decides whether a literal is welcome. A bare LF ends a
//! line too, because some mail programs send nothing else.

use std::ops::Range;

/// The result for the bytes seen so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// Part of a line or of a literal.
    More,
    /// A line that announces a literal at its end.
    Literal(Literal),
    /// A whole command or response of this length, line end included.
    Complete(usize),
}

/// An announced literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// Bytes announced; a number beyond `u64` counts as its largest.
    pub(super) size: u64,
    /// Whether the client waits for a `+` before it sends them (`{n}`), or not (`{n+}`, RFC 7888).
    pub(super) waits: bool,
    /// Offset of the literal, behind the announcing line.
    pub(super) start: usize,
}

/// The state of the search. Offsets count from the start of the command.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Offset of the line that is searched.
    line: usize,
    /// Offset at which the search continues.
    searched: usize,
}

impl Framer {
    /// Continues the search in `input`, which begins with the command and has grown since the last call.
    pub(super) fn next(&mut self, input: &[u8]) -> Framed {
        let Some((line, end)) = self.find_line(input) else { return Framed::More };
        match literal_at_end(input.get(line).unwrap_or_default()) {
            Some((size, waits)) => Framed::Literal(Literal { size, waits, start: end }),
            None => Framed::Complete(end),
        }
    }

    /// The end of the first line of `input`, without regard to literals.
    pub(super) fn next_line(&mut self, input: &[u8]) -> Option<usize> {
        self.find_line(input).map(|(_, end)| end)
    }

    /// Continues behind a literal that [`Framer::next`] found.
    pub(super) fn skip(&mut self, literal: &Literal) {
        let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
        self.go_on(literal.start.saturating_add(size));
    }

    /// Continues with the line that begins at `start`.
    pub(super) fn go_on(&mut self, start: usize) {
        (self.line, self.searched) = (start, start);
    }

    /// The next line without its end, and where it ends.
    pub(super) fn find_line(&mut self, input: &[u8]) -> Option<(Range<usize>, usize)> {
        let unsearched = input.get(self.searched..)?;
        let Some(found) = memchr::memchr(b'\n', unsearched) else {
            self.searched = input.len();
            return None;
        };
        let end = self.searched + found;
        self.searched = end;
        let text = input.get(self.line..end)?;
        let carriage_return = usize::from(text.ends_with(b"\r"));
        Some((self.line..end - carriage_return, end + 1))
    }
}

/// `{n}` or `{n+}` at the end of `line`, outside a quoted string.
fn literal_at_end(line: &[u8]) -> Option<(u64, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    let (text, number) = inner.split_at_checked(open)?;
    let number = number.strip_prefix(b"{")?;
    let (digits, waits) = match number.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (number, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || ends_in_quotes(text) {
        return None;
    }
    let push = |size: u64, digit: &u8| size.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some((digits.iter().fold(0, push), waits))
}

/// Whether `text` ends inside a quoted string, so that a `{5}` behind it is part of a password.
fn ends_in_quotes(text: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(size: u64, waits: bool, start: usize) -> Framed {
        Framed::Literal(Literal { size, waits, start })
    }

    #[test]
    fn lines_end_in_crlf_or_a_bare_lf() {
        assert_eq!(Framer::default().next(b"a NOOP\r\nb"), Framed::Complete(8));
        assert_eq!(Framer::default().next(b"a NOOP\nb"), Framed::Complete(7));
        assert_eq!(Framer::default().next(b"a NOOP\r"), Framed::More);
        assert_eq!(Framer::default().next(b"\n"), Framed::Complete(1));
    }

    #[test]
    fn literals_of_both_kinds_are_announced() {
        assert_eq!(Framer::default().next(b"a LOGIN {3}\r\n"), literal(3, true, 13));
        assert_eq!(Framer::default().next(b"a LOGIN {3+}\r\n"), literal(3, false, 14));
        assert_eq!(Framer::default().next(b"a LOGIN {3}\n"), literal(3, true, 12));
    }

    #[test]
    fn a_literal_may_hold_line_ends() {
        let input = b"a LOGIN {4}\r\n\r\n\r\n x\r\n";
        let mut framer = Framer::default();
        let Framed::Literal(found) = framer.next(input) else { panic!("no literal") };
        framer.skip(&found);
        assert_eq!(framer.next(input), Framed::Complete(input.len()));
    }

    #[test]
    fn security_row_7_huge_numbers_saturate() {
        assert_eq!(Framer::default().next(b"a X {99999999999999999999}\r\n"), literal(u64::MAX, true, 28));
        let mut framer = Framer::default();
        framer.skip(&Literal { size: u64::MAX, waits: false, start: 10 });
        assert_eq!(framer.next(b"anything\r\nat all\r\n"), Framed::More);
    }

    #[test]
    fn what_only_looks_like_a_literal_is_text() {
        for line in ["{}", "{+}", "{x}", "{-1}", "{5} ", "{5+", "5}", "\"{5}", "\"a\\\" {5}", "{5++}"] {
            let line = format!("a LOGIN joe {line}\r\n");
            assert_eq!(Framer::default().next(line.as_bytes()), Framed::Complete(line.len()), "{line}");
        }
    }

    #[test]
    fn no_byte_is_searched_twice() {
        let mut framer = Framer::default();
        assert_eq!(framer.next(b"a LOG"), Framed::More);
        assert_eq!(framer.searched, 5);
        assert_eq!(framer.next(b"a LOGIN joe pw\r\n"), Framed::Complete(16));
    }
}
