//! A client's own name before its login: the name and version of IMAP's ID (RFC 2971), or the domain of EHLO.
//!
//! Only for the log and for lists of sessions: a client may give any name, so nothing is decided by it.

/// Characters that are kept.
const LIMIT: usize = 64;

/// `parts` joined by blanks, printable ASCII only (the rest is `?`) bounded; `None` if that is empty.
pub(super) fn called(parts: &[&[u8]]) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        let part = String::from_utf8_lossy(part);
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(part.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(LIMIT));
    }
    text.truncate(LIMIT);
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_bounded_line_of_what_can_be_seen() {
        assert_eq!(called(&[b"Thunderbird", b"128.5"]).as_deref(), Some("Thunderbird 128.5"));
        assert_eq!(called(&["é\r\nlogin\x1b[2J".as_bytes()]).as_deref(), Some("?\u{3f}?login?[2J"));
        assert_eq!(called(&[b"", b" \t "]), None);
        assert_eq!(called(&[&[b'x'; 1000], b"y"]).unwrap().len(), LIMIT);
    }
}
