//! The meaning of a provider's answers: its refusals before a login, and its messages in a session.
//!
//! Providers answer in prose. [`KNOWN`] lists the texts of Gmail and Exchange with their causes and remedies in
//! plain words. A text that is not in the table is judged by its response code (RFC 5530); a NO without a code
//! refuses the token.

use std::time::Duration;

use super::response::{Response, Status, Words, said};
use crate::protocol::sasl::Challenge;
use crate::protocol::verdict::{self, UNAVAILABLE, WEB_LOGIN};
use crate::protocol::{Advice, Answers, Door, Refusal, Said};

/// Lines before the verdict that help to explain it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The current step.
    pub(super) answers: Answers,
    pub(super) challenge: Option<Box<Challenge>>,
    /// The URL of a web login that an untagged line named.
    url: Option<String>,
}

impl Heard {
    /// Nothing heard yet, in the step that waits for `answers`.
    pub(super) fn while_waiting_for(answers: Answers) -> Self {
        Self { answers, ..Self::default() }
    }

    pub(super) fn listen(&mut self, response: &Response<'_>) {
        if let Response::Untagged(Status::No, words) = response {
            self.url = web_alert(words).or(self.url.take());
        }
    }
}

/// The provider's server broke the protocol, or is no IMAP server.
pub(super) fn violation(what: &'static str) -> Refusal {
    Refusal::Violation { door: Door::Imap, what }
}

const fn advice(cause: &'static str, remedy: &'static str) -> Advice {
    Advice::person(cause, remedy)
}

const TOKEN: Advice = advice(
    "The mail provider did not accept the stored authorisation",
    "authorise the account again, and check that the mailbox is the one that was authorised",
);
const CONNECTIONS: Advice = advice(
    "The mail provider allows no more simultaneous connections for this account",
    "close other mail programs, or set max_connections_per_account lower",
);
const THROTTLED: Advice = advice(
    "The mail provider slows this account down after too many requests",
    "let it rest and check mail less often",
);
const AUTHORIZATION: Advice = advice(
    "The mail provider accepted the authorisation, but not for this mailbox",
    "check the mailbox name, and that the person who authorised has full access to it",
);
const ADMINISTRATOR: Advice =
    advice("The mail provider wants an administrator to act", "ask the administrator of the mailbox");
const NOT_CONNECTED: Advice = advice(
    "The mail provider accepted the authorisation but does not open the mailbox",
    "check the mailbox name and the access to it, that IMAP is enabled for it, and that not too many sessions are open",
);

/// The caller's next action after a known text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Token,
    Connections,
    Throttled,
    Disabled,
    WebLogin,
    Unavailable,
    /// Seen only within a session: Exchange or Gmail ended it at its time limit.
    SessionEnd,
}

/// Texts of providers, matched anywhere in a line without regard to case; the first match counts.
const KNOWN: &[(&str, Kind, Advice)] = &[
    ("WEBALERT", Kind::WebLogin, WEB_LOGIN),
    ("Please log in via your web browser", Kind::WebLogin, WEB_LOGIN),
    ("Web login required", Kind::WebLogin, WEB_LOGIN),
    ("Too many simultaneous connections", Kind::Connections, CONNECTIONS),
    (
        "Account exceeded command or bandwidth limits",
        Kind::Throttled,
        advice(
            "The account used up Gmail's daily transfer allowance",
            "wait up to 24 hours, and have the mail program fetch less",
        ),
    ),
    ("Request is throttled", Kind::Throttled, THROTTLED),
    ("Suggested Backoff Time", Kind::Throttled, THROTTLED),
    (
        "Your account is not enabled for IMAP use",
        Kind::Disabled,
        advice(
            "IMAP is switched off for this Gmail account",
            "enable it in Gmail's settings under Forwarding and POP/IMAP",
        ),
    ),
    (
        "IMAP access is disabled for your domain",
        Kind::Disabled,
        advice(
            "IMAP is switched off for this Google Workspace domain, or the OAuth client is not on its list",
            "ask the domain's administrator",
        ),
    ),
    ("User is authenticated but not connected", Kind::Disabled, NOT_CONNECTED),
    (
        "Application-specific password required",
        Kind::Token,
        advice(
            "The mail provider took the sign-in for one with a password",
            "please report this: the proxy never sends one",
        ),
    ),
    (
        "Lookup failed",
        Kind::Token,
        advice(
            "The token lacks the mail scope, or the service account may not act for this user",
            "authorise the account again with the scope https://mail.google.com/, or have the administrator allow it",
        ),
    ),
    (
        "AUTHENTICATE failed",
        Kind::Token,
        advice(
            "Exchange refused without a reason: usually a token without the IMAP permission, IMAP switched off for the mailbox, a wrong mailbox name, or no licence",
            "authorise the account again, and check the mailbox in the Exchange admin centre",
        ),
    ),
    (
        "AccessTokenExpired",
        Kind::SessionEnd,
        advice(
            "The session ended with its access token, as Exchange's sessions do",
            "log in again: a new token is used",
        ),
    ),
    (
        "Session expired, please login again",
        Kind::SessionEnd,
        advice("The session reached Gmail's time limit", "log in again: a new token is used"),
    ),
    ("Server Unavailable", Kind::Unavailable, UNAVAILABLE),
    (
        "Command received in Invalid state",
        Kind::Unavailable,
        advice("Exchange lost the session", "log in again"),
    ),
];

