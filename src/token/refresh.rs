//! One refresh, from the lease to the row.
//!
//! Nothing but one write stands between the provider's answer and safety: the rotated refresh token
//! is on disk before the access token that came with it is used. If that write fails, it is
//! repeated for as long as this process lives, because the answer is nowhere else. A process that
//! dies in between leaves its lease behind, and the process that takes it over knows and says so.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::pause::after_failures;
use super::{AccessToken, Fetched, Inner, TokenFailure, Wanted, session_margin};
use crate::oauth::{self, TokenError};
use crate::secret::Secret;
use crate::store::{Grant, GrantState, Id, Right, StoreError};
use crate::text::{one_line, utc};
use crate::trouble::{CauseKind, Cure, Trouble};

/// The longest that a living holder of a lease is waited for: one that was stopped, or whose disk is
/// full, may have a rotated refresh token in hand. A dead one is not waited for.
const LEASE: Duration = Duration::hours(1);
/// How often a row is looked at while another process refreshes it.
const LEASE_POLL: std::time::Duration = std::time::Duration::from_millis(100);
/// A refused grant is not tried again before this, in case the provider erred.
const REFUSED_GRANT_PAUSE: Duration = Duration::hours(1);
/// A wrong registration is not tried again before this, unless the process starts anew.
const MISCONFIGURED_PAUSE: Duration = Duration::minutes(5);

/// Brings what is `wanted` of the grant, by a request to the provider where no other process has brought it.
pub(super) async fn refresh(inner: &Inner, id: &Id, wanted: &Wanted) -> Fetched {
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
        let (now, epoch) = (OffsetDateTime::now_utc(), inner.store.epoch());
        let taken = inner.store.take_lease(id, now, now.saturating_add(LEASE)).await;
        if !taken.map_err(|error| TokenFailure::store(&error))? {
            drop(pass);
            tokio::time::sleep(LEASE_POLL).await;
            continue;
        }
        let lease = Lease { inner, id, epoch };
        // Another process may have brought what was wanted, or met trouble, before the lease was ours.
        let grant = match look(inner, id, wanted).await {
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

/// What the row says about what is wanted.
enum Seen {
    /// It is there.
    Met(Arc<AccessToken>),
    /// It is not, and the provider may be asked.
    Lacking(Box<Grant>),
}

async fn look(inner: &Inner, id: &Id, wanted: &Wanted) -> Result<Seen, TokenFailure> {
    let grant = inner.store.grant(id).await.map_err(|error| TokenFailure::store(&error))?;
    let grant = grant.ok_or_else(TokenFailure::revoked)?;
    let now = OffsetDateTime::now_utc();
    let current = inner.current(&grant)?;
    match current.filter(|token| wanted.is_met_by(token, session_margin(&grant), now)) {
        Some(token) => Ok(Seen::Met(token)),
        // Trouble that another process has just met is not met again.
        None => inner.may_ask(&grant, now).map(|()| Seen::Lacking(Box::new(grant))),
    }
}

/// The right to refresh one grant, taken.
struct Lease<'a> {
    inner: &'a Inner,
    id: &'a Id,
    /// Of the store, when it was taken.
    epoch: u64,
}

impl Lease<'_> {
    /// Gives it up without a word in the row. Where that fails, this process may take it again.
    async fn release(&self) {
        if let Err(error) = self.inner.store.release_lease(self.id).await {
            tracing::debug!("a lease was not released: {error}");
        }
    }
}

/// Asks the provider. The outer error is ours, the inner one the provider's.
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

