//! The replies that we write to senders (RFC 5321 §4.2, with the enhanced codes of RFC 3463).
//!
//! Lines hold fixed texts and the text of a [`Denial`], made harmless; no other bytes.

use crate::protocol::denial::plain_text;
use crate::protocol::{Code, Denial};
use crate::wire::Buffer;

/// The proxy's name for itself, to clients and to providers. No host has this name (RFC 6761 §6.3): Postfix
/// takes its own name in a greeting for a mail loop.
pub(super) const NAME: &str = "imap-oauth-proxy.localhost";

/// Bytes of text in one line: with code, enhanced code and line end below the 512 of RFC 5321 §4.5.3.1.5.
const LINE_TEXT: usize = 480;
/// The bytes for the rest of such a line.
const BESIDE_TEXT: usize = 30;

/// One reply: `250 2.0.0 text`. A text that is too long for one line continues in the next, divided between words.
pub(super) fn write_reply(outbox: &mut Buffer, status: &str, text: &str) {
    // "535 5.7.8": the enhanced code is repeated in each line (RFC 2034 §4).
    let (code, enhanced) = status.split_once(' ').unwrap_or((status, ""));
    let enhanced = if enhanced.is_empty() { String::new() } else { format!("{enhanced} ") };
    let mut rest = text;
    loop {
        let (line, more) = part(rest);
        let mark = if more.is_empty() { " " } else { "-" };
        outbox.push_parts(&[code, mark, &enhanced, line, "\r\n"]);
        if more.is_empty() {
            return;
        }
        rest = more;
    }
}

/// The first words of `text` (ASCII) that fit into a line, and the rest.
fn part(text: &str) -> (&str, &str) {
    let Some((most, _)) = text.split_at_checked(LINE_TEXT) else { return (text, "") };
    let end = most.rfind(' ').filter(|&end| end > 0).unwrap_or(LINE_TEXT);
    let (line, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (line, rest.trim_start())
}

/// A refused login. A cause that passes with time never gets a 5xx code: a sender would give the message up.
pub(super) fn write_denial(outbox: &mut Buffer, denial: &Denial) {
    let status = match denial.code {
        Code::AuthenticationFailed
        | Code::AuthorizationFailed
        | Code::ContactAdmin
        | Code::Expired
        | Code::WebLogin => "535 5.7.8",
        Code::PrivacyRequired => "538 5.7.11",
        _ => "454 4.7.0",
    };
    // A text that can be shorter fits into a single line.
    write_reply(outbox, status, &plain_text(denial.text_beside(BESIDE_TEXT)));
}

/// Refuses a device's MAIL, always with a 4xx code: no person watches a device, so it must keep the message and
/// try again.
pub(super) fn write_deferral(outbox: &mut Buffer, denial: &Denial) {
    let status = match denial.code {
        Code::Limit => "451 4.7.1",
        _ => "451 4.7.0",
    };
    write_reply(outbox, status, &plain_text(&denial.text));
}

/// Ends the connection from our side, instead of any reply or of the greeting (RFC 5321 §3.8, §4.2.1).
pub(super) fn write_end(outbox: &mut Buffer, denial: &Denial) {
    let status = match denial.code {
        Code::PrivacyRequired => "554 5.7.0",
        _ => "421 4.3.2",
    };
    write_reply(outbox, status, &plain_text(&denial.text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_becomes_several_lines_of_one_reply() {
        let mut outbox = Buffer::new();
        let word = "authorise ".repeat(90);
        write_reply(&mut outbox, "535 5.7.8", word.trim());
        let text = String::from_utf8(outbox.into_unread()).unwrap();
        let lines: Vec<_> = text.split_inclusive("\r\n").collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("535-5.7.8 authorise ") && lines[1].starts_with("535 5.7.8 authorise "));
        assert!(lines.iter().all(|line| line.len() <= 512 && line.ends_with("\r\n")));
    }
}
