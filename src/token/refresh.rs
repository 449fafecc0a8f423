//! One refresh, from the lease to the row.
//!
//! Nothing but one write stands between the provider's answer and safety: the rotated refresh token
//! is on disk before the access token that came with it is used. If that write fails, it is
//! repeated for as long as this process lives, because the answer is nowhere else. A process that
//! dies in between leaves its lease behind, and whoever takes it over knows and says so.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::{AccessToken, Inner, Outcome, TokenFailure, Wanted, session_margin};
use crate::oauth::{self, TokenError};
use crate::store::{Grant, GrantKind, GrantState, Id, StoreError};

/// The HTTP exchange is given up after 30 s; the rest is for a slow disk.
const LEASE: Duration = Duration::seconds(90);
/// How often a row is looked at while another process refreshes it.
const LEASE_POLL: std::time::Duration = std::time::Duration::from_millis(100);
/// A refused grant is not tried again before this, in case the provider erred.
const REFUSED_GRANT_PAUSE: Duration = Duration::hours(1);
/// A wrong registration is not tried again before this, unless the process starts anew.
const MISCONFIGURED_PAUSE: Duration = Duration::minutes(5);
/// Back-off of what passes: 1, 2, 4 … 60 s, each with up to half as much again, so that accounts
/// that failed together do not come back together.
const PASSING_BACKOFF_SECONDS: u32 = 60;

pub(super) async fn refresh(inner: &Inner, id: &Id, wanted: Wanted) -> Outcome {
    let grant = match lease(inner, id, wanted).await? {
        Lease::NotNeeded(token) => return Ok(token),
        Lease::Taken(grant) => *grant,
    };
    let asked = ask(inner, &grant).await;
    let asked = match asked {
        Ok(asked) => asked,
        Err(failure) => {
            let _ = inner.store.release_lease(id, &inner.holder).await;
            return Err(failure);
        }
    };
    match asked {
        Ok(tokens) => keep(inner, grant, tokens).await,
        Err(error) => Err(note(inner, grant, &error).await),
    }
}

enum Lease {
    /// Somebody else brought what was wanted.
    NotNeeded(Arc<AccessToken>),
    /// It is ours, and this is the row as it was after we took it.
    Taken(Box<Grant>),
}

async fn lease(inner: &Inner, id: &Id, wanted: Wanted) -> Result<Lease, TokenFailure> {
    loop {
        let now = OffsetDateTime::now_utc();
        let taken = inner.store.take_lease(id, &inner.holder, now, now + LEASE).await;
        let taken = taken.map_err(|error| TokenFailure::store(&error))?;
        let grant = inner.store.grant(id).await.map_err(|error| TokenFailure::store(&error))?;
        let grant = grant.ok_or_else(TokenFailure::revoked)?;
        let current = inner.current(&grant)?;
        let answer = current.filter(|token| wanted.is_met_by(token, session_margin(&grant), now));
        // Trouble that another process has just met is not met again.
        let refused = inner.may_ask(&grant, now);
        match (answer, refused) {
            (None, Ok(())) if taken => return Ok(Lease::Taken(Box::new(grant))),
            (None, Ok(())) => tokio::time::sleep(LEASE_POLL).await,
            (answer, refused) => {
                if taken {
                    let _ = inner.store.release_lease(id, &inner.holder).await;
                }
                return match answer {
                    Some(token) => Ok(Lease::NotNeeded(token)),
                    None => Err(refused.err().unwrap_or_else(TokenFailure::internal)),
                };
            }
        }
    }
}

/// Asks the provider. The outer error is ours, the inner one the provider's.
async fn ask(inner: &Inner, grant: &Grant) -> Result<Result<oauth::Tokens, TokenError>, TokenFailure> {
    let client =
        inner.clients.get(&grant.provider).ok_or_else(|| TokenFailure::unknown_provider(&grant.provider))?;
    let sealed = grant.refresh_token.as_ref().ok_or_else(TokenFailure::revoked)?;
    if grant.kind == GrantKind::App {
        return Ok(client.app_token(&grant.owner).await);
    }
    let refresh_token = inner
        .sealer
        .open_text(&Grant::refresh_context(&grant.id), sealed)
        .map_err(|error| TokenFailure::sealed(&error))?;
    Ok(client.refresh(&refresh_token, &grant.scopes).await)
}

