//! The meaning of a submission server's refusals, at a sign-in and of mail within a session.
//!
//! `config/errors.toml` lists the replies of Gmail and Exchange with their causes and cures in plain words. A
//! reply that is not in it is judged by its code (RFC 4954 §6, RFC 3463).

use std::sync::LazyLock;

use serde::Deserialize;

use super::response::Reply;
use crate::protocol::denial::plain_text;
use crate::protocol::verdict::{self, Heard, Judgement, UNAVAILABLE, Verdict, WEB_LOGIN, contains};
use crate::protocol::{Advice, Door, MendedBy, Refusal};

/// The provider's server broke the protocol, or is no submission server.
pub(super) fn violation(what: &'static str) -> Refusal {
    Refusal::Violation { door: Door::Submission, what }
}

/// A known reply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Reply codes ("432") and enhanced ones ("5.2.252"), one of which the reply must have; empty if the text alone
    /// decides.
    #[serde(default)]
    codes: Vec<String>,
    /// Text that the reply must contain, without regard to case.
    contains: Option<String>,
    verdict: Verdict,
    meaning: String,
    /// Who or what applies the cure: "administrator", "wait", "advice".
    cure: Cure,
    remedy: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cure {
    Administrator,
    Wait,
    Advice,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Table {
    reply: Vec<Known>,
}

/// A test reads this file, which is part of the program, so that it is valid here.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("../../../config/errors.toml")).unwrap_or_default());

impl Known {
    fn fits(&self, reply: &Reply<'_>, text: &str) -> bool {
        let code = reply.code.to_string();
        let by_code = self.codes.is_empty()
            || self.codes.iter().any(|known| *known == code || Some(known.as_str()) == reply.enhanced());
        by_code && self.contains.as_ref().is_none_or(|part| contains(text.as_bytes(), part))
    }

    fn advice(&'static self) -> Advice {
        let by = match self.cure {
            Cure::Administrator => MendedBy::Administrator,
            Cure::Wait => MendedBy::Time,
            Cure::Advice => MendedBy::Person,
        };
        Advice { cause: &self.meaning, remedy: &self.remedy, by }
    }
}

fn known(reply: &Reply<'_>, text: &str) -> Option<&'static Known> {
    TABLE.reply.iter().find(|known| known.fits(reply, text))
}

/// The advice on a 4xx or 5xx reply within a session, if the reply is known.
pub(super) fn advice_on(reply: &Reply<'_>) -> Option<Advice> {
    known(reply, &reply.text()).map(Known::advice)
}

pub(super) const TOKEN: Advice = Advice::person(
    "The mail provider did not accept the stored authorisation for sending",
    "authorise the account again, and check that the mailbox is the one that was authorised",
);
const CONNECTIONS: Advice = Advice::person(
    "The mail provider allows no more connections that send for this account",
    "let fewer programs send at the same time, or set smtp_max_connections_per_account lower",
);
const TURNED_AWAY: Advice = Advice::person(
    "The mail provider's server turns this machine's connection away",
    "try again later; if it stays so, check the provider's `smtp` host and port, and whether this machine's address is blocked",
);
const NOT_UNDERSTOOD: Advice = Advice::person(
    "The mail provider's server did not understand the sign-in",
    "check `smtp` and `mechanisms` of the provider",
);
const NOT_ALLOWED: Advice = Advice::administrator(
    "The mail provider does not let this account send",
    "ask the administrator of the mailbox",
);

/// The meaning of a refused AUTH.
pub(super) fn refused(reply: &Reply<'_>, heard: Heard) -> Refusal {
    let text = reply.text();
    let known = known(reply, &text).map(|known| (known.verdict, known.advice()));
    heard.refusal(plain_text(&text), known.unwrap_or_else(|| by_code(reply)))
}

/// The meaning of a refusal instead of a greeting, or before the server has seen a token. Unless the text is
/// known, the refusal is about the server or this machine's address, not about the account.
pub(super) fn turned_away(reply: &Reply<'_>, heard: Heard) -> Refusal {
    let is_known = known(reply, &reply.text()).is_some();
    verdict::turned_away(refused(reply, heard), is_known, TURNED_AWAY)
}

fn by_code(reply: &Reply<'_>) -> Judgement {
    match (reply.code, reply.enhanced()) {
        (432, _) => (Verdict::Connections, CONNECTIONS),
        (400..=499, _) => (Verdict::Unavailable, UNAVAILABLE),
        (534, _) => (Verdict::WebLogin, WEB_LOGIN),
        // Exchange also uses these codes for a message that it cannot read.
        (501 | 535, _) | (_, Some("5.7.3" | "5.7.8")) => (Verdict::Token, TOKEN),
        (500 | 502..=504 | 555, _) => (Verdict::Disabled, NOT_UNDERSTOOD),
        _ => (Verdict::Disabled, NOT_ALLOWED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reply: &[u8]) -> Refusal {
        refused(&Reply::read(reply), Heard::default())
    }

    #[test]
    fn the_table_is_readable_and_its_texts_are_clauses() {
        let table: Table = toml::from_str(include_str!("../../../config/errors.toml")).unwrap();
        assert!(table.reply.len() > 15, "{}", table.reply.len());
        for known in table.reply {
            assert!(!known.codes.is_empty() || known.contains.is_some(), "{known:?}");
            for text in [&known.meaning, &known.remedy] {
                assert!(
                    text.is_ascii() && !text.ends_with('.') && !text.contains(char::is_control),
                    "{text}"
                );
                assert!(!text.contains('@'), "an address would be stored: {text}");
            }
        }
    }

    /// Texts of Gmail and Exchange with one code and different cures.
    #[test]
    fn the_tails_of_exchange_are_told_apart() {
        let tail = |tail: &str| {
            refusal(format!("535 5.7.139 Authentication unsuccessful, {tail} [X 2026]\r\n").as_bytes())
        };
        for switch in ["Tenant", "Mailbox"] {
            let refused = tail(&format!(
                "SmtpClientAuthentication is disabled for the {switch}. Visit https://aka.ms/smtp_auth_disabled for more information."
            ));
            let Refusal::Disabled(said) = refused else { panic!("{refused:?}") };
            assert!(said.advice.remedy.contains("SmtpClientAuthenticationDisabled"), "{said}");
        }
        let defaults = tail(
            "user is locked by your organization's security defaults policy. Contact your administrator.",
        );
        assert!(
            matches!(&defaults, Refusal::Disabled(said) if said.advice.cause.contains("security defaults"))
        );
        assert!(tail("the user credentials were incorrect.").is_token());
        let criteria = "the request did not meet the criteria to be authenticated successfully. Contact your administrator.";
        assert!(matches!(tail(criteria), Refusal::Disabled(_)));
        assert!(matches!(tail("account locked. Contact your administrator."), Refusal::Disabled(_)));
        assert!(matches!(tail("federated STS service was unreachable."), Refusal::Unavailable(_)));
    }

    #[test]
    fn what_is_not_known_is_judged_by_its_code() {
        assert!(refusal(b"535 5.7.3 Authentication unsuccessful [X 2026]\r\n").is_token());
        assert!(
            refusal(b"535-5.7.8 Username and Password not accepted. For more\r\n535 5.7.8  https://x\r\n")
                .is_token()
        );
        assert!(matches!(
            refusal(b"454 4.7.0 Too many login attempts, please try again later.\r\n"),
            Refusal::Throttled { .. }
        ));
        assert!(matches!(
            refusal(b"454 4.7.0 Cannot authenticate due to a temporary system problem.\r\n"),
            Refusal::Unavailable(_)
        ));
        assert!(matches!(
            refusal(b"421 4.7.0 Try again later, closing connection.\r\n"),
            Refusal::Unavailable(_)
        ));
        assert!(matches!(refusal(b"432 4.3.2 Whatever\r\n"), Refusal::Connections(_)));
        assert!(matches!(refusal(b"550 5.7.1 No\r\n"), Refusal::Disabled(_)));
        let web = refusal(b"534-5.7.14 <https://accounts.google.com/x> Please log in\r\n534 5.7.14 via your web browser\r\n");
        assert!(
            matches!(web, Refusal::WebLogin { url: Some(url), .. } if url == "https://accounts.google.com/x")
        );
    }
}
