//! The lines that we write to clients (RFC 1939 §3, with the response codes of RFC 2449 and RFC 3206).
//!
//! Lines hold fixed texts and the text of a [`Denial`], made harmless; no other bytes. A refusal is one line, so a
//! text that is too long is cut between words.

use crate::protocol::denial::plain_text;
use crate::protocol::{Code, Denial};
use crate::wire::Buffer;

/// Bytes of one line, its end included (RFC 2449 §4).
const LINE_LIMIT: usize = 512;

/// `+OK text`.
pub(super) fn write_ok(outbox: &mut Buffer, text: &str) {
    outbox.push_parts(&["+OK ", text, "\r\n"]);
}

/// `+OK text`, and `lines` up to the dot that ends them.
pub(super) fn write_list<'a>(outbox: &mut Buffer, text: &str, lines: impl Iterator<Item = &'a str>) {
    write_ok(outbox, text);
    lines.for_each(|line| outbox.push_parts(&[line, "\r\n"]));
    outbox.push_parts(&[".\r\n"]);
}

/// `-ERR text`: the client's command was wrong.
pub(super) fn write_err(outbox: &mut Buffer, text: &str) {
    outbox.push_parts(&["-ERR ", text, "\r\n"]);
}

/// A refused login, or the end of the connection from our side. The code is `[AUTH]` only if another password
/// could help, because a client then asks for one (RFC 3206 §4), or if the user has to act at the provider.
pub(super) fn write_denial(outbox: &mut Buffer, denial: &Denial) {
    let code = match denial.code {
        Code::AuthenticationFailed | Code::AuthorizationFailed | Code::Expired | Code::WebLogin => "[AUTH] ",
        Code::ContactAdmin => "[SYS/PERM] ",
        Code::InUse => "[IN-USE] ",
        Code::LoginDelay => "[LOGIN-DELAY] ",
        Code::Unavailable | Code::Limit | Code::ServerBug => "[SYS/TEMP] ",
        Code::PrivacyRequired => "",
    };
    let text = plain_text(denial.text_beside("-ERR \r\n".len() + code.len()));
    let room = LINE_LIMIT - "-ERR \r\n".len() - code.len();
    outbox.push_parts(&["-ERR ", code, cut(&text, room), "\r\n"]);
}

/// The first whole words of `text` (ASCII) that fit into `room`.
fn cut(text: &str, room: usize) -> &str {
    let Some((most, behind)) = text.split_at_checked(room) else { return text };
    match most.rfind(' ') {
        Some(end) if !behind.is_empty() && !behind.starts_with(' ') => most.get(..end).unwrap_or(most),
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: Code, text: &str) -> String {
        let mut outbox = Buffer::new();
        write_denial(&mut outbox, &Denial::new(code, text));
        String::from_utf8(outbox.into_unread()).unwrap()
    }

    #[test]
    fn a_long_text_is_cut_between_two_words() {
        let line = written(Code::ContactAdmin, "authorise ".repeat(90).trim());
        assert!(line.starts_with("-ERR [SYS/PERM] authorise ") && line.ends_with(" authorise\r\n"), "{line}");
        assert!((500..=LINE_LIMIT).contains(&line.len()), "{}", line.len());
        assert_eq!(written(Code::InUse, &"x".repeat(999)).len(), LINE_LIMIT);
        assert_eq!(cut("one two three", 7), "one two");
        assert_eq!(cut("one two three", 6), "one");
        assert_eq!(cut("one", 3), "one");
    }

    #[test]
    fn a_text_cannot_end_its_line() {
        assert_eq!(written(Code::Unavailable, "a\r\n+OK b"), "-ERR [SYS/TEMP] a +OK b\r\n");
    }
}
