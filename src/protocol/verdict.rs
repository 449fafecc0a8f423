//! A provider's refusal while its protocol is read: its meaning, and the lines before it.
//!
//! Submission and POP3 servers send different replies with the same meanings.

use std::time::Duration;

use serde::Deserialize;

use super::sasl::Challenge;
use super::{Advice, Answers, Refusal, Said};

pub(super) const UNAVAILABLE: Advice = Advice::person("The mail provider is busy or down", "try again later");
pub(super) const WEB_LOGIN: Advice = Advice::person(
    "The mail provider wants you to sign in with a browser first",
    "sign in there and try again",
);

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
