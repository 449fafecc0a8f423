//! One refresh, from the lease to the row.
//!
//! A process that dies between the provider's answer and its write leaves its lease behind; the process that takes the
//! lease over sees that the refresh was interrupted, and says so.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use time::Duration;

use super::keep::keep;
use super::lease::Lease;
use super::pause::after_failures;
use super::{AccessToken, Fetched, Inner, TokenFailure, Wanted, session_margin};
use crate::oauth::{self, TokenError};
use crate::secret::Secret;
use crate::store::{Grant, GrantState, Id, Leased, Right, Takeover};
use crate::text::{one_line, utc};

/// How often the row is read while another process refreshes the grant.
const LEASE_POLL: std::time::Duration = std::time::Duration::from_millis(100);
/// How often a lease is taken again that was too old when the row had been read, because the store is slow.
const TURNS: u32 = 3;
/// The pause before a refused grant is tried again. It is tried at all because the provider may have erred.
const REFUSED_GRANT_PAUSE: Duration = Duration::hours(1);
/// The pause before a misconfigured client is tried again, unless the configuration is loaded again.
const MISCONFIGURED_PAUSE: Duration = Duration::minutes(5);

/// Returns the `wanted` token of the grant: from the row where another process has stored it, else by a
/// request to the provider. `held` is true afterwards if this process may still have the lease, because the store did not
/// answer; then [`super::lease::give_back`] has to follow.
pub(super) async fn refresh(inner: &Inner, id: &Id, wanted: &Wanted, held: &AtomicBool) -> Fetched {
    let mut turns = 0u32;
    loop {
        let grant = match look(inner, id, wanted).await? {
            Seen::Met(token) => return Ok(token),
            Seen::Lacking(grant) => grant,
        };
        let provider = inner
            .clients
            .load()
            .get(&grant.provider)
            .ok_or_else(|| TokenFailure::unknown_provider(&grant.provider))?;
        let endpoint = &provider.endpoint;
        let pass =
            endpoint.enter().await.map_err(|wait| TokenFailure::endpoint_paused(&endpoint.title, wait))?;
        let lease = Lease::of(inner, id, held);
        match lease.take(takeover(&grant, wanted)).await.map_err(|error| TokenFailure::store(&error))? {
            Leased::Taken => {}
            Leased::Busy => {
                drop(pass);
                tokio::time::sleep(LEASE_POLL).await;
                continue;
            }
            Leased::Silent => return lasting(inner, &grant, wanted),
        }
        // Before this process got the lease, another one may have stored the token or recorded a failure.
        let grant = match look(inner, id, wanted).await {
            // A consent frees the lease. Another process may have taken the lease since, to spend the refresh token
            // that this process has just read.
            Ok(Seen::Lacking(newer)) if newer.revision != grant.revision || lease.is_old() => {
                turns = turns.saturating_add(u32::from(lease.is_old()));
                lease.release().await;
                // Each turn occupies a place at the token endpoint.
                if turns == TURNS {
                    return Err(TokenFailure::store_slow());
                }
                continue;
            }
            Ok(Seen::Lacking(grant)) => *grant,
            Ok(Seen::Met(token)) => {
                lease.release().await;
                return Ok(token);
            }
            Err(failure) => {
                lease.release().await;
                return Err(failure);
            }
        };
        let began = std::time::Instant::now();
        let asked = match ask(inner, &provider.client, &grant).await {
            Ok(asked) => asked,
            Err(failure) => {
                lease.release().await;
                return Err(failure);
            }
        };
        inner.count(&grant.provider, began, asked.as_ref().err());
        pass.report(asked.as_ref().err());
        return match asked {
            Ok(tokens) => keep(&lease, grant, tokens).await,
            Err(error) => Err(note(&lease, grant, &error).await),
        };
    }
}

/// Whether the lease of a silent holder is taken although the row's access token lasts. That holder may have the refresh token
/// that replaces the one in the row, and a provider that rotates strictly ends a grant whose spent token comes again.
fn takeover(grant: &Grant, wanted: &Wanted) -> Takeover {
    match (&grant.right, wanted) {
        // Nothing rotates.
        (Right::Application, _) => Takeover::AtOnce,
        // The access token is worth nothing.
        (_, Wanted::OtherThan(_)) => Takeover::AtOnce,
        (_, Wanted::Fresh | Wanted::NewerThan(_) | Wanted::EndingAfter(_)) => Takeover::OnceTokenEnds,
    }
}

