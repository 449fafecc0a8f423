//! The OAuth clients of all providers. A new configuration replaces them as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::endpoint::TokenEndpoint;
use crate::clock::Clock;
use crate::oauth;

/// All clients, by provider name.
pub(super) struct Clients {
    by_provider: HashMap<String, Arc<ProviderClient>>,
    /// The endpoints by address. An endpoint keeps its circuit when the configuration is replaced.
    endpoints: HashMap<String, Arc<TokenEndpoint>>,
    /// When this configuration came into force.
    pub(super) since: OffsetDateTime,
}

/// A provider's client and its token endpoint. Several providers may share one endpoint.
pub(super) struct ProviderClient {
    pub(super) client: Arc<oauth::Client>,
    pub(super) endpoint: Arc<TokenEndpoint>,
}

impl Clients {
    /// `before` are the clients that these replace.
    pub(super) fn new(
        clients: HashMap<String, Arc<oauth::Client>>,
        before: Option<&Self>,
        clock: &Clock,
    ) -> Self {
        let known = before.map(|before| &before.endpoints);
        let mut endpoints = HashMap::new();
        let mut provider = |client: Arc<oauth::Client>| {
            let provider = client.provider();
            let url = provider.token_url.as_ref().map(ToString::to_string);
            let key = url.or_else(|| provider.issuer.clone()).unwrap_or_else(|| provider.name.clone());
            let known = known.and_then(|known| known.get(&key)).cloned();
            let endpoint =
                known.unwrap_or_else(|| Arc::new(TokenEndpoint::new(provider.title.clone(), clock.clone())));
            let endpoint = endpoints.entry(key).or_insert(endpoint).clone();
            Arc::new(ProviderClient { client, endpoint })
        };
        let by_provider = clients.into_iter().map(|(name, client)| (name, provider(client))).collect();
        Self { by_provider, endpoints, since: clock.now() }
    }

    pub(super) fn get(&self, provider: &str) -> Option<Arc<ProviderClient>> {
        self.by_provider.get(provider).cloned()
    }
}
