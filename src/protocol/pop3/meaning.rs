//! The meaning of a POP3 server's refusals, at a sign-in and within a session.
//!
//! Providers answer in prose. [`KNOWN`] lists the texts of Gmail and Exchange with their causes and remedies in
//! plain words. A text that is not in the table is judged by its response code (RFC 2449 §8.1.1, RFC 3206); a
//! refused message without a code means the token.

use super::response::code;
use crate::protocol::denial::plain_text;
use crate::protocol::verdict::{self, Heard, Judgement, Known, UNAVAILABLE, Verdict, WEB_LOGIN, find, known};
use crate::protocol::{Advice, Door, Refusal, Said};

/// The provider's server broke the protocol, or is no POP3 server.
pub(super) fn violation(what: &'static str) -> Refusal {
    Refusal::Violation { door: Door::Pop3, what }
}

const TOKEN: Advice = Advice::person(
    "The mail provider did not accept the stored authorisation for POP3",
    "authorise the account again, and check that the mailbox is the one that was authorised",
);
const OF_RECENT: Advice = Advice::person(
    "The mail provider did not accept the stored authorisation under a user name that begins with recent:",
    "leave recent: out of the mail program's user name; where that does not help, authorise the account again",
);
const EXCHANGE: Advice = Advice::person(
    "Exchange refused without a reason: usually a token without the POP permission, POP switched off for the mailbox, a wrong mailbox name, or no licence",
    "authorise the account again, and check the mailbox in the Exchange admin centre",
);
const IN_USE: Advice = Advice::person(
    "The mailbox is open in another POP3 session at the mail provider",
    "wait until that has ended, or let one mail program alone fetch by POP3",
);
const THROTTLED: Advice = Advice::person(
    "The mail provider slows this account down after too many requests",
    "wait, and fetch mail less often",
);
const SWITCHED_OFF: Advice = Advice::administrator(
    "The mail provider does not let this account use POP3",
    "ask the administrator of the mailbox whether POP is enabled for it",
);
const NOT_UNDERSTOOD: Advice = Advice::person(
    "The mail provider's server did not understand the sign-in",
    "check `pop3` and `mechanisms` of the provider",
);
const TURNED_AWAY: Advice = Advice::person(
    "The mail provider's server turns this machine's connection away",
    "wait and try again later; if it stays so, check the provider's `pop3` host and port, and whether this machine's address is blocked",
);

/// Texts of providers, matched anywhere in a line without regard to case; the first match counts.
const KNOWN: &[Known] = &[
    ("Web login required", Verdict::WebLogin, WEB_LOGIN),
    ("log in via your web browser", Verdict::WebLogin, WEB_LOGIN),
    known(
        "is not enabled for POP access",
        Verdict::Disabled,
        "POP is switched off for this Gmail account",
        "enable it in Gmail's settings under Forwarding and POP/IMAP",
    ),
    (
        "POP access is disabled for your domain",
        Verdict::Disabled,
        Advice::administrator(
            "POP is switched off for this Google Workspace domain, or the OAuth client is not on its list",
            "ask the domain's administrator",
        ),
    ),
    known(
        "exceeded pop command or bandwidth limits",
        Verdict::Throttled,
        "The account used up Gmail's daily transfer allowance for POP",
        "wait up to 24 hours, and have the mail program fetch less",
    ),
    ("Request is throttled", Verdict::Throttled, THROTTLED),
    ("Suggested Backoff Time", Verdict::Throttled, THROTTLED),
    ("Temporary system problem", Verdict::Unavailable, UNAVAILABLE),
    ("Server Unavailable", Verdict::Unavailable, UNAVAILABLE),
    known(
        "Connection is closed",
        Verdict::Unavailable,
        "Exchange closed the connection",
        "wait and try again later",
    ),
    known(
        "User is authenticated but not connected",
        Verdict::Disabled,
        "The mail provider accepted the authorisation but does not open the mailbox",
        "check the mailbox name and the access to it, and that POP is enabled for it",
    ),
    known(
        "Application-specific password required",
        Verdict::Token,
        "The mail provider took the sign-in for one with a password",
        "please report this: the proxy never sends one",
    ),
    ("Authentication failure: unknown user name or bad password", Verdict::Token, EXCHANGE),
    ("Logon failure: unknown user name or bad password", Verdict::Token, EXCHANGE),
];

const CODES: &[Known] = &[
    ("AUTH", Verdict::Token, TOKEN),
    ("IN-USE", Verdict::Connections, IN_USE),
    ("LOGIN-DELAY", Verdict::Throttled, THROTTLED),
    ("SYS/TEMP", Verdict::Unavailable, UNAVAILABLE),
    ("SYS/PERM", Verdict::Disabled, SWITCHED_OFF),
];

fn judge(text: &[u8]) -> Option<Judgement> {
    find(KNOWN, text).or_else(|| by_code(text))
}

