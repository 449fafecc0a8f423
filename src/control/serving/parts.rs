//! Makes all parts of a configuration that can fail, before any is used, so that a reload applies the whole file
//! or nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::account::{Accounts, Gates};
use crate::clock::Clock;
use crate::command;
use crate::config::{Access, Config, Door, Security};
use crate::connection::{Live, Proxy, Reminders, device_trouble};
use crate::control::audit::{self, Deed};
use crate::control::certs;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::keys;
use crate::control::providers::Legs;
use crate::events::Teller;
use crate::links::{Base, Links};
use crate::metrics::Metrics;
use crate::oauth::{Client, Webhook};
use crate::protocol::Promises;
use crate::secret::Sealer;
use crate::secret::marks::Marks;
use crate::server::Sockets;
use crate::store::{Actor, Store};
use crate::tls::{Acceptor, Connector, ConnectorError, Identity, SharedAuthority, TlsSettings};
use crate::token::Tokens;

/// The parts that last as long as the process, under any configuration.
pub(super) struct Kept {
    pub(super) accounts: Arc<Accounts>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) gates: Arc<Gates>,
    reminders: Arc<Reminders>,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<dyn Store>,
    pub(super) sealer: Arc<Sealer>,
    /// Of the tokens that people bring.
    pub(super) marks: Arc<Marks>,
    /// Where the page is served, if it is served on an address.
    page: Option<SocketAddr>,
}

impl Kept {
    pub(super) async fn new(installation: &Installation, page: Option<SocketAddr>) -> Result<Self, Error> {
        keys::tell(installation).await?;
        let Installation { store, sealer, .. } = installation;
        let metrics =
            Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), option_env!("IMAP_OAUTH_PROXY_REVISION")));
        let tokens = Tokens::new(store.clone(), sealer.clone(), HashMap::new(), Clock::default());
        tokens.count_in(metrics.clone());
        Ok(Self {
            accounts: Arc::new(Accounts::open(store.clone(), sealer).await?),
            tokens: Arc::new(tokens),
            gates: Arc::default(),
            reminders: Arc::default(),
            live: Arc::default(),
            metrics,
            store: store.clone(),
            sealer: sealer.clone(),
            marks: Arc::new(installation.marks().await?),
            page,
        })
    }

    /// Ends the session with that id, or all sessions of the account with that name; returns their number.
    pub(super) async fn close(&self, of: &str, by: Actor) -> usize {
        let session = self.live.list().into_iter().find(|session| session.id == of);
        let closed = self.live.close(of);
        if closed > 0 {
            info!(of, closed, "sessions are closed, as a person asked");
            let account = session.map_or_else(|| of.to_owned(), |session| session.account.clone());
            let about = format!("sessions: {closed}");
            let act = audit::act(Deed::SessionsClosed, &[&account], Some(&about), by);
            audit::record(&*self.store, &act).await;
        }
        closed
    }

    /// The sign-in links, as people reach the page under `config`.
    pub(super) fn links(&self, config: &Config) -> Links {
        let base = Base::of(&config.admin, self.page);
        Links::new(self.store.clone(), self.sealer.clone(), base).with_marks(self.marks.clone())
    }
}

/// The parts of a configuration except the certificates, which are loaded last.
pub(super) struct Parts {
    legs: HashMap<String, Legs>,
    webhook: Option<Webhook>,
}

impl Parts {
    /// Makes all parts that can fail.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let legs = Legs::of_configured(config)?;
        if legs.is_empty() {
            warn!(
                "no provider has a client_id yet, so that no token can be refreshed; see: {}",
                command::CONFIG_EXAMPLE
            );
        }
        Ok(Self { legs, webhook: webhook(config)? })
    }

    /// The sender of events, if events are configured.
    pub(super) fn teller(&mut self, config: &Config, kept: &Kept) -> Option<Arc<Teller>> {
        if !config.events.is_on() {
            return None;
        }
        let webhook = self.webhook.take();
        let (store, links) = (kept.store.clone(), kept.links(config));
        let (providers, metrics) = (config.providers.clone(), kept.metrics.clone());
        Some(Arc::new(Teller::new(store, config.events.clone(), webhook, providers, links, metrics)))
    }

    pub(super) fn clients(&self) -> HashMap<String, Arc<Client>> {
        self.legs.iter().map(|(name, legs)| (name.clone(), legs.client.clone())).collect()
    }

    /// The parts for connections, with those that are `kept`. `access` belongs to the listeners.
    pub(super) fn proxy(
        self,
        config: &Config,
        kept: &Kept,
        acceptors: HashMap<Door, Acceptor>,
        access: Vec<Arc<Access>>,
    ) -> Proxy {
        Proxy {
            accounts: kept.accounts.clone(),
            gates: kept.gates.clone(),
            tokens: kept.tokens.clone(),
            providers: self.legs.into_iter().map(|(name, legs)| (name, legs.upstream)).collect(),
            acceptors,
            promises: promises(config),
            links: kept.links(config),
            reminders: kept.reminders.clone(),
            live: kept.live.clone(),
            metrics: kept.metrics.clone(),
            limits: config.limits.clone(),
            access,
        }
    }
}

