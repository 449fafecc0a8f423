//! Keeps what the provider gave: the write that ends a refresh.
//!
//! The rotated refresh token is on disk before the access token that came with it is used. If that write fails, it is
//! repeated for as long as this process lives, because only this process's memory holds the new token.
//!
//! Where machines share the store, the keys may rotate while a write waits. So for a row that has changed, the tokens
//! are sealed again, with the key of that row. If this machine's keys cannot open the row, this process cannot know
//! whether the row is newer; then the tokens stay in memory until the keys open it.

use std::sync::Arc;

use time::OffsetDateTime;

use super::lease::Lease;
use super::{AccessToken, Fetched, Inner, TokenFailure};
use crate::oauth;
use crate::secret::{SealError, Sealer, Secret};
use crate::store::{Grant, Id, Right, StoreError};
use crate::text::{one_line, utc};
use crate::trouble::{CauseKind, Cure, Trouble};

/// The longest pause between two tries to write. While the store is away another instance may take this one for dead, and
/// would ask with the spent token soon after the store is back.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
const SHORTEST_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Stores the provider's tokens, then returns the access token.
pub(super) async fn keep(lease: &Lease<'_>, mut grant: Grant, tokens: oauth::GrantedTokens) -> Fetched {
    let inner = lease.inner;
    let spent = Spent::of(&inner.sealer, &grant);
    let mut epoch = lease.epoch;
    let Some(mut sealed) = seal_for(inner, &grant, &tokens).await? else {
        return Ok(remember(lease, &grant, tokens).await);
    };
    let mut tries = 0;
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
            Err(StoreError::Conflict) => match newer(inner, &grant.id, &spent).await {
                // Only bookkeeping changed the row; the refresh token is still the one that was spent.
                Ok(Newer::Same(newer)) => {
                    // Another process took this one for dead, and has perhaps spent the token again; a later refusal
                    // will name that cause.
                    overtaken = newer.interrupted_at;
                    grant = *newer;
                    match seal_for(inner, &grant, &tokens).await? {
                        Some(again) => sealed = again,
                        None => return Ok(remember(lease, &grant, tokens).await),
                    }
                    continue;
                }
                // A person authorised or revoked the grant meanwhile: keep that row, drop these tokens.
                Ok(Newer::Other(newer)) => {
                    lease.release().await;
                    let newer = newer.filter(|newer| newer.is_in_force());
                    let newer = newer.ok_or_else(TokenFailure::revoked)?;
                    return inner.current(&newer)?.ok_or_else(TokenFailure::revoked);
                }
                Err(error) => error,
            },
            Err(error) => error.to_string(),
        };
        wait(&grant, &error, &mut tries).await;
    }
}

/// Keeps an application's token in memory alone: what this machine would seal, others could not open. Another one is asked
/// for when it ends.
async fn remember(lease: &Lease<'_>, grant: &Grant, tokens: oauth::GrantedTokens) -> Arc<AccessToken> {
    let (secret, expires_at, revision) = (tokens.access_token, tokens.expires_at, grant.revision);
    let token = Arc::new(AccessToken { secret, expires_at, revision });
    lease.inner.remember(grant, token.clone());
    lease.release().await;
    token
}

/// The right that the request used: a person's refresh token, or an application's key.
struct Spent {
    right: Right,
    /// Opened at once: when the row is compared with it, the key that sealed it may be gone from this machine.
    refresh_token: Option<Secret>,
}

impl Spent {
    fn of(sealer: &Sealer, grant: &Grant) -> Self {
        let refresh_token = match &grant.right {
            Right::Person { refresh_token } => {
                sealer.open_text(&Grant::refresh_context(&grant.id), refresh_token).ok()
            }
            Right::Application | Right::Withdrawn { .. } => None,
        };
        Self { right: grant.right.clone(), refresh_token }
    }
}

/// The state of a row that another process has changed.
enum Newer {
    /// The row still holds the right that was spent.
    Same(Box<Grant>),
    /// The row holds another right, or is gone.
    Other(Option<Box<Grant>>),
}

