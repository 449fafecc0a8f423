//! Tokens of a domain account whose provider gives an application one token a mailbox (Google's service
//! accounts): in memory only, because any of them can be asked for again at any time.
//!
//! One request a mailbox at a time: whoever comes meanwhile waits for it. Nothing rotates here, so a
//! hang-up may end a request; the next in line asks anew. What failed is not asked again for a moment.

use std::sync::Arc;

use dashmap::DashMap;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use super::{AccessToken, Inner, Outcome, SESSION_MARGIN, TokenFailure};
use crate::store::{Grant, GrantKind, Id, fold};
use crate::text::{one_line, quoted};

/// A mailbox that the provider does not know must not make a collector hammer the token endpoint.
const FAILURE_PAUSE: Duration = Duration::seconds(60);
/// Beyond this many mailboxes those whose tokens have ended are forgotten.
const ROOM: usize = 10_000;

/// By grant and folded mailbox.
pub(super) type Mailboxes = DashMap<(Id, String), Arc<Mutex<Entry>>>;

/// What is known of one mailbox.
#[derive(Default)]
pub(super) struct Entry {
    token: Option<Arc<AccessToken>>,
    failed: Option<(TokenFailure, OffsetDateTime)>,
}

/// Whether `grant` has a token for each mailbox, and this is about one.
pub(super) fn is_per_mailbox(inner: &Inner, grant: &Grant) -> bool {
    grant.kind == GrantKind::App
        && grant.mailbox.is_some()
        && inner
            .providers
            .get(&grant.provider)
            .is_some_and(|provider| provider.client.provider().app_tokens_are_per_mailbox())
}

/// The mailbox's token; a new one where `renew` says that the old one is no good.
pub(super) async fn token(inner: &Inner, grant: &Grant, renew: bool) -> Outcome {
    let (Some(mailbox), Some(provider)) = (&grant.mailbox, inner.providers.get(&grant.provider)) else {
        return Err(TokenFailure::unknown_provider(&grant.provider));
    };
    if grant.refresh_token.is_none() {
        return Err(TokenFailure::revoked());
    }
    make_room(inner);
    let entry = inner.mailboxes.entry((grant.id.clone(), fold(mailbox))).or_default().clone();
    let mut entry = entry.lock().await;
    let now = OffsetDateTime::now_utc();
    if let Some((failure, at)) = &entry.failed
        && now - *at < FAILURE_PAUSE
    {
        return Err(failure.clone());
    }
    if let Some(token) =
        entry.token.as_ref().filter(|token| !renew && token.expires_at - now > SESSION_MARGIN)
    {
        return Ok(token.clone());
    }
    let endpoint = &provider.endpoint;
    let pass = endpoint.enter().await.map_err(|wait| TokenFailure::endpoint_paused(&endpoint.title, wait))?;
    let asked = provider.client.app_token(mailbox).await;
    pass.report(asked.as_ref().err());
    match asked {
        Ok(tokens) => {
            let token = AccessToken {
                secret: tokens.access_token,
                expires_at: tokens.expires_at,
                revision: grant.revision,
            };
            let token = Arc::new(token);
            *entry = Entry { token: Some(token.clone()), failed: None };
            Ok(token)
        }
        Err(error) => {
            let failure = TokenFailure::of(&error);
            tracing::warn!(mailbox = %one_line(mailbox), provider = %one_line(&grant.provider), "no token: {}", error.one_line(&quoted(mailbox)));
            entry.failed = Some((failure.clone(), now));
            Err(failure)
        }
    }
}

fn make_room(inner: &Inner) {
    if inner.mailboxes.len() < ROOM {
        return;
    }
    let now = OffsetDateTime::now_utc();
    inner.mailboxes.retain(|_, entry| match entry.try_lock() {
        Ok(entry) => entry.token.as_ref().is_some_and(|token| token.expires_at > now),
        Err(_) => true,
    });
}
