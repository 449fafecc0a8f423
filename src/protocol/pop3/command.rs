//! The commands that a client may say before its login (RFC 1939 §4, RFC 2449, RFC 2595, RFC 5034).

use crate::protocol::line::{trim_end, word};

/// One command line before a login.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Capa,
    User(&'a [u8]),
    /// The password: all bytes behind one blank, other blanks included (RFC 1939 §7).
    Pass(&'a [u8]),
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    /// AUTH alone: old programs ask for the mechanisms with it.
    Mechanisms,
    Stls,
    StlsWithMore,
    Quit,
    /// A command for mail, which needs a login.
    AfterLogin,
    /// A challenge that is never offered.
    Apop,
    Unknown,
}

/// Known verbs that need a login.
const AFTER_LOGIN: [&[u8]; 10] =
    [b"STAT", b"LIST", b"RETR", b"DELE", b"NOOP", b"RSET", b"TOP", b"UIDL", b"LAST", b"XTND"];

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Command<'_> {
    let (verb, rest) = word(line);
    let rest = trim_end(rest);
    let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
    if is(b"CAPA") {
        Command::Capa
    } else if is(b"USER") {
        Command::User(rest)
    } else if is(b"PASS") {
        Command::Pass(behind_verb(line))
    } else if is(b"AUTH") {
        match word(rest) {
            (b"", _) => Command::Mechanisms,
            (mechanism, initial) => {
                Command::Auth { mechanism, initial: (!initial.is_empty()).then_some(initial) }
            }
        }
    } else if is(b"STLS") {
        if rest.is_empty() { Command::Stls } else { Command::StlsWithMore }
    } else if is(b"QUIT") {
        Command::Quit
    } else if is(b"APOP") {
        Command::Apop
    } else if AFTER_LOGIN.iter().any(|name| is(name)) {
        Command::AfterLogin
    } else {
        Command::Unknown
    }
}

/// The bytes behind the first blank after the verb.
fn behind_verb(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let before = line.iter().take_while(|byte| blank(byte)).count();
    let verb = line.iter().skip(before).take_while(|byte| !blank(byte)).count();
    line.get(before + verb + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_known_in_any_case_and_with_any_blanks() {
        assert_eq!(parse(b"capa"), Command::Capa);
        assert_eq!(parse(b"User  alice@example.com "), Command::User(b"alice@example.com"));
        assert_eq!(parse(b"USER"), Command::User(b""));
        assert_eq!(parse(b"auth"), Command::Mechanisms);
        assert_eq!(parse(b"AUTH "), Command::Mechanisms);
        assert_eq!(parse(b"AUTH login"), Command::Auth { mechanism: b"login", initial: None });
        let auth = Command::Auth { mechanism: b"PLAIN", initial: Some(b"AGE=") };
        assert_eq!(parse(b"AUTH  PLAIN  AGE="), auth);
        assert_eq!(parse(b"RETR 1"), Command::AfterLogin);
        assert_eq!(parse(b"STLS now"), Command::StlsWithMore);
        for line in [&b""[..], b"UTF8", b"LANG", b"EHLO x", b"a1 LOGIN a b", b"STATS"] {
            assert_eq!(parse(line), Command::Unknown);
        }
    }

    #[test]
    fn a_password_is_all_behind_one_blank() {
        assert_eq!(parse(b"PASS two words"), Command::Pass(b"two words"));
        assert_eq!(parse(b"pass  a b "), Command::Pass(b" a b "));
        assert_eq!(parse(b"PASS "), Command::Pass(b""));
        assert_eq!(parse(b"PASS"), Command::Pass(b""));
    }
}
