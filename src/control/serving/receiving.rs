//! Receives the answers to sign-ins while the proxy runs, for the consents that began in a browser and for commands
//! that wait.

use std::sync::Arc;

use tracing::{info, warn};

use super::parts::{Kept, bound};
use crate::config::Config;
use crate::control::answers;
use crate::control::consents::Consents;
use crate::control::error::Error;
use crate::oauth::{Received, SharedCallback};
use crate::secret::Secret;
use crate::server::Sockets;

/// Receives answers at an address of their own.
pub(super) struct Receiver {
    pub(super) callback: SharedCallback,
    pub(super) kept: Arc<Kept>,
    pub(super) consents: Arc<Consents>,
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
    let callback = SharedCallback::new(bound("callback.address", address, sockets)?, paths);
    info!("sign-ins are received on {}", callback.address()?);
    Ok(Some(callback))
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

impl Receiver {
    /// Receives answers at the redirect URIs of `config`.
    pub(super) fn follow(&self, config: &Config) {
        self.callback.take_at(paths(config));
    }

    /// Receives answers until the future is dropped.
    pub(super) async fn receive(self: Arc<Self>) {
        let (kept, consents) = (self.kept.clone(), self.consents.clone());
        self.callback.serve(move |state, query| take(kept.clone(), consents.clone(), state, query)).await;
    }
}

/// Finds the sign-in that waits for the answer in `query`, on the page or in a command.
pub(super) async fn take(kept: Arc<Kept>, consents: Arc<Consents>, state: String, query: String) -> Received {
    let query = Secret::new(query);
    match consents.place_of(&state).await {
        Ok(Some(place)) => Received::Onwards(place),
        Ok(None) => match answers::keep(&*kept.store, &kept.sealer, &state, &query).await {
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
