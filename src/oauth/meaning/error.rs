//! Why there is no token, cut by what the caller does next.
//!
//! There is no variant for local trouble: a missing client id, an unreadable key file or an address
//! that is not https is for the administrator, like a refused client secret, and costs no grant.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::{knowledge, text};

/// Why a token endpoint, or the way to it, gave no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The provider refused this grant: it works again once the person authorises again. Keep the
    /// refresh token, mark the grant, do not ask again by yourself.
    #[error("{0}")]
    NeedsPerson(Box<Refusal>),
    /// The application, its registration, the tenant or this configuration is at fault: no retry
    /// helps until an administrator changes it. The grant itself is untouched.
    #[error("{0}")]
    NeedsAdministrator(Box<Refusal>),
    /// Neither answer nor refusal: keep everything and try again later.
    #[error("{refusal}")]
    Passing {
        /// How long the provider asks to be left alone, at most a day.
        retry_after: Option<Duration>,
        /// What was seen.
        refusal: Box<Refusal>,
    },
}

impl TokenError {
    /// What was seen, whatever it means.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::NeedsPerson(refusal) | Self::NeedsAdministrator(refusal) => refusal,
            Self::Passing { refusal, .. } => refusal,
        }
    }

    /// One line for `tokens list`, `check`, the log and the IMAP answer; see [`Refusal::one_line`].
    pub fn one_line(&self, account: &str) -> String {
        self.refusal().one_line(account)
    }

    /// Whether waiting can cure it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }

    /// Trouble on this side of the wire that an administrator cures.
    pub(in crate::oauth) fn local(
        code: &str,
        meaning: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::NeedsAdministrator(Box::new(Refusal {
            code: code.to_owned(),
            error: None,
            description: None,
            meaning: meaning.into(),
            remedy: remedy.into(),
            status: None,
        }))
    }

    /// Trouble that goes by itself.
    pub(in crate::oauth) fn passing(
        code: &str,
        meaning: impl Into<Cow<'static, str>>,
        status: Option<u16>,
    ) -> Self {
        let refusal = Refusal {
            code: code.to_owned(),
            error: None,
            description: None,
            meaning: meaning.into(),
            remedy: Cow::Borrowed("nothing is lost; try again later"),
            status,
        };
        Self::Passing { retry_after: None, refusal: Box::new(refusal) }
    }
}

/// A refusal in words. All of it may be shown: control characters are gone, secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The most telling code: `AADSTS700082`, `invalid_grant`, `HTTP 503`, `network`, …
    pub code: String,
    /// The `error` member as sent (RFC 6749 §5.2), where there was one.
    pub error: Option<String>,
    /// The provider's own words, cleaned and cut.
    pub description: Option<String>,
    /// What it means, in one clause.
    pub meaning: Cow<'static, str>,
    /// What cures it, in one clause; may hold `{account}`. Empty where nothing is known.
    pub remedy: Cow<'static, str>,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl Refusal {
    /// Cause, code and cure on one line, without control characters; `account` names the command
    /// that cures it.
    pub fn one_line(&self, account: &str) -> String {
        let mut line = format!("{} ({}", self.meaning, self.code);
        match self.status {
            Some(status) if !self.code.starts_with("HTTP") => line.push_str(&format!(", HTTP {status})")),
            _ => line.push(')'),
        }
        if !self.remedy.is_empty() {
            line.push_str("; ");
            line.push_str(&self.remedy.replace("{account}", &text::plain(account, 256)));
        }
        line
    }

    /// Whether it is `invalid_grant` and nothing more: the word for a dead grant, a bad code and a
    /// refused assertion alike (RFC 6749 §5.2), so that the caller knows better what was refused.
    pub(in crate::oauth) fn is_plain_invalid_grant(&self) -> bool {
        let plain = knowledge::look_up("invalid_grant", None, "").map(|entry| entry.meaning.as_str());
        self.code == "invalid_grant" && plain == Some(&*self.meaning)
    }

    /// The cure with the account's name in it, for a `hint:` line.
    pub fn remedy(&self, account: &str) -> String {
        self.remedy.replace("{account}", &text::plain(account, 256))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.one_line("ACCOUNT"))
    }
}
