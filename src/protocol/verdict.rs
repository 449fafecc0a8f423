//! The parts of a provider's refusal that the protocols share: what was heard before it, its [`Verdict`], and the table
//! of known texts. The texts themselves, and their advice, are in the `meaning` of each protocol.

use std::time::Duration;

use serde::Deserialize;

use super::sasl::Challenge;
use super::{Advice, Answers, Refusal, Said};

pub(super) const UNAVAILABLE: Advice =
    Advice::person("The mail provider is busy or down", "wait and try again later");
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
    /// The URL of a web login that a line before the verdict named.
    pub(super) url: Option<String>,
}

impl Heard {
    /// Nothing heard yet, in the step that waits for `answers`.
    pub(super) fn while_waiting_for(answers: Answers) -> Self {
        Self { answers, ..Self::default() }
    }

    /// Takes what was heard; the next attempt begins with nothing.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The refusal that the line `text`, in printable form, means after this.
    pub(super) fn refusal(self, text: String, (verdict, advice): Judgement) -> Refusal {
        let said = Said { text, answers: self.answers, challenge: self.challenge, advice };
        match verdict {
            Verdict::Token => Refusal::Token(said),
            Verdict::Connections => Refusal::Connections(said),
            Verdict::Throttled => Refusal::Throttled { wait: backoff(&said.text), said },
            Verdict::Disabled => Refusal::Disabled(said),
            Verdict::WebLogin => Refusal::WebLogin { url: self.url.or_else(|| first_url(&said.text)), said },
            Verdict::Unavailable => Refusal::Unavailable(said),
        }
    }
}

/// The meaning of the connection's end while a verdict is due. Behind a challenge it refuses the token, which `advice`
/// explains: some servers hang up instead of a verdict.
pub(super) fn closed(heard: Heard, advice: Advice) -> Refusal {
    match heard.challenge {
        None => Refusal::Closed,
        Some(_) => {
            let heard = Heard { answers: Answers::Nothing, ..heard };
            heard.refusal("connection closed".to_owned(), (Verdict::Token, advice))
        }
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

/// A verdict and its reason.
pub(super) type Judgement = (Verdict, Advice);

/// A text or a response code of providers, and what it means.
pub(super) type Known = (&'static str, Verdict, Advice);

/// A [`Known`] text whose advice is for a person.
pub(super) const fn known(
    text: &'static str,
    verdict: Verdict,
    cause: &'static str,
    remedy: &'static str,
) -> Known {
    (text, verdict, Advice::person(cause, remedy))
}

/// The first row of `table` whose text is anywhere in `text`, without regard to case.
pub(super) fn find(table: &[Known], text: &[u8]) -> Option<Judgement> {
    let found = table.iter().find(|(known, ..)| contains(text, known));
    found.map(|&(_, verdict, advice)| (verdict, advice))
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
pub(super) fn first_url(text: &str) -> Option<String> {
    let at = text.find("https://")?;
    text.get(at..)?.split([' ', ')', ']', '"', '<', '>']).next().map(str::to_owned)
}