/// Puts what the provider gave on disk, then hands it out.
async fn keep(lease: &Lease<'_>, mut grant: Grant, tokens: oauth::GrantedTokens) -> Fetched {
    let inner = lease.inner;
    let spent = grant.right.clone();
    let mut epoch = lease.epoch;
    let sealed = seal(inner, &grant.id, &tokens)?;
    let mut pause = std::time::Duration::from_millis(100);
    loop {
        apply(&mut grant, &tokens, &sealed);
        let written = match inner.store.epoch() == epoch {
            true => inner.store.update_grant(&grant).await,
            // The same revision in another database may be another one.
            false => Err(StoreError::Conflict),
        };
        epoch = inner.store.epoch();
        let error = match written {
            Ok(revision) => {
                tracing::info!(owner = %one_line(&grant.owner), provider = %one_line(&grant.provider), expires_at = %utc(tokens.expires_at), "token refreshed");
                return Ok(Arc::new(AccessToken {
                    secret: tokens.access_token,
                    expires_at: tokens.expires_at,
                    revision,
                }));
            }
            Err(StoreError::Conflict) => match inner.store.grant(&grant.id).await {
                // Bookkeeping came between; the tokens are still the ones we built on.
                Ok(Some(newer)) if same_right(inner, &newer, &spent) => {
                    grant = newer;
                    continue;
                }
                // A person authorised or revoked meanwhile: theirs is newer, ours is dropped.
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

/// Whether `grant` rests on the right that the token was asked for by. A refresh token may be sealed with
/// another key by now.
fn same_right(inner: &Inner, grant: &Grant, asked_by: &Right) -> bool {
    let open = |sealed: &[u8]| open_refresh(inner, &grant.id, sealed).ok();
    match (&grant.right, asked_by) {
        (Right::Person { refresh_token: newer }, Right::Person { refresh_token: spent }) => {
            newer == spent || open(newer).is_some_and(|newer| Some(newer) == open(spent))
        }
        (newer, asked_by) => newer == asked_by,
    }
}

/// A full or read-only disk: the tokens live here alone until it is mended.
async fn wait_for_store(grant: &Grant, error: &StoreError, pause: &mut std::time::Duration) {
    tracing::error!(
        owner = %one_line(&grant.owner),
        "a refreshed token cannot be written and is kept in memory; do not stop the proxy before this is mended: {error}"
    );
    tokio::time::sleep(*pause).await;
    *pause = pause.saturating_mul(2).min(std::time::Duration::from_secs(10));
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

/// Brings the grant's row up to date. A mail scope that the grant held and has no more is its trouble; one that it
/// never held only closes a door.
fn apply(grant: &mut Grant, tokens: &oauth::GrantedTokens, sealed: &SealedTokens) {
    grant.access_token = Some(sealed.access.clone());
    grant.access_expires_at = Some(tokens.expires_at);
    if let (Some(newest), Right::Person { refresh_token }) = (&sealed.refresh, &mut grant.right) {
        refresh_token.clone_from(newest);
    }
    let missing = match grant.right {
        Right::Person { .. } => oauth::scope::missing(&grant.scopes, tokens.scopes.as_deref()),
        // Its scopes are the application's own.
        Right::Application | Right::Withdrawn { .. } => Vec::new(),
    };
    if let Some(scopes) = &tokens.scopes {
        grant.scopes.clone_from(scopes);
    }
    if tokens.refresh_expires_at.is_some() {
        grant.refresh_expires_at = tokens.refresh_expires_at;
    }
    grant.refreshed_at = Some(OffsetDateTime::now_utc());
    grant.clear_trouble();
    if !missing.is_empty() {
        grant.trouble = Some(Trouble::new(
            CauseKind::ScopeMissing,
            format!("the scope {} was not granted by the last refresh", missing.join(" ")),
            Cure::authorize_and(" and leave every box ticked"),
        ));
    }
}

/// Writes down why there is no token. The refresh token stays where it is.
async fn note(lease: &Lease<'_>, mut grant: Grant, error: &TokenError) -> TokenFailure {
    let now = OffsetDateTime::now_utc();
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
            (GrantState::Retrying, asked.max(after_failures(grant.failures)))
        }
    };
    tracing::warn!(owner = %one_line(&grant.owner), provider = %one_line(&grant.provider), state = state.name(), "no token: {}", trouble.cause);
    grant.state = state;
    grant.retry_at = Some(now.saturating_add(pause));
    grant.trouble = Some(trouble);
    if let Err(error) = lease.inner.store.update_grant(&grant).await {
        tracing::warn!(owner = %one_line(&grant.owner), "the failure was not written down: {error}");
        lease.release().await;
    }
    match error {
        // In the row's words, which may know more.
        TokenError::NeedsPerson(_) => TokenFailure::on_record(&grant, pause),
        _ => TokenFailure::of(error),
    }
}
