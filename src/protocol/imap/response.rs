//! Reads what a provider's server says, as far as a sign-in needs it.
//!
//! Status, response code, capabilities, continuation, RFC 3501 §7. Deliberately shallow: servers
//! decorate their lines (Exchange puts a bracketed base64 name behind its greeting), and after the sign-in
//! nothing is read at all.

use crate::protocol::denial::plain_text;
use crate::protocol::line::trim_end;

/// One response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response<'a> {
    /// `+ …`: the server waits for a line; holds what follows the blank.
    Continue(&'a [u8]),
    /// `* OK`, `NO`, `BAD`, `PREAUTH` or `BYE`.
    Untagged(Status, &'a [u8]),
    /// `* CAPABILITY …`, with the names.
    Capability(&'a [u8]),
    /// Ours: how the command ended.
    Tagged(Status, &'a [u8]),
    /// Another untagged response.
    Data,
    /// Another tag's, or nothing that IMAP knows.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    PreAuth,
    Bye,
}

/// Reads one response, line end included; `tag` is that of the command under way.
pub(super) fn parse<'a>(response: &'a [u8], tag: &[u8]) -> Response<'a> {
    let line = trim_end(response);
    // Some servers omit the blank behind the plus sign.
    if let Some(text) = line.strip_prefix(b"+") {
        return Response::Continue(text.strip_prefix(b" ").unwrap_or(text));
    }
    let (first, rest) = split_word(line);
    if first == b"*" {
        let (name, text) = split_word(rest);
        return match status(name) {
            Some(status) => Response::Untagged(status, text),
            None if name.eq_ignore_ascii_case(b"CAPABILITY") => Response::Capability(text),
            None => Response::Data,
        };
    }
    let (name, text) = split_word(rest);
    match status(name) {
        Some(status @ (Status::Ok | Status::No | Status::Bad)) if first == tag => {
            Response::Tagged(status, text)
        }
        _ => Response::Foreign,
    }
}

/// Whether the line is free text to its end, so that `{5}` at its end announces no literal.
pub(super) fn is_text(line: &[u8], tag: &[u8]) -> bool {
    !matches!(parse(line, tag), Response::Capability(_) | Response::Data)
}

fn status(name: &[u8]) -> Option<Status> {
    const STATUSES: [(&[u8], Status); 5] = [
        (b"OK", Status::Ok),
        (b"NO", Status::No),
        (b"BAD", Status::Bad),
        (b"PREAUTH", Status::PreAuth),
        (b"BYE", Status::Bye),
    ];
    STATUSES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, status)| status)
}

/// The response code's name and argument (RFC 3501 §7.1) at the beginning of a status text.
pub(super) fn code(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', inside)?;
    Some(split_word(inside.get(..end)?))
}

/// What the server offers before login.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// RFC 4959.
    pub(super) sasl_ir: bool,
    /// RFC 3501 §6.2.1.
    pub(super) starttls: bool,
    /// The names behind `AUTH=`, upper case.
    pub(super) mechanisms: Vec<String>,
}

/// Reads a list of capability names.
pub(super) fn offer(capabilities: &[u8]) -> Offer {
    let mut offer = Offer { sasl_ir: false, starttls: false, mechanisms: Vec::new() };
    for name in capabilities.split(|&byte| byte == b' ') {
        match name.split_at_checked(5) {
            Some((prefix, mechanism)) if prefix.eq_ignore_ascii_case(b"AUTH=") => {
                offer.mechanisms.push(plain_text(&String::from_utf8_lossy(mechanism)).to_ascii_uppercase());
            }
            _ if name.eq_ignore_ascii_case(b"STARTTLS") => offer.starttls = true,
            _ => offer.sasl_ir |= name.eq_ignore_ascii_case(b"SASL-IR"),
        }
    }
    offer
}

/// The first word and what follows the blank behind it.
pub(super) fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text).and_then(|blank| text.split_at_checked(blank)) {
        Some((word, rest)) => (word, rest.strip_prefix(b" ").unwrap_or(rest)),
        None => (text, b""),
    }
}

/// A provider's text as it may be logged and quoted.
pub(super) fn said(text: &[u8]) -> String {
    plain_text(&String::from_utf8_lossy(text))
}

/// RFC 8437's name, which must not be offered through us: after it the provider would take another
/// login, password and all, from a client that we no longer read.
const UNAUTHENTICATE: &[u8] = b"UNAUTHENTICATE";

