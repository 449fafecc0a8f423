//! Lines, as all mail protocols have them: their ends and words, and the first lines of browsers and probes.

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
