//! The commands that a sender may say before its login (RFC 5321 §4.1, RFC 4954, RFC 3207).

use crate::protocol::line::word;
use crate::text::is_domain;

/// One command line before a login.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Ehlo(&'a [u8]),
    Helo(&'a [u8]),
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    StartTls,
    StartTlsWithMore,
    Noop,
    Rset,
    Help,
    Quit,
    /// The beginning of a message: only after a login, or from a device.
    Mail,
    /// Another command that needs a login.
    AfterLogin(AfterLogin),
    Unknown,
}

/// Known commands that need a login, and do not begin a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterLogin {
    /// RCPT or BURL.
    Recipient,
    /// DATA: lines follow, once the server asks for them.
    Data,
    /// BDAT (RFC 3030), which bytes follow at once if `chunk`.
    Bdat { chunk: bool },
    /// VRFY.
    Verify,
    /// EXPN or ETRN.
    Query,
}

impl AfterLogin {
    fn named(verb: &[u8], rest: &[u8]) -> Option<Self> {
        let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
        Some(if is(b"RCPT") || is(b"BURL") {
            Self::Recipient
        } else if is(b"DATA") {
            Self::Data
        } else if is(b"BDAT") {
            Self::Bdat { chunk: word(rest).0 != b"0" }
        } else if is(b"VRFY") {
            Self::Verify
        } else if is(b"EXPN") || is(b"ETRN") {
            Self::Query
        } else {
            return None;
        })
    }
}

/// The longest domain (RFC 5321 §4.5.3.1.2).
const DOMAIN_LIMIT: usize = 255;

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Command<'_> {
    let (verb, rest) = word(line);
    let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
    if is(b"EHLO") {
        Command::Ehlo(rest)
    } else if is(b"HELO") {
        Command::Helo(rest)
    } else if is(b"AUTH") {
        let (mechanism, initial) = word(rest);
        Command::Auth { mechanism, initial: (!initial.is_empty()).then_some(initial) }
    } else if is(b"STARTTLS") {
        if rest.is_empty() { Command::StartTls } else { Command::StartTlsWithMore }
    } else if is(b"NOOP") {
        Command::Noop
    } else if is(b"RSET") {
        Command::Rset
    } else if is(b"HELP") {
        Command::Help
    } else if is(b"QUIT") {
        Command::Quit
    } else if is(b"MAIL") {
        Command::Mail
    } else {
        AfterLogin::named(verb, rest).map_or(Command::Unknown, Command::AfterLogin)
    }
}

/// The argument of EHLO if it may be passed to a provider: a domain, or an address literal (RFC 5321 §4.1.3).
pub(super) fn domain(argument: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(argument).ok()?;
    let literal = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        match inner.strip_prefix("IPv6:") {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok().map(drop),
            None => inner.parse::<std::net::Ipv4Addr>().ok().map(drop),
        }
    };
    let sound = text.len() <= DOMAIN_LIMIT && (is_domain(text) || literal().is_some());
    sound.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_known_in_any_case_and_with_any_blanks() {
        assert_eq!(parse(b"ehlo  scanner"), Command::Ehlo(b"scanner"));
        assert_eq!(parse(b"EHLO"), Command::Ehlo(b""));
        let auth = Command::Auth { mechanism: b"login", initial: None };
        assert_eq!(parse(b"auth login"), auth);
        let auth = Command::Auth { mechanism: b"PLAIN", initial: Some(b"AGE=") };
        assert_eq!(parse(b"AUTH  PLAIN  AGE="), auth);
        assert_eq!(parse(b"mail FROM:<a@b>"), Command::Mail);
        assert_eq!(parse(b"RCPT TO:<a@b>"), Command::AfterLogin(AfterLogin::Recipient));
        for (line, chunk) in [("bdat 12 last", true), ("BDAT 0 LAST", false), ("BDAT", true)] {
            assert_eq!(parse(line.as_bytes()), Command::AfterLogin(AfterLogin::Bdat { chunk }), "{line}");
        }
        assert_eq!(parse(b""), Command::Unknown);
        assert_eq!(parse(b"STARTTLS now"), Command::StartTlsWithMore);
    }

    #[test]
    fn only_a_domain_or_a_literal_is_said_to_a_provider() {
        for name in ["scanner", "scanner.corp.example", "[192.0.2.7]", "[IPv6:2001:db8::1]", "a-1.example"] {
            assert_eq!(domain(name.as_bytes()).as_deref(), Some(name), "{name}");
        }
        for name in ["", "DESK_TOP", "a b", "-a", "[192.0.2]", "[IPv6:x]", "a..b", "é", "a\rb"] {
            assert_eq!(domain(name.as_bytes()), None, "{name}");
        }
        assert_eq!(domain("a.".repeat(200).as_bytes()), None);
    }
}
