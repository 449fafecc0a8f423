//! Tokens of a domain account whose provider gives an application one token a mailbox (Google's service
//! accounts). They are kept in memory only, because the proxy can ask for them again at any time.
//!
//! There is one request at a time for a mailbox; other logins to the mailbox wait for its result. These
//! requests rotate no refresh token, so a client's hang-up may cancel one; the next login sends another.
//! After a failure at the provider the mailbox is not asked for again for a minute.

use std::sync::Arc;

use dashmap::DashMap;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use super::{AccessToken, Fetched, Inner, ProviderClient, SESSION_MARGIN, TokenFailure};
use crate::store::{Folded, Grant, Id, Mailbox, Right, fold};
use crate::text::one_line;

/// A collector that polls a mailbox unknown to the provider must not hammer the token endpoint.
const FAILURE_PAUSE: Duration = Duration::seconds(60);
/// With this many mailboxes in memory, those with expired tokens are dropped.
const ROOM: usize = 10_000;

/// The token of each mailbox, by grant and folded mailbox name.
pub(super) type Mailboxes = DashMap<(Id, Folded), Arc<Mutex<MailboxToken>>>;

/// The token or the last failure of one mailbox.
#[derive(Default)]
pub(super) struct MailboxToken {
    token: Option<Arc<AccessToken>>,
    failed: Option<(TokenFailure, OffsetDateTime)>,
}

/// The token for `mailbox`, where the provider gives the application one token a mailbox; `None` for other
/// grants. `renew` forces a new token.
pub(super) async fn token(inner: &Inner, grant: &Grant, mailbox: &Mailbox, renew: bool) -> Option<Fetched> {
    let (Right::Application, Mailbox::OfDomain(mailbox)) = (&grant.right, mailbox) else { return None };
    let provider = inner.clients.load().get(&grant.provider)?;
    if !provider.client.provider().app_tokens_are_per_mailbox() {
        return None;
    }
    Some(token_of(inner, grant, &provider, mailbox, renew).await)
}

async fn token_of(
    inner: &Inner,
    grant: &Grant,
    provider: &ProviderClient,
    mailbox: &str,
    renew: bool,
) -> Fetched {
    make_room(inner);
    let entry = inner.mailboxes.entry((grant.id.clone(), fold(mailbox))).or_default().clone();
    let mut entry = entry.lock().await;
    let now = inner.clock.now();
    if let Some((failure, at)) = &entry.failed
        && now - *at < FAILURE_PAUSE
    {
        return Err(failure.clone());
    }
    let lasts = |token: &&Arc<AccessToken>| !renew && token.expires_at - now > SESSION_MARGIN;
    if let Some(token) = entry.token.as_ref().filter(lasts) {
        return Ok(token.clone());
    }
    let endpoint = &provider.endpoint;
    let pass = endpoint.enter().await.map_err(|wait| TokenFailure::endpoint_paused(&endpoint.title, wait))?;
    let began = std::time::Instant::now();
    let asked = provider.client.app_token(mailbox).await;
    inner.count(&grant.provider, began, asked.as_ref().err());
    pass.report(asked.as_ref().err());
    match asked {
        Ok(tokens) => {
            let token = Arc::new(AccessToken {
                secret: tokens.access_token,
                expires_at: tokens.expires_at,
                revision: grant.revision,
            });
            *entry = MailboxToken { token: Some(token.clone()), failed: None };
            Ok(token)
        }
        Err(error) => {
            let failure = TokenFailure::of(&error);
            tracing::warn!(mailbox = %one_line(mailbox), provider = %one_line(&grant.provider), "no token: {error}");
            // A fault in a file of this machine costs the provider nothing, and the file may be renewed at any moment.
            entry.failed = (!error.is_local()).then(|| (failure.clone(), now));
            Err(failure)
        }
    }
}

fn make_room(inner: &Inner) {
    if inner.mailboxes.len() < ROOM {
        return;
    }
    let now = inner.clock.now();
    inner.mailboxes.retain(|_, entry| match entry.try_lock() {
        Ok(entry) => entry.token.as_ref().is_some_and(|token| token.expires_at > now),
        Err(_) => true,
    });
}
