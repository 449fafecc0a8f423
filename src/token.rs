//! Access tokens. The cache keeps a token in memory until it expires; one refresh serves all logins that
//! wait; no failure deletes a grant.
//!
//! The invariants:
//! * At most one refresh of a grant is under way: the flight map ensures this within the process, the store's
//!   lease between processes. All other logins wait for its result.
//! * A token endpoint gets few requests at once, and none while its circuit is open after failures.
//! * A refresh runs in a task of its own. A mail program that hangs up cancels nothing, because a
//!   provider that rotates refresh tokens has by then spent the old one.
//! * A token is cached for the row's revision, which every login reads; so a revocation, a new
//!   consent or another process's refresh holds at the next login.
//! * Only an explicit refusal changes a grant's state to "needs a person". The refresh token is kept even
//!   then; only a user's command deletes it.
//! * Expiry is judged when a token is used, against the wall clock: machines suspend.

// Files, the store and peers supply arbitrary dates and durations; adding them must not overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod app;
mod clients;
mod endpoint;
mod failure;
mod flight;
mod keep;
mod lease;
mod pause;
mod refresh;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use self::clients::{Clients, ProviderClient};
use self::flight::{Flight, Wanted};
use self::pause::pause_until;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use time::{Duration, OffsetDateTime};

pub use failure::TokenFailure;

use crate::clock::Clock;
use crate::metrics::{Metrics, Outcome};
use crate::oauth::{self, TokenError};
use crate::secret::{Sealer, Secret};
use crate::store::{Grant, GrantState, Id, Mailbox, Right, Store};
use crate::text::one_line;

/// Gmail and Exchange end a session when the token that it signed in with expires. So a login gets a token
/// with at least half an hour left, or half its life if the token is short-lived.
const SESSION_MARGIN: Duration = Duration::minutes(30);
/// A token with less life left could expire before the provider checks it.
const LAST_USE: Duration = Duration::seconds(5);
/// How long a login that has a valid but short token waits for a fresh one.
const BETTER_TOKEN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// These first bytes of a sealed value hold its nonce, so they differ between any two values.
const SEAL_LENGTH: usize = 32;

/// An access token and the grant revision that it belongs to.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// When the token expires.
    pub expires_at: OffsetDateTime,
    /// The grant's revision when the token was stored.
    pub revision: i64,
}

impl AccessToken {
    /// How many whole minutes remain until the token expires.
    pub fn minutes_left(&self) -> i64 {
        (self.expires_at - OffsetDateTime::now_utc()).whole_minutes()
    }
}

/// Gives out access tokens.
pub struct Tokens {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    clock: Clock,
    /// Replaced as a whole; a request under way finishes with the clients that it began with.
    clients: ArcSwap<Clients>,
    cache: DashMap<Id, Cached>,
    flights: DashMap<Id, Flight>,
    /// The tokens of single mailboxes, for providers that give an application one token a mailbox.
    mailboxes: app::Mailboxes,
    /// Counts the refresh requests; absent in a command.
    metrics: OnceLock<Arc<Metrics>>,
    /// Notified when a refresh ends, for [`Tokens::settle`].
    landed: tokio::sync::Notify,
}

/// An opened access token. It is valid only for a row with the same seal and revision: after the database was
/// replaced, another grant's token could have the same id and revision.
struct Cached {
    seal: Vec<u8>,
    token: Arc<AccessToken>,
}

type Fetched = Result<Arc<AccessToken>, TokenFailure>;

