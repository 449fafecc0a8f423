//! One refresh, from the lease to the row.
//!
//! The rotated refresh token is on disk before the access token that came with it is used. If that write
//! fails, it is repeated for as long as this process lives, because only this process's memory holds the new
//! token. A process that dies in between leaves its lease behind; the process that takes the lease over sees
//! that the refresh was interrupted, and says so.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use time::{Duration, OffsetDateTime};

use super::lease::{LONGEST_STORE_PAUSE, Lease};
use super::pause::after_failures;
use super::{AccessToken, Fetched, Inner, TokenFailure, Wanted, session_margin};
use crate::oauth::{self, TokenError};
use crate::secret::Secret;
use crate::store::{Grant, GrantState, Id, Right, StoreError};
use crate::text::{one_line, utc};
use crate::trouble::{CauseKind, Cure, Trouble};

/// How often the row is read while another process refreshes the grant.
const LEASE_POLL: std::time::Duration = std::time::Duration::from_millis(100);
/// A refused grant is not tried again earlier. It is tried again at all because the provider may have erred.
const REFUSED_GRANT_PAUSE: Duration = Duration::hours(1);
/// A misconfigured client is not tried again earlier, unless the configuration is loaded again.
const MISCONFIGURED_PAUSE: Duration = Duration::minutes(5);

