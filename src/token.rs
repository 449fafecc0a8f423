//! Access tokens: in memory while they last, refreshed once for all logins that wait, never at the
//! price of the grant.
//!
//! The invariants:
//! * At most one refresh of a grant is under way: in this process by the flight map, between
//!   processes by the store's lease. All other logins wait for its result.
//! * A token endpoint in trouble is left alone: few requests at once, none while its circuit is open.
//! * A refresh runs in a task of its own. A mail program that hangs up cancels nothing, because a
//!   provider that rotates refresh tokens has by then spent the old one.
//! * A token is cached for the row's revision, which every login reads; so a revocation, a new
//!   consent or another process's refresh holds at the next login.
//! * Only an explicit refusal changes a grant's state to one that needs a person, and even then
//!   its refresh token is kept. Only a person's own command deletes it.
//! * Expiry is judged when a token is used, against the wall clock: machines suspend.

// Dates and spans from files, the store and peers: no sum of them may overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod app;
mod clients;
mod endpoint;
mod failure;
mod flight;
mod pause;
mod refresh;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use self::clients::{Clients, ProviderClient};
use self::flight::Wanted;

pub use failure::TokenFailure;

use crate::metrics::{Metrics, Outcome};
use crate::oauth::{self, TokenError};
use crate::secret::{Sealer, Secret};
use crate::store::{Grant, GrantState, Id, Mailbox, Store};

/// Sessions end with the token that they logged in with (Gmail and Exchange end them so), so a
/// login wants one with half an hour ahead; of a short-lived one, half its life.
const SESSION_MARGIN: Duration = Duration::minutes(30);
/// Under this much, a token could end between here and the provider's check.
const LAST_USE: Duration = Duration::seconds(5);
/// No provider is left alone for longer: the longest `Retry-After` that is honoured is a day.
const LONGEST_PAUSE: Duration = Duration::hours(25);
/// A login that has a token which still opens the door waits no longer than this for a better one.
const BETTER_TOKEN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// As much of a sealed value as no two have in common: its nonce is in it.
const SEAL_LENGTH: usize = 32;

/// An access token, with what is needed to tell it from a newer one.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// The grant's revision that it belongs to.
    pub revision: i64,
}

impl AccessToken {
    /// How many whole minutes it is good for.
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
    /// Replaced as a whole; a request under way finishes with those that it began with.
    clients: ArcSwap<Clients>,
    cache: DashMap<Id, Cached>,
    flights: DashMap<Id, watch::Receiver<Option<Fetched>>>,
    /// Of domain accounts at providers whose application tokens open one mailbox each.
    mailboxes: app::Mailboxes,
    /// Where requests are counted.
    metrics: OnceLock<Arc<Metrics>>,
    /// Dropped flights tell those who wait for all of them.
    landed: tokio::sync::Notify,
}