impl Tokens {
    /// `clients` are the OAuth clients by provider name.
    pub fn new(
        store: Arc<dyn Store>,
        sealer: Arc<Sealer>,
        clients: HashMap<String, Arc<oauth::Client>>,
        clock: Clock,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                sealer,
                clients: ArcSwap::from_pointee(Clients::new(clients, None, &clock)),
                clock,
                cache: DashMap::new(),
                flights: DashMap::new(),
                mailboxes: app::Mailboxes::default(),
                metrics: OnceLock::new(),
                landed: tokio::sync::Notify::new(),
            }),
        }
    }

    /// Uses other OAuth clients from the next request on. Refusals that the old clients caused no longer
    /// delay requests; the state of the token endpoints is kept.
    pub fn replace_clients(&self, clients: HashMap<String, Arc<oauth::Client>>) {
        let replacement = Clients::new(clients, Some(&self.inner.clients.load()), &self.inner.clock);
        self.inner.clients.store(Arc::new(replacement));
    }

    /// Counts requests to token endpoints from now on. Commands do not call this.
    pub fn count_in(&self, metrics: Arc<Metrics>) {
        // A second call would pass the same metrics.
        let _ = self.inner.metrics.set(metrics);
    }

    /// A token for a session that begins now in `mailbox`. The caller has just read `grant`.
    pub async fn access(&self, grant: &Grant, mailbox: &Mailbox) -> Fetched {
        if !grant.is_in_force() {
            return Err(TokenFailure::not_in_force(grant));
        }
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, false).await {
            return outcome;
        }
        let now = self.inner.clock.now();
        let current = self.inner.current(grant)?;
        if let Some(token) = &current
            && token.expires_at - now > session_margin(grant)
        {
            return Ok(token.clone());
        }
        let better = async {
            self.inner.may_ask(grant, now)?;
            self.inner.join(&grant.id, Wanted::Fresh).await
        };
        let Some(token) = current.filter(|token| token.expires_at - now > LAST_USE) else {
            return better.await;
        };
        match tokio::time::timeout(BETTER_TOKEN_PATIENCE, better).await {
            Ok(Ok(better)) => Ok(better),
            // The person withdrew the grant: this login reports it, although the old token is still valid.
            Ok(Err(failure @ TokenFailure::NeedsAuthorization { .. })) => Err(failure),
            // A passing or local failure must not lock the client out while the old token is still valid.
            Ok(Err(_)) | Err(_) => Ok(token),
        }
    }

    /// A new token now, however long the old one lasts, because a person asked for it.
    pub async fn renew(&self, grant: &Grant, mailbox: &Mailbox) -> Fetched {
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, true).await {
            return outcome;
        }
        self.inner.may_ask(grant, self.inner.clock.now())?;
        let wanted = self.inner.current(grant)?.map_or(Wanted::Fresh, Wanted::NewerThan);
        self.inner.join(&grant.id, wanted).await
    }

    /// Another token, because the provider refused `refused` although it looked valid.
    pub async fn replace(&self, grant: &Grant, mailbox: &Mailbox, refused: &Arc<AccessToken>) -> Fetched {
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, true).await {
            return outcome;
        }
        self.inner.may_ask(grant, self.inner.clock.now())?;
        self.inner.join(&grant.id, Wanted::OtherThan(refused.clone())).await
    }

    /// Renews tokens before they expire, until the future is dropped. `in_use` returns the grants that
    /// sessions of this process use.
    pub async fn upkeep(&self, in_use: impl Fn() -> HashSet<Id>) {
        upkeep::run(&self.inner, in_use).await;
    }

    /// Waits until no refresh is under way. The process must not end earlier: a provider may have rotated a
    /// refresh token in an answer that is not on disk yet.
    pub async fn settle(&self) {
        loop {
            let landed = self.inner.landed.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            if self.inner.flights.iter().all(|flight| flight.initialized()) {
                return;
            }
            landed.await;
        }
    }
}

/// What tells the sealed token of a row from any other; empty if there is none.
fn seal_of(grant: &Grant) -> &[u8] {
    let sealed = grant.access_token.as_deref().unwrap_or_default();
    sealed.get(..SEAL_LENGTH).unwrap_or(sealed)
}