/// Reads the row again; the error is why the tokens cannot be written yet.
async fn newer(inner: &Inner, id: &Id, spent: &Spent) -> Result<Newer, String> {
    let Some(newer) = inner.store.grant(id).await.map_err(|error| error.to_string())? else {
        return Ok(Newer::Other(None));
    };
    match is_same(&inner.sealer, &newer, spent) {
        Ok(true) => Ok(Newer::Same(newer.into())),
        Ok(false) => Ok(Newer::Other(Some(newer.into()))),
        Err(error) => Err(format!(
            "what another instance has put there cannot be opened; copy the key file of that instance to this machine: {error}"
        )),
    }
}

/// Whether `newer` still holds the right that was spent. Its refresh token may have been sealed anew with another key.
fn is_same(sealer: &Sealer, newer: &Grant, spent: &Spent) -> Result<bool, SealError> {
    match (&newer.right, &spent.right) {
        (Right::Person { refresh_token: newer }, Right::Person { refresh_token: old }) if newer == old => {
            Ok(true)
        }
        (Right::Person { refresh_token }, Right::Person { .. }) => {
            let context = Grant::refresh_context(&newer.id);
            let opened = match sealer.open_text(&context, refresh_token) {
                // The keys may have been replaced by others with the same ids.
                Err(error) => {
                    if let Err(error) = sealer.reload() {
                        tracing::warn!("the keys cannot be read again: {error}");
                    }
                    sealer.open_text(&context, refresh_token).map_err(|_| error)?
                }
                Ok(opened) => opened,
            };
            Ok(Some(opened) == spent.refresh_token)
        }
        (newer, old) => Ok(newer == old),
    }
}

/// Waits before the next write. The disk is full or read-only, or the row does not open, so only this process's memory
/// holds the tokens.
async fn wait(grant: &Grant, error: &str, tries: &mut u32) {
    *tries = tries.saturating_add(1);
    // Said ever more rarely: the tries go on each second.
    if tries.is_power_of_two() {
        tracing::error!(
            owner = %one_line(&grant.owner),
            "a refreshed token cannot be written and is kept in memory; do not stop the proxy before the store can be written: {error}"
        );
    }
    tokio::time::sleep(SHORTEST_PAUSE.saturating_mul(*tries).min(LONGEST_PAUSE)).await;
}

struct SealedTokens {
    access: Vec<u8>,
    refresh: Option<Vec<u8>>,
}

/// Seals the tokens for the row `grant`; `None` if the key in force is not on this machine. A person's row was opened
/// under the lease, so the key that sealed it is the key in force. An application's row may hold nothing sealed, so
/// there the store is asked for the key in force.
async fn seal_for(
    inner: &Inner,
    grant: &Grant,
    tokens: &oauth::GrantedTokens,
) -> Result<Option<SealedTokens>, TokenFailure> {
    if grant.right == Right::Application && !has_key_in_force(inner).await {
        tracing::error!(
            owner = %one_line(&grant.owner),
            "an application's token is kept in memory: the store is sealed with a newer key than this machine has; copy the key file of another instance to this machine"
        );
        return Ok(None);
    }
    let seal = |context: String, secret: &Secret| {
        inner.sealer.seal(&context, secret.expose().as_bytes()).map_err(|error| TokenFailure::sealed(&error))
    };
    Ok(Some(SealedTokens {
        access: seal(Grant::access_context(&grant.id), &tokens.access_token)?,
        refresh: tokens
            .refresh_token
            .as_ref()
            .map(|token| seal(Grant::refresh_context(&grant.id), token))
            .transpose()?,
    }))
}

/// Learns the key that the store's settings are sealed with; false if it is not on this machine.
async fn has_key_in_force(inner: &Inner) -> bool {
    let Ok(settings) = inner.store.sealed_settings().await else { return true };
    let keys = settings.iter().filter_map(|setting| Sealer::key_of(&setting.value));
    let Some(key) = keys.max() else { return true };
    inner.sealer.seal_with(key);
    let is_here = || inner.sealer.key_ids().contains(&key);
    if !is_here()
        && let Err(error) = inner.sealer.reload()
    {
        tracing::warn!("the keys cannot be read again: {error}");
    }
    is_here()
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
