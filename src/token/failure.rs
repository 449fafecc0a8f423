//! Why a login gets no access token. Each variant leads to another answer to the mail program.

use time::Duration;

use crate::oauth::TokenError;
use crate::secret::SealError;
use crate::store::{Grant, GrantState, StoreError};
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

/// What is done about a store that does not do its part at present.
const TRIED_AGAIN: &str = "the proxy tries again, and nothing is lost";

/// Why there is no access token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenFailure {
    /// A person has to authorise again.
    #[error("{}", .0.cause)]
    NeedsAuthorization(Trouble),
    /// An administrator has to change something.
    #[error("{}", .0.cause)]
    Misconfigured(Trouble),
    /// The trouble passes by itself; the grant is unchanged.
    #[error("{}", .0.cause)]
    Unavailable(Trouble),
    /// The store or the sealing key failed on this machine.
    #[error("{}", .0.cause)]
    Local(Trouble),
}

impl TokenFailure {
    /// The cause and the cure.
    pub fn trouble(&self) -> &Trouble {
        match self {
            Self::NeedsAuthorization(trouble)
            | Self::Misconfigured(trouble)
            | Self::Unavailable(trouble)
            | Self::Local(trouble) => trouble,
        }
    }

    /// Whether the failure lasts until the account's owner acts. Other failures pass, or the administrator fixes them.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::NeedsAuthorization { .. } | Self::Misconfigured { .. })
    }

    /// There is no grant, or none with a refresh token.
    pub fn revoked() -> Self {
        let cause = "there is no authorisation for this account";
        Self::NeedsAuthorization(Trouble::new(CauseKind::NoGrant, cause, Cure::authorize()))
    }

    /// The grant works but lacks `scopes`, which the provider requires for `door`.
    pub fn lacks_scopes(door: &str, scopes: &[String]) -> Self {
        let (scopes, which) = (scopes.join(" "), if scopes.len() > 1 { "scopes" } else { "scope" });
        let cause = format!("the authorisation lacks the {which} {scopes}, without which there is no {door}");
        Self::NeedsAuthorization(Trouble::new(CauseKind::ScopeMissing, cause, Cure::authorize()))
    }

    /// Why a grant that is not in force gives no token.
    pub(super) fn not_in_force(grant: &Grant) -> Self {
        match (grant.is_awaited(), &grant.trouble) {
            (true, Some(trouble)) => Self::Misconfigured(trouble.clone()),
            _ => Self::revoked(),
        }
    }

    /// The trouble recorded in the grant's row, with the time until the next try.
    pub(super) fn on_record(grant: &Grant, wait: Duration) -> Self {
        let unknown =
            || Trouble::new(CauseKind::ProviderUnavailable, "the last refresh failed", Cure::Unknown);
        let mut trouble = grant.trouble.clone().unwrap_or_else(unknown);
        match grant.state {
            GrantState::NeedsAuthorization => Self::NeedsAuthorization(trouble),
            GrantState::Misconfigured | GrantState::WaitingForAdministrator => Self::Misconfigured(trouble),
            GrantState::Ok | GrantState::Retrying => {
                trouble.cure = trouble.cure.in_seconds(wait.whole_seconds().max(1));
                Self::Unavailable(trouble)
            }
        }
    }

    pub(super) fn of(error: &TokenError) -> Self {
        let trouble = error.trouble();
        match error {
            TokenError::NeedsPerson(_) => Self::NeedsAuthorization(trouble),
            TokenError::NeedsAdministrator(_) => Self::Misconfigured(trouble),
            TokenError::Passing { .. } => Self::Unavailable(trouble),
        }
    }

    /// No request is sent to the endpoint for `wait`, because its circuit is open.
    pub(super) fn endpoint_paused(title: &str, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let cause = format!("the token endpoint of {title} has failed several times in a row");
        let wait = format!("the proxy asks it again in {seconds} s, and nothing is lost");
        Self::Unavailable(Trouble::new(CauseKind::ProviderUnavailable, cause, Cure::wait(wait)))
    }

    pub(super) fn sealed(error: &SealError) -> Self {
        Self::local(format!("the stored token cannot be opened: {error}"))
    }

    pub(super) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Away(_) | StoreError::Full => Self::store_passing(error.to_string(), TRIED_AGAIN),
            _ => Self::local(error.to_string()),
        }
    }

    /// The store answers, but too slowly for a refresh under its lease.
    pub(super) fn store_slow() -> Self {
        Self::store_passing("the store is too slow for a refresh", TRIED_AGAIN)
    }

    /// Another instance refreshes the grant, or did before it was cut off from the store.
    pub(super) fn holder_silent() -> Self {
        let cause = "another instance that refreshes this authorisation does not reach the store";
        Self::store_passing(cause, "it is taken for dead once the access token ends, and nothing is lost")
    }

    fn store_passing(cause: impl Into<String>, wait: &str) -> Self {
        Self::Unavailable(Trouble::new(CauseKind::Local, cause, Cure::wait(wait)))
    }

    pub(super) fn unknown_provider(provider: &str) -> Self {
        let before = format!("put [providers.{provider}] back, or run: ");
        let cure = Cure::authorize_with(before, " --provider NAME");
        Self::Misconfigured(Trouble { cause: Cause::provider_unknown(provider), cure })
    }

    pub(super) fn internal() -> Self {
        Self::local("the refresh ended without a result; the log says why".to_owned())
    }

    fn local(cause: String) -> Self {
        Self::Local(Trouble::new(CauseKind::Local, cause, Cure::Unknown))
    }
}
