//! Lines, as all mail protocols have them: their ends, and the first lines of browsers and probes.

/// The search for the end of a line in a buffer that grows. It looks at each byte once. A bare LF ends a line too,
/// because some mail programs send nothing else.
#[derive(Debug, Default)]
pub(super) struct LineSearch {
    searched: usize,
}

impl LineSearch {
    /// The end of the first line of `input`, its line end included. The caller must remove the line: the next call
    /// searches from the start.
    pub(super) fn next(&mut self, input: &[u8]) -> Option<usize> {
        let unsearched = input.get(self.searched..)?;
        match memchr::memchr(b'\n', unsearched) {
            Some(at) => Some(std::mem::take(&mut self.searched) + at + 1),
            None => {
                self.searched = input.len();
                None
            }
        }
    }
}

/// `text` without trailing blanks and line ends.
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// The first word of `text`, and the rest behind its blanks.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let text = text.get(text.iter().take_while(|byte| blank(byte)).count()..).unwrap_or_default();
    let end = text.iter().position(blank).unwrap_or(text.len());
    let (first, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    (first, rest.get(rest.iter().take_while(|byte| blank(byte)).count()..).unwrap_or_default())
}

/// `line` without its line end; blanks stay.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a browser or a probe speaks: `GET / HTTP/1.1`.
pub(super) fn is_http(line: &[u8]) -> bool {
    let mut words = trim_end(line).split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let is_target = matches!(target.first(), Some(b'/' | b'*')) || target.contains(&b':');
    method.iter().all(u8::is_ascii_uppercase) && is_target && version.starts_with(b"HTTP/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_crlf_or_a_bare_lf_and_no_byte_is_searched_twice() {
        let mut search = LineSearch::default();
        assert_eq!(search.next(b"EHLO x"), None);
        assert_eq!(search.searched, 6);
        assert_eq!(search.next(b"EHLO x\r\nQUIT\n"), Some(8));
        assert_eq!(search.next(b"QUIT\n"), Some(5));
    }
}
