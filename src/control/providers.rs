//! Finds an account's provider, and the ways to its servers.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::Error;
use crate::config::{Config, Provider};
use crate::oauth;
use crate::tls::Connector;
use crate::upstream::Upstream;

/// The provider called `name`, else the provider of `account`'s domain. It has a client.
pub(crate) fn choose(config: &Config, account: &str, name: Option<&str>) -> Result<Arc<Provider>, Error> {
    if let Some(name) = name {
        return named(config, name);
    }
    match (config.provider_of(account), config.unsupported(account)) {
        (Some(provider), _) => with_client(provider),
        (None, Some(unsupported)) => Err(Error::Unsupported(unsupported.reason.clone())),
        (None, None) => {
            Err(Error::UnknownDomain { account: account.to_owned(), owner: None, known: names(config) })
        }
    }
}

/// The provider called `name`, which must have a client.
pub(crate) fn named(config: &Config, name: &str) -> Result<Arc<Provider>, Error> {
    if let Some(unsupported) = config.unsupported.iter().find(|entry| entry.name == name) {
        return Err(Error::Unsupported(unsupported.reason.clone()));
    }
    match config.providers.get(name) {
        Some(provider) => with_client(provider),
        None => Err(Error::NoProvider { name: name.to_owned(), known: names(config) }),
    }
}

fn names(config: &Config) -> Vec<String> {
    config.providers.keys().cloned().collect()
}

fn with_client(provider: &Arc<Provider>) -> Result<Arc<Provider>, Error> {
    match provider.is_usable() {
        true => Ok(provider.clone()),
        false => Err(Error::NoClient {
            title: provider.title.clone(),
            name: provider.name.clone(),
            registration: provider.registration.clone(),
        }),
    }
}

/// The ways to a provider's mail and HTTP servers, with the same trusted roots.
pub(crate) struct Legs {
    pub(crate) provider: Arc<Provider>,
    pub(crate) upstream: Upstream,
    pub(crate) client: Arc<oauth::Client>,
}

impl Legs {
    /// The ways to one provider. Nothing is sent yet.
    pub(crate) fn of(config: &Config, provider: &Arc<Provider>) -> Result<Self, Error> {
        let proxy = config.network_proxy.as_ref();
        let connector = Connector::new(provider.extra_ca.as_deref())?;
        let client = Arc::new(oauth::Client::new(provider.clone(), connector.http_config(), proxy)?);
        let upstream = Upstream::new(provider.clone(), &connector, proxy);
        Ok(Self { provider: provider.clone(), upstream, client })
    }

    /// The ways to every provider with a configured client, by name.
    pub(crate) fn of_configured(config: &Config) -> Result<HashMap<String, Self>, Error> {
        let usable = config.usable_providers();
        usable.map(|provider| Ok((provider.name.clone(), Self::of(config, provider)?))).collect()
    }
}