/// Puts what the provider gave on disk, then hands it out.
async fn keep(inner: &Inner, mut grant: Grant, tokens: oauth::Tokens) -> Outcome {
    let spent = grant.refresh_token.clone();
    let sealed = seal(inner, &grant.id, &tokens)?;
    let mut pause = std::time::Duration::from_millis(100);
    loop {
        apply(&mut grant, &tokens, &sealed);
        match inner.store.update_grant(&grant, Some(&inner.holder)).await {
            Ok(revision) => {
                tracing::info!(owner = %grant.owner, provider = %grant.provider, expires_at = %tokens.expires_at, "token refreshed");
                return Ok(Arc::new(AccessToken {
                    secret: tokens.access_token,
                    expires_at: tokens.expires_at,
                    revision,
                }));
            }
            Err(StoreError::Conflict) => match inner.store.grant(&grant.id).await {
                // Bookkeeping came between; the tokens are still the ones we built on.
                Ok(Some(newer)) if newer.refresh_token == spent => grant = newer,
                // A person authorised or revoked meanwhile: theirs is newer, ours is dropped.
                Ok(Some(newer)) => return inner.current(&newer)?.ok_or_else(TokenFailure::revoked),
                Ok(None) => return Err(TokenFailure::revoked()),
                Err(error) => wait_for_store(&grant, &error, &mut pause).await,
            },
            Err(error) => wait_for_store(&grant, &error, &mut pause).await,
        }
    }
}

/// A full or read-only disk: the tokens live here alone until it is mended.
async fn wait_for_store(grant: &Grant, error: &StoreError, pause: &mut std::time::Duration) {
    tracing::error!(
        owner = %grant.owner,
        "a refreshed token cannot be written and is kept in memory; do not stop the proxy before this is mended: {error}"
    );
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(std::time::Duration::from_secs(10));
}

struct SealedTokens {
    access: Vec<u8>,
    refresh: Option<Vec<u8>>,
}

fn seal(inner: &Inner, id: &Id, tokens: &oauth::Tokens) -> Result<SealedTokens, TokenFailure> {
    let seal = |context: String, secret: &crate::secret::Secret| {
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

fn apply(grant: &mut Grant, tokens: &oauth::Tokens, sealed: &SealedTokens) {
    grant.access_token = Some(sealed.access.clone());
    grant.access_expires_at = Some(tokens.expires_at);
    if let Some(refresh) = &sealed.refresh {
        grant.refresh_token = Some(refresh.clone());
    }
    if let Some(scopes) = &tokens.scopes {
        grant.scopes.clone_from(scopes);
    }
    if tokens.refresh_expires_at.is_some() {
        grant.refresh_expires_at = tokens.refresh_expires_at;
    }
    grant.refreshed_at = Some(OffsetDateTime::now_utc());
    grant.clear_trouble();
}

/// Writes down why there is no token. The refresh token stays where it is.
async fn note(inner: &Inner, mut grant: Grant, error: &TokenError) -> TokenFailure {
    let now = OffsetDateTime::now_utc();
    grant.failures = grant.failures.saturating_add(1);
    grant.failed_at = Some(now);
    let mut line = error.one_line("{account}");
    let (state, pause) = match error {
        TokenError::NeedsPerson(_) => {
            if let Some(at) = grant.interrupted_at {
                line.push_str(&format!(
                    " (a refresh that began at {at} was cut off before its answer was stored; a provider that accepts \
                     each refresh token once then refuses the stored one)"
                ));
            }
            (GrantState::NeedsAuthorization, REFUSED_GRANT_PAUSE)
        }
        TokenError::NeedsAdministrator(_) => (GrantState::Misconfigured, MISCONFIGURED_PAUSE),
        TokenError::Passing { retry_after, .. } => {
            let asked = retry_after.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or(Duration::ZERO);
            (GrantState::Retrying, asked.max(passing_pause(grant.failures)))
        }
    };
    let shown = line.replace("{account}", &grant.owner);
    tracing::warn!(owner = %grant.owner, provider = %grant.provider, state = state.name(), "no token: {shown}");
    grant.state = state;
    grant.retry_at = Some(now + pause);
    grant.last_error = Some(line);
    match inner.store.update_grant(&grant, Some(&inner.holder)).await {
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(owner = %grant.owner, "the failure was not written down: {error}");
            let _ = inner.store.release_lease(&grant.id, &inner.holder).await;
        }
    }
    TokenFailure::of(error)
}

fn passing_pause(failures: u32) -> Duration {
    let seconds = 2u32.saturating_pow(failures.saturating_sub(1).min(10)).min(PASSING_BACKOFF_SECONDS);
    let jitter =
        f64::from(u16::from_be_bytes(crate::secret::random_bytes::<2>())) / f64::from(u16::MAX) / 2.0;
    Duration::seconds_f64(f64::from(seconds) * (1.0 + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_trouble_is_tried_again_after_one_to_ninety_seconds() {
        for (failures, least) in [(1, 1), (2, 2), (3, 4), (7, 60), (100, 60)] {
            let pause = passing_pause(failures);
            let least = Duration::seconds(least);
            assert!(pause >= least && pause <= least * 1.5, "{failures}: {pause}");
        }
    }
}
