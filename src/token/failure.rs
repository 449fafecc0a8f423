//! Why a login gets no access token, cut by what the mail program is told.

use time::Duration;

use crate::oauth::TokenError;
use crate::secret::SealError;
use crate::store::{Grant, GrantState, StoreError};

/// Why there is no access token. The texts are one line; `{account}` in them stands for the account.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenFailure {
    /// A person has to authorise again.
    #[error("{reason}")]
    NeedsAuthorization {
        /// Cause and cure.
        reason: String,
    },
    /// An administrator has to change something.
    #[error("{reason}")]
    Misconfigured {
        /// Cause and cure.
        reason: String,
    },
    /// It passes; the grant is untouched.
    #[error("{reason}")]
    Unavailable {
        /// Cause, and that it is tried again.
        reason: String,
    },
    /// Ours: the store or the key does not do its part.
    #[error("{reason}")]
    Local {
        /// Cause and cure.
        reason: String,
    },
}

impl TokenFailure {
    /// Whether it stays so until a person acts; else it passes, or the machine's owner mends it.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::NeedsAuthorization { .. } | Self::Misconfigured { .. })
    }

    /// There is no grant, or none with a refresh token.
    pub fn revoked() -> Self {
        Self::NeedsAuthorization {
            reason: "there is no authorisation for this account; run `imap-oauth-proxy authorize {account}`"
                .to_owned(),
        }
    }

    /// The trouble that the grant's row tells of, while it has to be waited out.
    pub(super) fn on_record(grant: &Grant, wait: Duration) -> Self {
        let reason = grant.last_error.clone().unwrap_or_else(|| "the last refresh failed".to_owned());
        match grant.state {
            GrantState::NeedsAuthorization => Self::NeedsAuthorization { reason },
            GrantState::Misconfigured => Self::Misconfigured { reason },
            GrantState::Ok | GrantState::Retrying => {
                Self::Unavailable { reason: format!("{reason} (in {} s)", wait.whole_seconds().max(1)) }
            }
        }
    }

    pub(super) fn of(error: &TokenError) -> Self {
        let reason = error.one_line("{account}");
        match error {
            TokenError::NeedsPerson(_) => Self::NeedsAuthorization { reason },
            TokenError::NeedsAdministrator(_) => Self::Misconfigured { reason },
            TokenError::Passing { .. } => Self::Unavailable { reason },
        }
    }

    /// The endpoint is left alone for a while, whatever the grant.
    pub(super) fn endpoint_paused(title: &str, wait: std::time::Duration) -> Self {
        Self::Unavailable {
            reason: format!(
                "the token endpoint of {title} has failed several times in a row; it is asked again in {} s, and nothing is lost",
                wait.as_secs().max(1)
            ),
        }
    }

    pub(super) fn sealed(error: &SealError) -> Self {
        Self::Local { reason: format!("the stored token cannot be opened: {error}") }
    }

    pub(super) fn store(error: &StoreError) -> Self {
        Self::Local { reason: error.to_string() }
    }

    pub(super) fn unknown_provider(provider: &str) -> Self {
        Self::Misconfigured {
            reason: format!(
                "the configuration has no provider named {provider:?} any more; put [providers.{provider}] back, \
                 or run: imap-oauth-proxy authorize {{account}} --provider NAME"
            ),
        }
    }

    pub(super) fn internal() -> Self {
        Self::Local { reason: "the refresh ended without a result; the log says why".to_owned() }
    }
}
