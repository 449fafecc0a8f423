//! Finds the end of a message after DATA: CRLF, a dot and CRLF, and nothing else (RFC 5321 §4.1.1.4).
//!
//! A bare LF or a bare CR does not count as a line end, so nothing inside a message can be taken for its end.

/// Watches the octets after DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Inside,
    Cr,
    /// At the start of a line; a message begins here.
    Start,
    Dot,
    DotCr,
}

/// The octets of the final `.` CRLF.
pub(super) const FINAL: usize = 3;

impl Ending {
    pub(super) fn new() -> Self {
        Self::Start
    }

    /// The number of these octets up to and including the final dot; `None` if the end is not among them.
    pub(super) fn find(&mut self, octets: &[u8]) -> Option<usize> {
        for (at, octet) in octets.iter().enumerate() {
            *self = match (*self, octet) {
                (Self::DotCr, b'\n') => return Some(at + 1),
                (Self::Cr, b'\n') => Self::Start,
                (Self::Start, b'.') => Self::Dot,
                (Self::Dot, b'\r') => Self::DotCr,
                (_, b'\r') => Self::Cr,
                _ => Self::Inside,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(octets: &[u8]) -> Option<usize> {
        let whole = Ending::new().find(octets);
        let mut pieces = Ending::new();
        let found = octets.iter().position(|octet| pieces.find(&[*octet]).is_some());
        assert_eq!(found.map(|at| at + 1), whole, "{octets:?}");
        whole
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        assert_eq!(end(b".\r\n"), Some(3));
        assert_eq!(end(b"a\r\n.\r\nQUIT"), Some(6));
        assert_eq!(end(b"\r\r\n.\r\n"), Some(6));
        for inside in [
            &b"a\n.\n"[..],
            b"a\n.\r\n",
            b"a\r.\r\n",
            b"a\r\n..\r\n",
            b"a\r\n.\n",
            b"a\r\n.\r.\r\n",
            b"a.\r\n",
            b"..\r\n",
        ] {
            assert_eq!(end(inside), None, "{inside:?}");
        }
    }
}
