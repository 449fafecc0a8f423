//! The meaning of a provider's answers: its refusals before a login, and its messages in a session.
//!
//! Providers answer in prose. [`KNOWN`] lists the texts of Gmail and Exchange with their causes and remedies in
//! plain words. A text that is not in the table is judged by its response code (RFC 5530); a NO without a code
//! refuses the token.

use super::response::{Response, Status, Words, said};
use crate::protocol::verdict::{
    self, Heard, Judgement, Known, UNAVAILABLE, Verdict, WEB_LOGIN, find, first_url, known,
};
use crate::protocol::{Advice, Door, Refusal};

/// Keeps what an untagged line says about a web login.
pub(super) fn listen(heard: &mut Heard, response: &Response<'_>) {
    if let Response::Untagged(Status::No, words) = response {
        heard.url = web_alert(words).or(heard.url.take());
    }
}

/// The provider's server broke the protocol, or is no IMAP server.
pub(super) fn violation(what: &'static str) -> Refusal {
    Refusal::Violation { door: Door::Imap, what }
}

pub(super) const TOKEN: Advice = Advice::person(
    "The mail provider did not accept the stored authorisation",
    "authorise the account again, and check that the mailbox is the one that was authorised",
);
const CONNECTIONS: Advice = Advice::person(
    "The mail provider allows no more simultaneous connections for this account",
    "close other mail programs, or set max_connections_per_account lower",
);
const THROTTLED: Advice = Advice::person(
    "The mail provider slows this account down after too many requests",
    "let it rest and check mail less often",
);
const AUTHORIZATION: Advice = Advice::person(
    "The mail provider accepted the authorisation, but not for this mailbox",
    "check the mailbox name, and that the person who authorised has full access to it",
);
const ADMINISTRATOR: Advice =
    Advice::person("The mail provider wants an administrator to act", "ask the administrator of the mailbox");
const NOT_CONNECTED: Advice = Advice::person(
    "The mail provider accepted the authorisation but does not open the mailbox",
    "check the mailbox name and the access to it, that IMAP is enabled for it, and that not too many sessions are open",
);

/// Texts of providers, matched anywhere in a line without regard to case; the first match counts.
const KNOWN: &[Known] = &[
    ("WEBALERT", Verdict::WebLogin, WEB_LOGIN),
    ("Please log in via your web browser", Verdict::WebLogin, WEB_LOGIN),
    ("Web login required", Verdict::WebLogin, WEB_LOGIN),
    ("Too many simultaneous connections", Verdict::Connections, CONNECTIONS),
    known(
        "Account exceeded command or bandwidth limits",
        Verdict::Throttled,
        "The account used up Gmail's daily transfer allowance",
        "wait up to 24 hours, and have the mail program fetch less",
    ),
    ("Request is throttled", Verdict::Throttled, THROTTLED),
    ("Suggested Backoff Time", Verdict::Throttled, THROTTLED),
    known(
        "Your account is not enabled for IMAP use",
        Verdict::Disabled,
        "IMAP is switched off for this Gmail account",
        "enable it in Gmail's settings under Forwarding and POP/IMAP",
    ),
    known(
        "IMAP access is disabled for your domain",
        Verdict::Disabled,
        "IMAP is switched off for this Google Workspace domain, or the OAuth client is not on its list",
        "ask the domain's administrator",
    ),
    ("User is authenticated but not connected", Verdict::Disabled, NOT_CONNECTED),
    known(
        "Application-specific password required",
        Verdict::Token,
        "The mail provider took the sign-in for one with a password",
        "please report this: the proxy never sends one",
    ),
    known(
        "Lookup failed",
        Verdict::Token,
        "The token lacks the mail scope, or the service account may not act for this user",
        "authorise the account again with the scope https://mail.google.com/, or have the administrator allow it",
    ),
    known(
        "AUTHENTICATE failed",
        Verdict::Token,
        "Exchange refused without a reason: usually a token without the IMAP permission, IMAP switched off for the mailbox, a wrong mailbox name, or no licence",
        "authorise the account again, and check the mailbox in the Exchange admin centre",
    ),
    // Seen only within a session: Exchange or Gmail ended it at its time limit.
    known(
        "AccessTokenExpired",
        Verdict::Unavailable,
        "The session ended with its access token, as Exchange's sessions do",
        "log in again: a new token is used",
    ),
    known(
        "Session expired, please login again",
        Verdict::Unavailable,
        "The session reached Gmail's time limit",
        "log in again: a new token is used",
    ),
    ("Server Unavailable", Verdict::Unavailable, UNAVAILABLE),
    known(
        "Command received in Invalid state",
        Verdict::Unavailable,
        "Exchange lost the session",
        "log in again",
    ),
];

/// The advice on a line of a provider, before or within a session: for the log and an account's last error.
///
/// `line` may be a whole read of several lines; `None` if it holds no known text. The relay asks only about short
/// reads that begin like a refusal or a BYE, because it does not read mail.
pub fn advice_on(line: &[u8]) -> Option<Advice> {
    find(KNOWN, line).map(|(_, advice)| advice)
}

/// The refusal that a tagged NO or BAD with these words means.
pub(super) fn refused(words: &Words<'_>, heard: Heard) -> Refusal {
    let (text, url) = (words.said(), web_alert(words).or(heard.url));
    let judgement = match find(KNOWN, text.as_bytes()) {
        Some(judgement) => judgement,
        None if url.is_some() => (Verdict::WebLogin, WEB_LOGIN),
        None => by_code(words),
    };
    Heard { url, ..heard }.refusal(text, judgement)
}

/// The refusal that a BYE with these words means, instead of a greeting or a verdict. It is about the server or the
/// session; a token is refused with NO.
pub(super) fn turned_away(words: &Words<'_>, heard: Heard) -> Refusal {
    verdict::turned_away(refused(words, heard), true, UNAVAILABLE)
}

/// Judges texts that are not known by their code (RFC 5530 §3).
fn by_code(words: &Words<'_>) -> Judgement {
    const CODES: &[Known] = &[
        ("UNAVAILABLE", Verdict::Unavailable, UNAVAILABLE),
        ("SERVERBUG", Verdict::Unavailable, UNAVAILABLE),
        ("INUSE", Verdict::Connections, CONNECTIONS),
        ("LIMIT", Verdict::Connections, CONNECTIONS),
        ("THROTTLED", Verdict::Throttled, THROTTLED),
        ("CONTACTADMIN", Verdict::Disabled, ADMINISTRATOR),
        ("NOPERM", Verdict::Disabled, ADMINISTRATOR),
        ("AUTHORIZATIONFAILED", Verdict::Token, AUTHORIZATION),
    ];
    if words.is_over_quota() {
        return (Verdict::Throttled, THROTTLED);
    }
    let code = words.other_code().map(|(name, _)| name).unwrap_or_default();
    CODES
        .iter()
        .find(|(name, ..)| code.eq_ignore_ascii_case(name.as_bytes()))
        .map_or((Verdict::Token, TOKEN), |&(_, kind, advice)| (kind, advice))
}

/// The argument of `[WEBALERT url]`.
fn web_alert(words: &Words<'_>) -> Option<String> {
    let (_, url) = words.other_code().filter(|(name, _)| name.eq_ignore_ascii_case(b"WEBALERT"))?;
    first_url(&said(url))
}
