//! Why there is no token, cut by what the caller does next.
//!
//! There is no variant for local trouble: a missing client id, an unreadable key file or an address
//! that is not https is for the administrator, like a refused client secret, and costs no grant.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::knowledge;
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

/// Why a token endpoint, or the way to it, gave no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The provider refused this grant: it works again once the person authorises again. Keep the
    /// refresh token, mark the grant, do not ask again by yourself.
    #[error("{0}")]
    NeedsPerson(Box<ProviderRefusal>),
    /// The application, its registration, the tenant or this configuration is at fault: no retry
    /// helps until an administrator changes it. The grant itself is untouched.
    #[error("{0}")]
    NeedsAdministrator(Box<ProviderRefusal>),
    /// Neither answer nor refusal: keep everything and try again later.
    #[error("{refusal}")]
    Passing {
        /// How long the provider asks to be left alone, at most a day.
        retry_after: Option<Duration>,
        /// What was seen.
        refusal: Box<ProviderRefusal>,
    },
}

impl TokenError {
    /// What was seen, whatever it means.
    pub fn refusal(&self) -> &ProviderRefusal {
        match self {
            Self::NeedsPerson(refusal) | Self::NeedsAdministrator(refusal) => refusal,
            Self::Passing { refusal, .. } => refusal,
        }
    }

    /// Cause and cure, as they are stored and shown.
    pub fn trouble(&self) -> Trouble {
        let (kind, refusal) = match self {
            Self::NeedsPerson(refusal) => (CauseKind::GrantRefused, refusal),
            Self::NeedsAdministrator(refusal) => (CauseKind::ClientRefused, refusal),
            Self::Passing { refusal, .. } => (CauseKind::ProviderUnavailable, refusal),
        };
        refusal.trouble(kind)
    }

    /// Whether it is that an administrator has to consent before a person can.
    pub fn awaits_consent(&self) -> bool {
        matches!(self.refusal().cure, Cure::AdminConsent { .. })
    }

    /// Whether waiting can cure it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }

    /// Trouble on this side of the wire that an administrator cures.
    pub(in crate::oauth) fn local(code: &str, meaning: impl Into<Cow<'static, str>>, cure: Cure) -> Self {
        Self::NeedsAdministrator(Box::new(ProviderRefusal {
            code: code.to_owned(),
            error: None,
            description: None,
            meaning: meaning.into(),
            cure,
            status: None,
        }))
    }

    /// The same, with another cure.
    pub(in crate::oauth) fn cured_by(mut self, cure: Cure) -> Self {
        match &mut self {
            Self::NeedsPerson(refusal)
            | Self::NeedsAdministrator(refusal)
            | Self::Passing { refusal, .. } => refusal.cure = cure,
        }
        self
    }

    /// Trouble that goes by itself.
    pub(in crate::oauth) fn passing(
        code: &str,
        meaning: impl Into<Cow<'static, str>>,
        status: Option<u16>,
    ) -> Self {
        let refusal = ProviderRefusal {
            code: code.to_owned(),
            error: None,
            description: None,
            meaning: meaning.into(),
            cure: Cure::wait("nothing is lost; try again later"),
            status,
        };
        Self::Passing { retry_after: None, refusal: Box::new(refusal) }
    }
}

/// A refusal in words. All of it may be shown: control characters are gone, secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// The most telling code: `AADSTS700082`, `invalid_grant`, `HTTP 503`, `network`, …
    pub code: String,
    /// The `error` member as sent (RFC 6749 §5.2), where there was one.
    pub error: Option<String>,
    /// The provider's own words, cleaned and cut.
    pub description: Option<String>,
    /// What it means, in one clause.
    pub meaning: Cow<'static, str>,
    /// What cures it.
    pub cure: Cure,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl ProviderRefusal {
    /// Cause and cure, as they are stored and shown.
    pub(in crate::oauth) fn trouble(&self, kind: CauseKind) -> Trouble {
        let cause = Cause { kind, code: Some(self.code.clone()), text: self.to_string() };
        Trouble { cause, cure: self.cure.clone() }
    }

    /// Whether it is `invalid_grant` and nothing more: the word for a dead grant, a bad code and a
    /// refused assertion alike (RFC 6749 §5.2), so that the caller knows better what was refused.
    pub(in crate::oauth) fn is_plain_invalid_grant(&self) -> bool {
        let plain = knowledge::look_up("invalid_grant", None, "").map(|entry| entry.meaning.as_str());
        self.code == "invalid_grant" && plain == Some(&*self.meaning)
    }
}

/// What it means, with the code and the status behind it; without control characters. What cures it is beside it,
/// for a surface to say.
impl fmt::Display for ProviderRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) if !self.code.starts_with("HTTP") => {
                write!(f, "{} ({}, HTTP {status})", self.meaning, self.code)
            }
            _ => write!(f, "{} ({})", self.meaning, self.code),
        }
    }
}
