//! The parts of a provider's refusal that the protocols share.
//!
//! All of them answer challenges and report missing mechanisms in the same way. Submission and POP3 servers also send
//! different replies with the same meanings, the [`Verdict`]; the meanings of IMAP's replies are in `imap::meaning`.

use std::time::Duration;

use serde::Deserialize;

use super::denial::plain_text;
use super::sasl::{self, Challenge, Mechanism};
use super::{Advice, Answers, Door, Refusal, Said};
use crate::wire::Buffer;

pub(super) const UNAVAILABLE: Advice =
    Advice::person("The mail provider is busy or down", "wait and try again later");
pub(super) const WEB_LOGIN: Advice = Advice::person(
    "The mail provider wants you to sign in with a browser first",
    "sign in there and try again",
);

/// The most challenges that are answered. One is common; a server that sends more than two will not accept.
const CHALLENGES_LIMIT: u32 = 2;

/// Mechanisms that carry a password.
const OF_PASSWORDS: [&str; 6] = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN-CLIENTTOKEN"];

/// Lines before the verdict that help to explain it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The current step.
    pub(super) answers: Answers,
    pub(super) challenge: Option<Box<Challenge>>,
}

impl Heard {
    /// Nothing heard yet, in the step that waits for `answers`.
    pub(super) fn while_waiting_for(answers: Answers) -> Self {
        Self { answers, ..Self::default() }
    }

    /// Takes what was heard; the next attempt begins with nothing.
    pub(super) fn take(&mut self) -> Self {
        Self { answers: self.answers, challenge: self.challenge.take() }
    }
}

/// None of the configured mechanisms is among those that a server of this protocol has `offered`.
pub(super) fn no_mechanism(door: Door, offered: &[String]) -> Refusal {
    match offered.iter().all(|name| OF_PASSWORDS.contains(&name.as_str())) {
        true => Refusal::PasswordsOnly(door),
        false => Refusal::NoCommonMechanism(plain_text(&offered.join(", "))),
    }
}

/// Answers the challenge with which a server refuses the token, so that the verdict follows. `challenges` counts
/// those of this attempt; `heard` keeps the first.
pub(super) fn answer_challenge(
    door: Door,
    text: &[u8],
    mechanism: Mechanism,
    challenges: &mut u32,
    heard: &mut Option<Box<Challenge>>,
    outbox: &mut Buffer,
) -> Result<(), Refusal> {
    *challenges += 1;
    if *challenges > CHALLENGES_LIMIT {
        return Err(Refusal::Violation { door, what: "it asks for more than the mechanism holds" });
    }
    heard.get_or_insert_with(|| Box::new(Challenge::decode(text)));
    outbox.push(sasl::dummy_answer(mechanism));
    outbox.push(b"\r\n");
    Ok(())
}

/// The meaning of the connection's end while a verdict is due. Behind a challenge it refuses the token, which `advice`
/// explains: some servers hang up instead of a verdict.
pub(super) fn closed(challenge: Option<Box<Challenge>>, advice: Advice) -> Refusal {
    match challenge {
        None => Refusal::Closed,
        challenge => Refusal::Token(Said {
            text: "connection closed".to_owned(),
            answers: Answers::Nothing,
            challenge,
            advice,
        }),
    }
}

/// The caller's next action after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Token,
    Connections,
    Throttled,
    Disabled,
    WebLogin,
    Unavailable,
}

impl Verdict {
    /// The refusal with the provider's text.
    pub(super) fn refusal(self, said: Said) -> Refusal {
        match self {
            Self::Token => Refusal::Token(said),
            Self::Connections => Refusal::Connections(said),
            Self::Throttled => Refusal::Throttled { wait: backoff(&said.text), said },
            Self::Disabled => Refusal::Disabled(said),
            Self::WebLogin => Refusal::WebLogin { url: first_url(&said.text), said },
            Self::Unavailable => Refusal::Unavailable(said),
        }
    }
}

/// The meaning of a refusal instead of a greeting, or before the server has seen a token. Unless its text
/// `is_known`, it is about the server or this machine's address, which `advice` explains, not about the account.
pub(super) fn turned_away(refusal: Refusal, is_known: bool, advice: Advice) -> Refusal {
    match refusal {
        Refusal::Disabled(said) | Refusal::WebLogin { said, .. } if !is_known => {
            Refusal::Unavailable(Said { advice, ..said })
        }
        Refusal::Token(said) => Refusal::Unavailable(Said { advice: UNAVAILABLE, ..said }),
        other => other,
    }
}

/// Whether `text` holds `part`, without regard to case.
pub(super) fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// Exchange's "Suggested Backoff Time: 299961 milliseconds".
fn backoff(text: &str) -> Option<Duration> {
    let (_, behind) = text.split_once("Backoff Time:")?;
    let digits = behind.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_millis(digits.parse().ok()?))
}

/// The first https URL in `text`, which is plain.
fn first_url(text: &str) -> Option<String> {
    let at = text.find("https://")?;
    text.get(at..)?.split([' ', ')', ']', '"', '<', '>']).next().map(str::to_owned)
}