/// The answer while the lease's holder is silent. The row's token lasts by the clock of the store, although it may be over
/// by this machine's clock; so a login gets that token.
fn lasting(inner: &Inner, grant: &Grant, wanted: &Wanted) -> Fetched {
    let token = inner.current(grant)?.filter(|_| matches!(wanted, Wanted::Fresh));
    token.ok_or_else(TokenFailure::holder_silent)
}

/// The result of reading the row.
enum Seen {
    /// The wanted token.
    Met(Arc<AccessToken>),
    /// No such token, and the provider may be asked.
    Lacking(Box<Grant>),
}

async fn look(inner: &Inner, id: &Id, wanted: &Wanted) -> Result<Seen, TokenFailure> {
    let grant = inner.store.grant(id).await.map_err(|error| TokenFailure::store(&error))?;
    let grant = grant.ok_or_else(TokenFailure::revoked)?;
    let now = inner.clock.now();
    let current = inner.current(&grant)?;
    match current.filter(|token| wanted.is_met_by(token, session_margin(&grant), now)) {
        Some(token) => Ok(Seen::Met(token)),
        // A failure that another process has just recorded counts for this one too.
        None => inner.may_ask(&grant, now).map(|()| Seen::Lacking(Box::new(grant))),
    }
}

/// Asks the provider. The outer error is of this machine, the inner one of the provider.
async fn ask(
    inner: &Inner,
    client: &oauth::Client,
    grant: &Grant,
) -> Result<Result<oauth::GrantedTokens, TokenError>, TokenFailure> {
    let refresh_token = match &grant.right {
        Right::Person { refresh_token } => open_refresh(inner, &grant.id, refresh_token)?,
        Right::Application => return Ok(client.app_token(&grant.owner).await),
        Right::Withdrawn { .. } => return Err(TokenFailure::revoked()),
    };
    Ok(client.refresh(&refresh_token, &client.provider().named_in_refresh(grant.known_scopes())).await)
}

pub(super) fn open_refresh(inner: &Inner, id: &Id, sealed: &[u8]) -> Result<Secret, TokenFailure> {
    let opened = inner.sealer.open_text(&Grant::refresh_context(id), sealed);
    opened.map_err(|error| TokenFailure::sealed(&error))
}

/// Records the failure in the row. The refresh token is kept.
async fn note(lease: &Lease<'_>, mut grant: Grant, error: &TokenError) -> TokenFailure {
    // Another process may have taken this one for dead meanwhile, and said so in the row.
    if lease.is_old()
        && let Ok(Some(newer)) = lease.inner.store.grant(&grant.id).await
    {
        grant.interrupted_at = newer.interrupted_at;
    }
    let clock = &lease.inner.clock;
    let now = clock.now();
    grant.failures = grant.failures.saturating_add(1);
    grant.failed_at = Some(now);
    let mut trouble = error.trouble();
    let (state, pause) = match error {
        TokenError::NeedsPerson(_) => {
            if let Some(at) = grant.interrupted_at {
                trouble.cause.text = format!(
                    "a refresh that began at {} was interrupted before its answer was stored, and a provider that takes \
                     each refresh token once then refuses the stored one: {}",
                    utc(at),
                    trouble.cause.text
                );
            }
            (GrantState::NeedsAuthorization, REFUSED_GRANT_PAUSE)
        }
        TokenError::NeedsAdministrator(_) if error.awaits_consent() => {
            (GrantState::WaitingForAdministrator, MISCONFIGURED_PAUSE)
        }
        // Nothing was sent. Another program may renew the file at any moment, so the next login reads it again.
        _ if error.is_local() => (GrantState::Misconfigured, Duration::ZERO),
        TokenError::NeedsAdministrator(_) => (GrantState::Misconfigured, MISCONFIGURED_PAUSE),
        TokenError::Passing { retry_after, .. } => {
            let asked = retry_after.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or(Duration::ZERO);
            (GrantState::Retrying, asked.max(after_failures(grant.failures, clock)))
        }
    };
    tracing::warn!(owner = %one_line(&grant.owner), provider = %one_line(&grant.provider), state = state.name(), "no token: {}", trouble.cause);
    grant.state = state;
    grant.retry_at = (pause > Duration::ZERO).then(|| now.saturating_add(pause));
    grant.trouble = Some(trouble);
    match lease.inner.store.update_grant(&grant).await {
        Ok(_) => lease.is_over(),
        Err(error) => {
            tracing::warn!(owner = %one_line(&grant.owner), "the refresh's failure was not stored: {error}");
            lease.release().await;
        }
    }
    match error {
        // The row's text may add that an earlier refresh was interrupted.
        TokenError::NeedsPerson(_) => TokenFailure::on_record(&grant, pause),
        _ => TokenFailure::of(error),
    }
}