/// Appends `response` to `lines`, byte for byte, except that a capability list loses UNAUTHENTICATE.
pub(super) fn pass_on(response: &[u8], tag: &[u8], lines: &mut Vec<u8>) {
    let lists_capabilities = match parse(response, tag) {
        Response::Capability(_) => true,
        Response::Untagged(_, text) | Response::Tagged(_, text) => {
            code(text).is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"CAPABILITY"))
        }
        _ => false,
    };
    let mut rest = response;
    while lists_capabilities && let Some(at) = find_unauthenticate(rest) {
        // The blank in front of it goes with it.
        lines.extend_from_slice(rest.get(..at - 1).unwrap_or_default());
        rest = rest.get(at + UNAUTHENTICATE.len()..).unwrap_or_default();
    }
    lines.extend_from_slice(rest);
}

/// Where the name stands as a word of its own behind a blank.
fn find_unauthenticate(list: &[u8]) -> Option<usize> {
    let length = UNAUTHENTICATE.len();
    list.windows(length + 2)
        .position(|window| {
            let (&first, &last) = match window {
                [first, .., last] => (first, last),
                _ => return false,
            };
            first == b' '
                && matches!(last, b' ' | b']' | b'\r' | b'\n')
                && window.get(1..=length).is_some_and(|word| word.eq_ignore_ascii_case(UNAUTHENTICATE))
        })
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_told_apart() {
        let table: &[(&str, Response<'_>)] = &[
            ("+ \r\n", Response::Continue(b"")),
            ("+\r\n", Response::Continue(b"")),
            ("+ eyJ9\r\n", Response::Continue(b"eyJ9")),
            ("* OK ready\r\n", Response::Untagged(Status::Ok, b"ready")),
            ("* ok\n", Response::Untagged(Status::Ok, b"")),
            ("* PREAUTH hi\r\n", Response::Untagged(Status::PreAuth, b"hi")),
            ("* CAPABILITY IMAP4rev1\r\n", Response::Capability(b"IMAP4rev1")),
            ("* 3 EXISTS\r\n", Response::Data),
            ("x]1 OK done\r\n", Response::Tagged(Status::Ok, b"done")),
            ("x]1 BAD\r\n", Response::Tagged(Status::Bad, b"")),
            ("x]1 BYE\r\n", Response::Foreign),
            ("X]1 OK done\r\n", Response::Foreign),
            ("x]12 OK done\r\n", Response::Foreign),
            ("garbage\r\n", Response::Foreign),
            ("\r\n", Response::Foreign),
        ];
        for (line, expected) in table {
            assert_eq!(&parse(line.as_bytes(), b"x]1"), expected, "{line}");
        }
    }

    #[test]
    fn offers_are_read() {
        let gmail = offer(b"IMAP4rev1 UNSELECT SASL-IR AUTH=XOAUTH2 auth=plain AUTH=OAUTHBEARER");
        assert!(gmail.sasl_ir && !gmail.starttls && offer(b"IMAP4rev1 StartTLS").starttls);
        assert_eq!(gmail.mechanisms, ["XOAUTH2", "PLAIN", "OAUTHBEARER"]);
        assert_eq!(offer(b""), Offer { sasl_ir: false, starttls: false, mechanisms: vec![] });
    }

    #[test]
    fn a11_unauthenticate_is_not_passed_on() {
        let pass = |line: &str| {
            let mut lines = Vec::new();
            pass_on(line.as_bytes(), b"a", &mut lines);
            String::from_utf8(lines).unwrap()
        };
        assert_eq!(pass("* CAPABILITY IMAP4rev1 UNAUTHENTICATE IDLE\r\n"), "* CAPABILITY IMAP4rev1 IDLE\r\n");
        assert_eq!(pass("* CAPABILITY IMAP4rev1 unauthenticate\r\n"), "* CAPABILITY IMAP4rev1\r\n");
        assert_eq!(pass("a OK [CAPABILITY IDLE UNAUTHENTICATE] Hi\r\n"), "a OK [CAPABILITY IDLE] Hi\r\n");
        assert_eq!(pass("* CAPABILITY X UNAUTHENTICATE UNAUTHENTICATE\r\n"), "* CAPABILITY X\r\n");
        for untouched in [
            "* CAPABILITY IMAP4rev1  IDLE \r\n",
            "* CAPABILITY XUNAUTHENTICATE UNAUTHENTICATED\n",
            "a OK do not UNAUTHENTICATE please\r\n",
        ] {
            assert_eq!(pass(untouched), untouched);
        }
    }
}