/// An opened access token, valid for the row that holds this very seal at this revision: a database that was
/// replaced may have another token there under the same number.
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
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                sealer,
                clients: ArcSwap::from_pointee(Clients::new(clients, None)),
                cache: DashMap::new(),
                flights: DashMap::new(),
                mailboxes: app::Mailboxes::default(),
                metrics: OnceLock::new(),
                landed: tokio::sync::Notify::new(),
            }),
        }
    }

    /// Other OAuth clients, from the next request on. What a provider refused because of the old ones may be
    /// asked again at once; how its token endpoint does stays known.
    pub fn replace_clients(&self, clients: HashMap<String, Arc<oauth::Client>>) {
        let replacement = Clients::new(clients, Some(&self.inner.clients.load()));
        self.inner.clients.store(Arc::new(replacement));
    }

    /// Counts requests to token endpoints from now on; a command counts nothing.
    pub fn count_in(&self, metrics: Arc<Metrics>) {
        // A second one would be the same.
        let _ = self.inner.metrics.set(metrics);
    }

    /// A token for a session in `mailbox` that begins now. `grant` was read for this login.
    pub async fn access(&self, grant: &Grant, mailbox: &Mailbox) -> Fetched {
        if !grant.is_in_force() {
            return Err(TokenFailure::not_in_force(grant));
        }
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, false).await {
            return outcome;
        }
        let now = OffsetDateTime::now_utc();
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
            // The person withdrew it: that should be seen now, and not when the last token ends.
            Ok(Err(failure @ TokenFailure::NeedsAuthorization { .. })) => Err(failure),
            // What passes, or is ours, must not lock out while the old token still opens the door.
            Ok(Err(_)) | Err(_) => Ok(token),
        }
    }

    /// A new token now, whatever life the old one has left: a person asked for it.
    pub async fn renew(&self, grant: &Grant, mailbox: &Mailbox) -> Fetched {
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, true).await {
            return outcome;
        }
        self.inner.may_ask(grant, OffsetDateTime::now_utc())?;
        let wanted = self.inner.current(grant)?.map_or(Wanted::Fresh, Wanted::OtherThan);
        self.inner.join(&grant.id, wanted).await
    }

    /// Another token, because the provider refused `refused` although it looked valid.
    pub async fn replace(&self, grant: &Grant, mailbox: &Mailbox, refused: &Arc<AccessToken>) -> Fetched {
        if let Some(outcome) = app::token(&self.inner, grant, mailbox, true).await {
            return outcome;
        }
        self.inner.may_ask(grant, OffsetDateTime::now_utc())?;
        self.inner.join(&grant.id, Wanted::OtherThan(refused.clone())).await
    }

    /// Renews tokens ahead of time, until it is dropped. `in_use` are the grants that sessions of this
    /// process are using.
    pub async fn upkeep(&self, in_use: impl Fn() -> HashSet<Id>) {
        upkeep::run(&self.inner, in_use).await;
    }

    /// Waits until no refresh is under way: a provider that rotates refresh tokens may have answered one
    /// whose answer is not on disk yet. The process must not end before, within reason.
    pub async fn settle(&self) {
        loop {
            let landed = self.inner.landed.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            if self.inner.flights.is_empty() {
                return;
            }
            landed.await;
        }
    }
}

/// Never negative: a row may say that its token ended before it was issued.
fn session_margin(grant: &Grant) -> Duration {
    let issued = grant.refreshed_at.unwrap_or(grant.authorized_at);
    let lifetime = grant.access_expires_at.map(|end| end - issued);
    let half = |lifetime: Duration| lifetime.checked_div(2).unwrap_or(SESSION_MARGIN);
    lifetime.map_or(SESSION_MARGIN, |lifetime| half(lifetime).clamp(Duration::ZERO, SESSION_MARGIN))
}

/// Until when the provider is left alone, where `now` is before that. A pause that is longer than any that
/// is ever written down comes from a clock that was wrong, and could last for decades.
fn pause_until(retry_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Option<OffsetDateTime> {
    retry_at.filter(|retry_at| *retry_at > now && *retry_at - now <= LONGEST_PAUSE)
}

impl Inner {
    /// The grant's newest access token, expired or not: from memory, else opened.
    fn current(&self, grant: &Grant) -> Result<Option<Arc<AccessToken>>, TokenFailure> {
        let (Some(sealed), Some(expires_at)) = (&grant.access_token, grant.access_expires_at) else {
            return Ok(None);
        };
        let seal = sealed.get(..SEAL_LENGTH).unwrap_or(sealed);
        if let Some(cached) = self.cache.get(&grant.id)
            && cached.token.revision == grant.revision
            && cached.seal == seal
        {
            return Ok(Some(cached.token.clone()));
        }
        let secret = self
            .sealer
            .open_text(&Grant::access_context(&grant.id), sealed)
            .map_err(|error| TokenFailure::sealed(&error))?;
        let token = Arc::new(AccessToken { secret, expires_at, revision: grant.revision });
        self.cache.insert(grant.id.clone(), Cached { seal: seal.to_owned(), token: token.clone() });
        Ok(Some(token))
    }

    /// Counts one request that began then, and the `error` that it ended with.
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

    /// Whether the provider may be asked now, or trouble on record says to wait.
    fn may_ask(&self, grant: &Grant, now: OffsetDateTime) -> Result<(), TokenFailure> {
        if !grant.is_in_force() {
            return Err(TokenFailure::not_in_force(grant));
        }
        // A new configuration may have mended what an administrator had to mend.
        let is_administrators =
            matches!(grant.state, GrantState::Misconfigured | GrantState::WaitingForAdministrator);
        let before_us = grant.failed_at.is_some_and(|at| at < self.clients.load().since);
        match pause_until(grant.retry_at, now) {
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

    use super::*;
    use crate::store::{Right, any_date};

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
            if let Some(until) = pause_until(Some(retry), now) {
                prop_assert!(until > now && until - now <= LONGEST_PAUSE);
            }
        }
    }
}
