//! The answers to sign-ins whose redirect URI is an https address of the user's own: what `serve` receives
//! and `authorize`, another process, collects.
//!
//! Only the answer to a sign-in that was announced is kept, once, sealed, and for a short time; so a
//! stranger who reaches the address fills nothing and uses nothing up.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tracing::{info, warn};

use super::failure::Failure;
use super::installation::Installation;
use crate::oauth::SharedCallback;
use crate::secret::{Sealer, Secret};
use crate::store::{Store, answer_key};

/// A code lives ten minutes at most providers.
const LIFE: Duration = Duration::minutes(10);

/// Says that the answer to the sign-in with this `state` is waited for.
pub(super) async fn announce(
    installation: &Installation,
    state: &Secret,
    seconds: u64,
) -> Result<(), Failure> {
    let wait = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let until = OffsetDateTime::now_utc().saturating_add(wait);
    Ok(installation.store.leave(&awaited_key(state.expose()), b"", until).await?)
}

/// The query of the answer, once it has come.
pub(super) async fn collect(installation: &Installation, state: &Secret) -> Result<Option<Secret>, Failure> {
    let key = answer_key(state.expose());
    let Some(sealed) = installation.store.collect(&key, OffsetDateTime::now_utc()).await? else {
        return Ok(None);
    };
    Ok(Some(installation.sealer.open_text(&key, &sealed)?))
}

/// Nobody waits any more.
pub(super) async fn withdraw(store: &dyn Store, state: &Secret) {
    let now = OffsetDateTime::now_utc();
    let _ = store.collect(&awaited_key(state.expose()), now).await;
    let _ = store.collect(&answer_key(state.expose()), now).await;
}

fn awaited_key(state: &str) -> String {
    format!("awaited-{}", answer_key(state))
}

/// Receives answers for as long as `serve` runs.
pub(super) struct Receiver {
    callback: SharedCallback,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

/// Listens for answers, where the configuration says so.
pub(super) async fn listen(installation: &Installation) -> Result<Option<Receiver>, Failure> {
    let Some(address) = installation.config.callback else { return Ok(None) };
    let providers = installation.config.providers.values();
    let mut paths: Vec<String> = providers
        .map(|provider| &provider.redirect_uri)
        .filter(|uri| uri.scheme() == "https")
        .map(|uri| uri.path().to_owned())
        .collect();
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        warn!(
            "callback.address is set, but no provider has an https redirect_uri, so nothing will come there"
        );
    }
    let callback = SharedCallback::bind(address, paths).await.map_err(|error| {
        Failure::new(format!("callback.address {address} cannot be listened on: {error}"))
    })?;
    info!("sign-ins are received on {}", callback.address()?);
    Ok(Some(Receiver { callback, store: installation.store.clone(), sealer: installation.sealer.clone() }))
}

impl Receiver {
    /// Receives until it is dropped.
    pub(super) async fn receive(self: Arc<Self>) {
        let receiver = self.clone();
        let keep = move |state: String, query: String| {
            let (receiver, query) = (receiver.clone(), Secret::new(query));
            async move { receiver.keep(&state, &query).await }
        };
        self.callback.serve(keep).await;
    }

    /// Whether anybody waits for the answer, which is then kept.
    async fn keep(&self, state: &str, query: &Secret) -> bool {
        let now = OffsetDateTime::now_utc();
        match self.store.collect(&awaited_key(state), now).await {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(error) => {
                warn!("the answer to a sign-in was lost: {error}");
                return false;
            }
        }
        let key = answer_key(state);
        // Whoever collects it may know only the newest key.
        let _ = self.sealer.reload();
        let Ok(sealed) = self.sealer.seal(&key, query.expose().as_bytes()) else { return false };
        self.store.leave(&key, &sealed, now.saturating_add(LIFE)).await.is_ok()
    }
}
