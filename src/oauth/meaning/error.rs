//! Why there is no token, with a variant for each reaction of the caller.
//!
//! Local trouble has no variant of its own: a missing client id, an unreadable key file or an http address is
//! for the administrator, like a refused client secret, and ends no grant.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::knowledge;
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

/// Why the token endpoint gave no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The provider refused this grant until the person authorises again. Keep the refresh token, mark the
    /// grant, and do not retry automatically.
    #[error("{0}")]
    NeedsPerson(Box<ProviderRefusal>),
    /// The application, its registration, the tenant or this configuration is at fault. No retry helps until
    /// an administrator changes it. The grant is unchanged.
    #[error("{0}")]
    NeedsAdministrator(Box<ProviderRefusal>),
    /// Neither a token nor a refusal: keep everything and try again later.
    #[error("{refusal}")]
    Passing {
        /// The pause that the provider asks for, at most a day.
        retry_after: Option<Duration>,
        /// The refusal that the endpoint answered.
        refusal: Box<ProviderRefusal>,
    },
}

impl TokenError {
    /// The refusal, for every variant.
    pub fn refusal(&self) -> &ProviderRefusal {
        match self {
            Self::NeedsPerson(refusal) | Self::NeedsAdministrator(refusal) => refusal,
            Self::Passing { refusal, .. } => refusal,
        }
    }

    /// Cause and cure, in the form that is stored and shown.
    pub fn trouble(&self) -> Trouble {
        let (kind, refusal) = match self {
            Self::NeedsPerson(refusal) => (CauseKind::GrantRefused, refusal),
            Self::NeedsAdministrator(refusal) => (CauseKind::ClientRefused, refusal),
            Self::Passing { refusal, .. } => (CauseKind::ProviderUnavailable, refusal),
        };
        refusal.trouble(kind)
    }

    /// Whether an administrator has to consent before a person can.
    pub fn awaits_consent(&self) -> bool {
        matches!(self.refusal().cure, Cure::AdminConsent { .. })
    }

    /// Whether the trouble passes without a person's act.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }

    /// Whether the fault lies in this machine's files or configuration, so that no token was asked for.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::NeedsAdministrator(refusal) if refusal.status.is_none() && refusal.error.is_none())
    }

    /// A local fault that an administrator can fix.
    pub(in crate::oauth) fn local(code: &str, meaning: impl Into<Cow<'static, str>>, cure: Cure) -> Self {
        Self::NeedsAdministrator(ProviderRefusal::own(code, meaning, cure, None))
    }

    /// This error with another cure.
    pub(in crate::oauth) fn cured_by(mut self, cure: Cure) -> Self {
        match &mut self {
            Self::NeedsPerson(refusal)
            | Self::NeedsAdministrator(refusal)
            | Self::Passing { refusal, .. } => refusal.cure = cure,
        }
        self
    }

    /// A fault that passes by itself.
    pub(in crate::oauth) fn passing(
        code: &str,
        meaning: impl Into<Cow<'static, str>>,
        status: Option<u16>,
    ) -> Self {
        let cure = Cure::wait("nothing is lost; wait and try again later");
        Self::Passing { retry_after: None, refusal: ProviderRefusal::own(code, meaning, cure, status) }
    }
}

/// A refusal in words. All of it may be shown: control characters are removed, secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// The most telling code: `AADSTS700082`, `invalid_grant`, `HTTP 503`, `network`, …
    pub code: String,
    /// The `error` member as sent (RFC 6749 §5.2), if there was one.
    pub error: Option<String>,
    /// The provider's own words, cleaned and shortened.
    pub description: Option<String>,
    /// The meaning, one clause.
    pub meaning: Cow<'static, str>,
    /// The cure.
    pub cure: Cure,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
}

impl ProviderRefusal {
    /// A refusal in our own words, because there are none of the provider's.
    pub(in crate::oauth) fn own(
        code: &str,
        meaning: impl Into<Cow<'static, str>>,
        cure: Cure,
        status: Option<u16>,
    ) -> Box<Self> {
        let (code, meaning) = (code.to_owned(), meaning.into());
        Box::new(Self { code, error: None, description: None, meaning, cure, status })
    }

    /// Cause and cure, as they are stored and shown.
    pub(in crate::oauth) fn trouble(&self, kind: CauseKind) -> Trouble {
        let cause = Cause { kind, code: Some(self.code.clone()), text: self.to_string() };
        Trouble { cause, cure: self.cure.clone() }
    }

    /// Whether it is `invalid_grant` without a further code. RFC 6749 §5.2 uses this word for a dead grant, a
    /// bad code and a refused assertion alike, so only the caller knows which of them was refused.
    pub(in crate::oauth) fn is_plain_invalid_grant(&self) -> bool {
        let plain = knowledge::look_up("invalid_grant", None, "").map(|entry| entry.meaning.as_str());
        self.code == "invalid_grant" && plain == Some(&*self.meaning)
    }
}

/// The meaning, then the code and the status, without control characters. Surfaces show the cure separately.
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
