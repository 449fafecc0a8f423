//! The answers to sign-ins whose redirect URI is the user's own https address: `serve` receives them, and
//! `authorize`, another process, collects them.
//!
//! Only the answer to an announced sign-in is kept, once, sealed, and for a short time. So a stranger who reaches
//! the address cannot fill the store or spoil a sign-in.

use time::{Duration, OffsetDateTime};

use super::error::Error;
use super::installation::Installation;
use crate::secret::{Sealer, Secret};
use crate::store::{Store, StoreError, answer_key};

/// Most providers' codes are valid for ten minutes.
const LIFE: Duration = Duration::minutes(10);

/// Announces that the answer to the sign-in with this `state` is awaited.
pub(super) async fn announce(installation: &Installation, state: &Secret, seconds: u64) -> Result<(), Error> {
    let wait = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let until = OffsetDateTime::now_utc().saturating_add(wait);
    Ok(installation.store.leave(&awaited_key(state.expose()), b"", until).await?)
}

/// The query of the answer, if it has come.
pub(super) async fn collect(installation: &Installation, state: &Secret) -> Result<Option<Secret>, Error> {
    let key = answer_key(state.expose());
    let Some(sealed) = installation.store.collect(&key, OffsetDateTime::now_utc()).await? else {
        return Ok(None);
    };
    Ok(Some(installation.sealer.open_text(&key, &sealed)?))
}

/// Removes a sign-in whose answer is no longer awaited.
pub(super) async fn withdraw(store: &dyn Store, state: &Secret) {
    let now = OffsetDateTime::now_utc();
    let _ = store.collect(&awaited_key(state.expose()), now).await;
    let _ = store.collect(&answer_key(state.expose()), now).await;
}

fn awaited_key(state: &str) -> String {
    format!("awaited-{}", answer_key(state))
}

/// Keeps the answer in `query` if a command waits for it; returns whether one does.
pub(super) async fn keep(
    store: &dyn Store,
    sealer: &Sealer,
    state: &str,
    query: &Secret,
) -> Result<bool, StoreError> {
    let now = OffsetDateTime::now_utc();
    if store.collect(&awaited_key(state), now).await?.is_none() {
        return Ok(false);
    }
    let key = answer_key(state);
    // The command that collects the answer may have only the newest key.
    sealer.refresh();
    let sealed = sealer.seal(&key, query.expose().as_bytes());
    let sealed = sealed.map_err(|error| StoreError::Failed(error.into()))?;
    store.leave(&key, &sealed, now.saturating_add(LIFE)).await?;
    Ok(true)
}