/// Returns the `wanted` token of the grant: from the row where another process has stored it, else by a
/// request to the provider. `held` is true afterwards if this process may still have the lease, because the store did not
/// answer; then [`super::lease::give_back`] has to follow.
pub(super) async fn refresh(inner: &Inner, id: &Id, wanted: &Wanted, held: &AtomicBool) -> Fetched {
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
        if !lease.take().await.map_err(|error| TokenFailure::store(&error))? {
            drop(pass);
            tokio::time::sleep(LEASE_POLL).await;
            continue;
        }
        // Before this process got the lease, another one may have stored the token or recorded a failure.
        let grant = match look(inner, id, wanted).await {
            // A consent frees the lease, and another process may have taken it for the token that this one has just read.
            Ok(Seen::Lacking(newer)) if newer.revision != grant.revision || lease.is_old() => {
                lease.release().await;
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

/// What the row holds.
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

/// Asks the provider. The outer error is local, the inner one is the provider's.
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

fn open_refresh(inner: &Inner, id: &Id, sealed: &[u8]) -> Result<Secret, TokenFailure> {
    let opened = inner.sealer.open_text(&Grant::refresh_context(id), sealed);
    opened.map_err(|error| TokenFailure::sealed(&error))
}

/// Stores the provider's tokens, then returns the access token.
async fn keep(lease: &Lease<'_>, mut grant: Grant, tokens: oauth::GrantedTokens) -> Fetched {
    let inner = lease.inner;
    let spent = grant.right.clone();
    let mut epoch = lease.epoch;
    let sealed = seal(inner, &grant.id, &tokens)?;
    let mut pause = std::time::Duration::from_millis(100);
    let mut overtaken = None;
    loop {
        apply(&mut grant, &tokens, &sealed, inner.clock.now());
        grant.interrupted_at = overtaken;
        let written = match inner.store.epoch() == epoch {
            true => inner.store.update_grant(&grant).await,
            // The database was replaced, so its revision numbers are not comparable.
            false => Err(StoreError::Conflict),
        };
        epoch = inner.store.epoch();
        let error = match written {
            Ok(revision) => {
                lease.is_over();
                tracing::info!(owner = %one_line(&grant.owner), provider = %one_line(&grant.provider), expires_at = %utc(tokens.expires_at), "token refreshed");
                return Ok(Arc::new(AccessToken {
                    secret: tokens.access_token,
                    expires_at: tokens.expires_at,
                    revision,
                }));
            }
            Err(StoreError::Conflict) => match inner.store.grant(&grant.id).await {
                // Only bookkeeping changed the row; the refresh token is still the one that was spent.
                Ok(Some(newer)) if same_right(inner, &newer, &spent) => {
                    // Another process took this one for dead, and has perhaps spent the token again: a refusal will say so.
                    overtaken = newer.interrupted_at;
                    grant = newer;
                    continue;
                }
                // A person authorised or revoked the grant meanwhile: keep that row, drop these tokens.
                Ok(newer) => {
                    lease.release().await;
                    let newer = newer.filter(Grant::is_in_force);
                    let newer = newer.ok_or_else(TokenFailure::revoked)?;
                    return inner.current(&newer)?.ok_or_else(TokenFailure::revoked);
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        wait_for_store(&grant, &error, &mut pause).await;
    }
}

/// Whether `grant` still holds the right that the request used. Its refresh token may have been sealed anew
/// with another key.
fn same_right(inner: &Inner, grant: &Grant, asked_by: &Right) -> bool {
    let open = |sealed: &[u8]| open_refresh(inner, &grant.id, sealed).ok();
    match (&grant.right, asked_by) {
        (Right::Person { refresh_token: newer }, Right::Person { refresh_token: spent }) => {
            newer == spent || open(newer).is_some_and(|newer| Some(newer) == open(spent))
        }
        (newer, asked_by) => newer == asked_by,
    }
}

/// Waits before the next write. The disk is full or read-only, so only this process's memory holds the
/// tokens.
async fn wait_for_store(grant: &Grant, error: &StoreError, pause: &mut std::time::Duration) {
    tracing::error!(
        owner = %one_line(&grant.owner),
        "a refreshed token cannot be written and is kept in memory; do not stop the proxy before the store can be written: {error}"
    );
    tokio::time::sleep(*pause).await;
    *pause = pause.saturating_mul(2).min(LONGEST_STORE_PAUSE);
}

struct SealedTokens {
    access: Vec<u8>,
    refresh: Option<Vec<u8>>,
}

fn seal(inner: &Inner, id: &Id, tokens: &oauth::GrantedTokens) -> Result<SealedTokens, TokenFailure> {
    let seal = |context: String, secret: &Secret| {
        inner.sealer.seal(&context, secret.expose().as_bytes()).map_err(|error| TokenFailure::sealed(&error))
    };
    Ok(SealedTokens {
        access: seal(Grant::access_context(id), &tokens.access_token)?,
        refresh: tokens
            .refresh_token
            .as_ref()
            .map(|token| seal(Grant::refresh_context(id), token))
            .transpose()?,
    })
}

/// Writes the tokens into the grant's row. Losing a mail scope that the grant had is recorded as trouble; a
/// scope that it never had only closes a door.
fn apply(grant: &mut Grant, tokens: &oauth::GrantedTokens, sealed: &SealedTokens, now: OffsetDateTime) {
    grant.access_token = Some(sealed.access.clone());
    grant.access_expires_at = Some(tokens.expires_at);
    if let (Some(newest), Right::Person { refresh_token }) = (&sealed.refresh, &mut grant.right) {
        refresh_token.clone_from(newest);
    }
    let missing = match grant.right {
        Right::Person { .. } => oauth::scope::missing(&grant.scopes, tokens.scopes.as_deref()),
        // An application's scopes are fixed by its registration.
        Right::Application | Right::Withdrawn { .. } => Vec::new(),
    };
    if let Some(scopes) = &tokens.scopes {
        grant.scopes.clone_from(scopes);
    }
    if tokens.refresh_expires_at.is_some() {
        grant.refresh_expires_at = tokens.refresh_expires_at;
    }
    grant.refreshed_at = Some(now);
    grant.clear_trouble();
    if !missing.is_empty() {
        grant.trouble = Some(Trouble::new(
            CauseKind::ScopeMissing,
            format!("the scope {} was not granted by the last refresh", missing.join(" ")),
            Cure::authorize_and(" and leave every box ticked"),
        ));
    }
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
        TokenError::NeedsAdministrator(_) => (GrantState::Misconfigured, MISCONFIGURED_PAUSE),
        TokenError::Passing { retry_after, .. } => {
            let asked = retry_after.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or(Duration::ZERO);
            (GrantState::Retrying, asked.max(after_failures(grant.failures, clock)))
        }
    };
    tracing::warn!(owner = %one_line(&grant.owner), provider = %one_line(&grant.provider), state = state.name(), "no token: {}", trouble.cause);
    grant.state = state;
    grant.retry_at = Some(now.saturating_add(pause));
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