/// The life that a token must have left for a new session. Never negative, although a row may claim that its
/// token expired before it was issued.
fn session_margin(grant: &Grant) -> Duration {
    let issued = grant.refreshed_at.unwrap_or(grant.authorized_at);
    let lifetime = grant.access_expires_at.map(|end| end - issued);
    let half = |lifetime: Duration| lifetime.checked_div(2).unwrap_or(SESSION_MARGIN);
    lifetime.map_or(SESSION_MARGIN, |lifetime| half(lifetime).clamp(Duration::ZERO, SESSION_MARGIN))
}

impl Inner {
    /// The grant's newest access token, expired or not: from the cache, or opened from the row.
    fn current(&self, grant: &Grant) -> Result<Option<Arc<AccessToken>>, TokenFailure> {
        if let Some(cached) = self.cache.get(&grant.id)
            && cached.token.revision == grant.revision
            && cached.seal == seal_of(grant)
        {
            return Ok(Some(cached.token.clone()));
        }
        let (Some(sealed), Some(expires_at)) = (&grant.access_token, grant.access_expires_at) else {
            return Ok(None);
        };
        let secret = match self.sealer.open_text(&Grant::access_context(&grant.id), sealed) {
            Ok(secret) => secret,
            // An application needs nothing sealed to ask for another token.
            Err(error) if grant.right == Right::Application => {
                tracing::warn!(owner = %one_line(&grant.owner), "the stored token cannot be opened, another one is asked for: {error}");
                return Ok(None);
            }
            Err(error) => return Err(TokenFailure::sealed(&error)),
        };
        let token = Arc::new(AccessToken { secret, expires_at, revision: grant.revision });
        self.remember(grant, token.clone());
        Ok(Some(token))
    }

    /// Puts the token into the cache, until the row of `grant` changes.
    fn remember(&self, grant: &Grant, token: Arc<AccessToken>) {
        self.cache.insert(grant.id.clone(), Cached { seal: seal_of(grant).to_owned(), token });
    }

    /// Counts one request that began at `began`, and the `error` that it ended with.
    fn count(&self, provider: &str, began: std::time::Instant, error: Option<&TokenError>) {
        let outcome = match error {
            None => Outcome::Ok,
            Some(TokenError::NeedsPerson(_) | TokenError::NeedsAdministrator(_)) => Outcome::Refused,
            Some(TokenError::Passing { .. }) => Outcome::Failed,
        };
        if let Some(metrics) = self.metrics.get() {
            metrics.refreshed(provider, outcome, began.elapsed());
        }
    }

    /// Whether the provider may be asked now; otherwise the failure on record, with the time to wait.
    fn may_ask(&self, grant: &Grant, now: OffsetDateTime) -> Result<(), TokenFailure> {
        if !grant.is_in_force() {
            return Err(TokenFailure::not_in_force(grant));
        }
        // A configuration loaded after the failure may have fixed a misconfiguration.
        let is_administrators =
            matches!(grant.state, GrantState::Misconfigured | GrantState::WaitingForAdministrator);
        let before_us = grant.failed_at.is_some_and(|at| at < self.clients.load().since);
        match pause_until(grant.failed_at, grant.retry_at, now) {
            Some(retry_at) if !(is_administrators && before_us) => {
                Err(TokenFailure::on_record(grant, retry_at - now))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::pause::LONGEST_PAUSE;
    use super::*;
    use crate::store::any_date;

    proptest! {
        #[test]
        fn security_row_33_no_date_makes_a_login_panic(
            dates in prop::array::uniform5(any_date()),
        ) {
            let [issued, ends, failed, retry, now] = dates;
            let mut grant = Grant::new(Id::random(), "acme", "alice", Right::Application, issued);
            grant.access_expires_at = Some(ends);
            grant.failed_at = Some(failed);
            let margin = session_margin(&grant);
            prop_assert!(margin >= Duration::ZERO && margin <= SESSION_MARGIN);
            if let Some(until) = pause_until(Some(failed), Some(retry), now) {
                prop_assert!(until > now && until - now <= LONGEST_PAUSE);
            }
        }
    }
}