/// The advice on a line of a provider, before or within a session: for the log and an account's last error.
///
/// `line` may be a whole read of several lines; `None` if it holds no known text. The relay asks only about short
/// reads that begin like a refusal or a BYE, because it does not read mail.
pub fn advice_on(line: &[u8]) -> Option<Advice> {
    known(line).map(|&(_, _, advice)| advice)
}

fn known(text: &[u8]) -> Option<&'static (&'static str, Kind, Advice)> {
    KNOWN.iter().find(|(needle, ..)| contains(text, needle.as_bytes()))
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// The refusal that a tagged NO or BAD with these words means.
pub(super) fn refused(words: &Words<'_>, heard: Heard) -> Refusal {
    let (text, url) = (words.said(), web_alert(words).or(heard.url));
    let (kind, advice) = match known(text.as_bytes()) {
        Some(&(_, kind, advice)) => (kind, advice),
        None if url.is_some() => (Kind::WebLogin, WEB_LOGIN),
        None => by_code(words),
    };
    let (wait, first_url) = (backoff(&text), first_url(text.as_bytes()));
    let said = Said { text, answers: heard.answers, challenge: heard.challenge, advice };
    match kind {
        Kind::Token => Refusal::Token(said),
        Kind::Connections => Refusal::Connections(said),
        Kind::Throttled => Refusal::Throttled { wait, said },
        Kind::Disabled => Refusal::Disabled(said),
        Kind::WebLogin => Refusal::WebLogin { url: url.or(first_url), said },
        Kind::Unavailable | Kind::SessionEnd => Refusal::Unavailable(said),
    }
}

/// The refusal that a BYE with these words means, instead of a greeting or a verdict.
pub(super) fn turned_away(words: &Words<'_>, heard: Heard) -> Refusal {
    match refused(words, heard) {
        // BYE is about the server or the session; a token is refused with NO.
        Refusal::Token(said) => Refusal::Unavailable(Said { advice: UNAVAILABLE, ..said }),
        other => other,
    }
}

/// The meaning of the connection's end while a verdict is due.
pub(super) fn closed(heard: Heard) -> Refusal {
    verdict::closed(heard.challenge, TOKEN)
}

/// Judges texts that are not known by their code (RFC 5530 §3).
fn by_code(words: &Words<'_>) -> (Kind, Advice) {
    const CODES: &[(&str, Kind, Advice)] = &[
        ("UNAVAILABLE", Kind::Unavailable, UNAVAILABLE),
        ("SERVERBUG", Kind::Unavailable, UNAVAILABLE),
        ("INUSE", Kind::Connections, CONNECTIONS),
        ("LIMIT", Kind::Connections, CONNECTIONS),
        ("THROTTLED", Kind::Throttled, THROTTLED),
        ("CONTACTADMIN", Kind::Disabled, ADMINISTRATOR),
        ("NOPERM", Kind::Disabled, ADMINISTRATOR),
        ("AUTHORIZATIONFAILED", Kind::Token, AUTHORIZATION),
    ];
    if words.is_over_quota() {
        return (Kind::Throttled, THROTTLED);
    }
    let code = words.other_code().map(|(name, _)| name).unwrap_or_default();
    CODES
        .iter()
        .find(|(name, ..)| code.eq_ignore_ascii_case(name.as_bytes()))
        .map_or((Kind::Token, TOKEN), |&(_, kind, advice)| (kind, advice))
}

/// Exchange's "Suggested Backoff Time: 299961 milliseconds".
fn backoff(text: &str) -> Option<Duration> {
    let (_, behind) = text.split_once("Backoff Time:")?;
    let digits = behind.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_millis(digits.parse().ok()?))
}

/// The argument of `[WEBALERT url]`.
fn web_alert(words: &Words<'_>) -> Option<String> {
    let (name, url) = words.other_code()?;
    if !name.eq_ignore_ascii_case(b"WEBALERT") {
        return None;
    }
    first_url(url)
}

/// The first https URL in `text`, in printable form.
fn first_url(text: &[u8]) -> Option<String> {
    let text = said(text);
    let at = text.find("https://")?;
    let url = text.get(at..)?.split([' ', ')', ']', '"', '<', '>']).next()?;
    Some(url.to_owned())
}