/// The certificates in use: none if no listener uses TLS.
pub(super) struct Shown {
    pub(super) settings: TlsSettings,
    pub(super) identity: Option<Arc<Identity>>,
    /// With that identity, and for each door the protocol name for ALPN.
    pub(super) acceptors: HashMap<Door, Acceptor>,
}

impl Shown {
    /// The certificates at the start; `None` if they are under a CA that machines share, which is in the store.
    pub(super) fn of_machine(config: &Config) -> Result<Option<Self>, Error> {
        (!certs::is_shared(config)).then(|| Self::load(config, None)).transpose()
    }

    /// The certificates at the start, when the store is open.
    pub(super) async fn under_shared(installation: &Installation) -> Result<Self, Error> {
        Self::load(&installation.config, certs::of_store(installation).await?)
    }

    /// The certificates of `config`. The same files keep their TLS sessions, and are read again if they changed.
    pub(super) fn of(config: &Config, before: &Self) -> Result<Self, Error> {
        let Self { settings, identity, acceptors } = before;
        match identity {
            Some(identity) if *settings == certs::settings(config, settings.shared.clone()) => {
                identity.refresh(OffsetDateTime::now_utc())?;
                let (settings, acceptors) = (settings.clone(), acceptors.clone());
                Ok(Self { settings, identity: Some(identity.clone()), acceptors })
            }
            _ => Self::load(config, settings.shared.clone()),
        }
    }

    /// Loads the certificates of `config`; `shared` is the CA of a store that machines share.
    fn load(config: &Config, shared: Option<Arc<SharedAuthority>>) -> Result<Self, Error> {
        let settings = certs::settings(config, shared);
        if config.listeners.iter().all(|listener| listener.security == Security::None) {
            return Ok(Self { settings, identity: None, acceptors: HashMap::new() });
        }
        let identity = Arc::new(Identity::load(settings.clone(), OffsetDateTime::now_utc())?);
        // The configuration has already reported the modes of the files.
        certs::warn_of(&identity, |warning| !config.warnings.contains(&warning.to_string()));
        let acceptor = |door: Door| {
            let acceptor = Acceptor::new(identity.clone(), door.name()).map_err(ConnectorError::Crypto)?;
            Ok::<_, Error>((door, acceptor))
        };
        let acceptors = Door::ALL.into_iter().map(acceptor).collect::<Result<_, _>>()?;
        Ok(Self { settings, identity: Some(identity), acceptors })
    }
}

/// Logs which devices of `proxy` cannot send as their configured accounts: no person watches a device.
pub(super) async fn warn_of_closed_devices(proxy: &Proxy, accounts: &Accounts) {
    for device in proxy.access.iter().flat_map(|access| &access.devices) {
        match accounts.device_bar(&device.account).await {
            Ok(Some(bar)) => warn!("the device at {}: {}", device.from, device_trouble(bar, device)),
            Ok(None) => {}
            Err(error) => return warn!("whether devices can send cannot be read: {error}"),
        }
    }
}

/// The capabilities that all usable providers have, for each door: a client's provider is known only at its login.
fn promises(config: &Config) -> HashMap<Door, Arc<Promises>> {
    let of = |door: Door| {
        let usable = config.usable_providers();
        let services = usable.filter_map(|provider| provider.service(door));
        (door, Arc::new(Promises::common(services.map(|service| service.promises.as_slice()))))
    };
    Door::ALL.into_iter().map(of).collect()
}

/// A listener at `address`, which the setting `key` names.
pub(super) fn bound(key: &'static str, address: SocketAddr, sockets: &Sockets) -> Result<TcpListener, Error> {
    let failed = |error| Error::Address { key, address: address.to_string(), error };
    sockets.listen(address).map_err(failed)
}

/// The way to the webhook, if there is one.
fn webhook(config: &Config) -> Result<Option<Webhook>, Error> {
    let Some(url) = config.events.webhook.as_ref().filter(|_| config.events.is_on()) else { return Ok(None) };
    let proxy = config.network_proxy.as_ref();
    Ok(Some(Webhook::new(url.clone(), Connector::new(None)?.http_config(), proxy)?))
}
