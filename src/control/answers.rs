//! The answers to sign-ins whose redirect URI is the user's own https address: `serve` receives them, and
//! `authorize`, another process, collects them.
//!
//! Only the answer to an announced sign-in is kept, once, sealed, and for a short time. So a stranger who reaches
//! the address cannot fill the store or spoil a sign-in.

use std::pin::Pin;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tracing::{info, warn};

use super::error::Error;
use super::installation::Installation;
use crate::config::Config;
use crate::oauth::{Received, SharedCallback};
use crate::secret::{Sealer, Secret};
use crate::server::Sockets;
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

/// The paths of redirect URIs on the user's own web server.
fn paths(config: &Config) -> Vec<String> {
    let providers = config.providers.values();
    let own = providers.map(|provider| &provider.redirect_uri).filter(|uri| uri.scheme() == "https");
    let mut paths: Vec<String> = own.map(|uri| uri.path().to_owned()).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Whether a provider of `config` may send a browser to this `path` of the page.
pub(super) fn is_redirected_to(config: &Config, path: &str) -> bool {
    config.providers.values().any(|provider| provider.redirect_uri.path() == path)
}

/// The address to which a browser takes the answer with a `state`, if its sign-in began on the page.
pub(super) type Onwards =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Option<String>, Away>> + Send>> + Send + Sync>;

/// The error if it is not known at the moment whether a sign-in waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away;

/// Finds the sign-in that waits for an answer, and keeps the answers that commands wait for.
#[derive(Clone)]
pub(super) struct Keeper {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    onwards: Onwards,
}

/// Receives answers while the proxy runs, at an address of their own.
pub(super) struct Receiver {
    callback: SharedCallback,
    keeper: Keeper,
}

/// Listens for answers, if configured.
pub(super) fn listen(config: &Config, sockets: &Sockets) -> Result<Option<SharedCallback>, Error> {
    let Some(address) = config.callback else { return Ok(None) };
    let paths = paths(config);
    if paths.is_empty() {
        warn!(
            "callback.address is set, but no provider has an https redirect_uri, so nothing will come there"
        );
    }
    let failed = |error| Error::Address { key: "callback.address", address: address.to_string(), error };
    let callback = SharedCallback::new(sockets.listen(address).map_err(failed)?, paths);
    info!("sign-ins are received on {}", callback.address()?);
    Ok(Some(callback))
}

impl Receiver {
    /// Gives answers that come to `callback` to the `keeper`.
    pub(super) fn new(callback: SharedCallback, keeper: Keeper) -> Self {
        Self { callback, keeper }
    }

    /// Receives answers at the redirect URIs of `config`.
    pub(super) fn follow(&self, config: &Config) {
        self.callback.take_at(paths(config));
    }

    /// Receives answers until the future is dropped.
    pub(super) async fn receive(self: Arc<Self>) {
        let receiver = self.clone();
        let keep = move |state: String, query: String| {
            let (receiver, query) = (receiver.clone(), Secret::new(query));
            async move { receiver.keeper.receive(&state, &query).await }
        };
        self.callback.serve(keep).await;
    }
}

impl Keeper {
    pub(super) fn new(installation: &Installation, onwards: Onwards) -> Self {
        let Installation { store, sealer, .. } = installation;
        Self { store: store.clone(), sealer: sealer.clone(), onwards }
    }

    /// Finds the sign-in that waits for the answer in `query`, on the page or in a command.
    pub(super) async fn receive(&self, state: &str, query: &Secret) -> Received {
        match (self.onwards)(state.to_owned()).await {
            Ok(Some(place)) => Received::Onwards(place),
            Ok(None) => match self.keep(state, query).await {
                Ok(true) => Received::Kept,
                Ok(false) => Received::NotExpected,
                Err(error) => {
                    warn!("whether a sign-in waits for an answer is not known: {error}");
                    Received::Away
                }
            },
            Err(_) => Received::Away,
        }
    }

    /// Keeps the answer if a command waits for it; returns whether one does.
    pub(super) async fn keep(&self, state: &str, query: &Secret) -> Result<bool, StoreError> {
        let now = OffsetDateTime::now_utc();
        if self.store.collect(&awaited_key(state), now).await?.is_none() {
            return Ok(false);
        }
        let key = answer_key(state);
        // The command that collects the answer may have only the newest key.
        self.sealer.refresh();
        let sealed = self.sealer.seal(&key, query.expose().as_bytes());
        let sealed = sealed.map_err(|error| StoreError::Failed(error.into()))?;
        self.store.leave(&key, &sealed, now.saturating_add(LIFE)).await?;
        Ok(true)
    }
}