/// Judges by the response code. A longer code (`SYS/TEMP/x`) means the same as its beginning (RFC 2449 §8.1.1).
fn by_code(text: &[u8]) -> Option<Judgement> {
    let code = code(text)?;
    let is = |name: &str| {
        code.split_at_checked(name.len()).is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(name.as_bytes()) && matches!(rest.first(), None | Some(b'/'))
        })
    };
    CODES.iter().find(|(name, ..)| is(name)).map(|&(_, verdict, advice)| (verdict, advice))
}

/// The advice on the text of an `-ERR` that concerns the session itself, if the text is known.
pub(super) fn advice_on(text: &[u8]) -> Option<Advice> {
    find(KNOWN, text).map(|(_, advice)| advice)
}

fn judged(text: &[u8], heard: Heard, judgement: Judgement) -> Refusal {
    heard.refusal(plain_text(&String::from_utf8_lossy(text)), judgement)
}

/// The meaning of a refused message, or of a refused command behind the sign-in.
pub(super) fn refused(text: &[u8], heard: Heard) -> Refusal {
    judged(text, heard, judge(text).unwrap_or((Verdict::Token, TOKEN)))
}

/// Like [`refused`], for a user name that begins with `recent:`, a prefix that the provider may not know.
pub(super) fn refused_recent(text: &[u8], heard: Heard) -> Refusal {
    match refused(text, heard) {
        Refusal::Token(said) => Refusal::Token(Said { advice: OF_RECENT, ..said }),
        other => other,
    }
}

/// The meaning of the connection's end while a verdict is due.
pub(super) fn closed(heard: Heard, is_recent: bool) -> Refusal {
    verdict::closed(heard, if is_recent { OF_RECENT } else { TOKEN })
}

/// The meaning of a refused AUTH. The server has not seen a token yet, so the refusal cannot be about the token.
pub(super) fn not_understood(text: &[u8], heard: Heard) -> Refusal {
    let judgement = judge(text).filter(|(verdict, _)| *verdict != Verdict::Token);
    judged(text, heard, judgement.unwrap_or((Verdict::Disabled, NOT_UNDERSTOOD)))
}

/// The meaning of a refusal instead of a greeting, or of a command before AUTH.
pub(super) fn turned_away(text: &[u8], heard: Heard) -> Refusal {
    let judgement = judge(text).unwrap_or((Verdict::Disabled, TURNED_AWAY));
    verdict::turned_away(judged(text, heard, judgement), find(KNOWN, text).is_some(), TURNED_AWAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gmail_and_exchange_say_is_known() {
        let refusal = |text: &str| refused(text.as_bytes(), Heard::default());
        assert!(refusal("[AUTH] Username and password not accepted.").is_token());
        assert!(refusal("Authentication failure: unknown user name or bad password.").is_token());
        assert!(refusal("whatever").is_token());
        let web = refusal("[AUTH] Web login required: https://support.google.com/mail/answer/78754");
        let Refusal::WebLogin { url: Some(url), .. } = web else { panic!("{web:?}") };
        assert_eq!(url, "https://support.google.com/mail/answer/78754");
        let off =
            "[SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page";
        assert!(
            matches!(refusal(off), Refusal::Disabled(said) if said.advice.remedy.contains("Gmail's settings"))
        );
        let busy = "[AUTH] Account exceeded pop command or bandwidth limits (Failure)";
        assert!(matches!(refusal(busy), Refusal::Throttled { .. }));
        assert!(matches!(refusal("[SYS/TEMP] Temporary system problem."), Refusal::Unavailable(_)));
        assert!(matches!(refusal("[sys/temp/x] later"), Refusal::Unavailable(_)));
        assert!(matches!(refusal("[IN-USE] locked"), Refusal::Connections(_)));
        assert!(matches!(refusal("[LOGIN-DELAY] wait"), Refusal::Throttled { .. }));
        assert!(matches!(refusal("Protocol error. Connection is closed. 10"), Refusal::Unavailable(_)));
        assert!(refusal("[AUTHX] no code of ours").is_token());
    }

    #[test]
    fn before_a_token_was_seen_no_refusal_is_about_it() {
        let refusal = |text: &str| not_understood(text.as_bytes(), Heard::default());
        let refused = refusal("[AUTH] Unsupported authentication mechanism.");
        assert!(matches!(&refused, Refusal::Disabled(said) if said.advice == NOT_UNDERSTOOD), "{refused:?}");
        assert!(matches!(refusal("[SYS/TEMP] later"), Refusal::Unavailable(_)));
        let away = |text: &str| turned_away(text.as_bytes(), Heard::default());
        assert!(matches!(away("[AUTH] no"), Refusal::Unavailable(_)));
        assert!(matches!(away("go away"), Refusal::Unavailable(said) if said.advice == TURNED_AWAY));
        assert!(matches!(away("[IN-USE] locked"), Refusal::Connections(_)));
        assert!(matches!(away("Your account is not enabled for POP access"), Refusal::Disabled(_)));
    }

    #[test]
    fn the_table_is_readable() {
        for (needle, _, advice) in KNOWN.iter().chain(CODES) {
            let texts = [needle, advice.cause, advice.remedy];
            assert!(texts.iter().all(|text| text.is_ascii() && !text.ends_with('.')), "{texts:?}");
        }
    }
}
