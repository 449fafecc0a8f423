//! Makes all parts of a configuration that can fail, before any is used, so that a reload applies the whole file
//! or nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::account::{Accounts, Gates};
use crate::clock::Clock;
use crate::command;
use crate::config::{Access, Config, Door, Security};
use crate::connection::{Live, Proxy, Reminders};
use crate::control::audit::{self, Deed};
use crate::control::certs;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::keys;
use crate::control::providers::Legs;
use crate::control::watching::Watcher;
use crate::events::Teller;
use crate::links::{Base, Links};
use crate::metrics::Metrics;
use crate::oauth::{Client, Webhook};
use crate::protocol::Promises;
use crate::secret::Sealer;
use crate::secret::marks::Marks;
use crate::server::Sockets;
use crate::shutdown::Supervisor;
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
    /// The watcher that looks up the metrics for each scrape.
    pub(super) fn watcher(&self, supervisor: &Arc<Supervisor>) -> Watcher {
        Watcher::new(self.metrics.clone(), self.live.clone(), self.store.clone(), supervisor.clone())
    }

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
            let about = Some(format!("sessions: {closed}"));
            audit::record(&*self.store, Deed::SessionsClosed, vec![account], about, by).await;
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

    /// The OAuth clients, by provider.
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

/// The certificates in use.
pub(super) struct Shown {
    settings: TlsSettings,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) acceptors: HashMap<Door, Acceptor>,
}

impl Shown {
    /// The certificates loaded at the start.
    pub(super) fn first(
        config: &Config,
        identity: Option<Arc<Identity>>,
        acceptors: HashMap<Door, Acceptor>,
        shared: Option<Arc<SharedAuthority>>,
    ) -> Self {
        Self { settings: certs::settings(config, shared), identity, acceptors }
    }

    /// The certificates of `config`. The same files keep their TLS sessions, and are read again if they changed.
    pub(super) fn of(config: &Config, before: &Self) -> Result<Self, Error> {
        let settings = certs::settings(config, before.settings.shared.clone());
        let Some(identity) = &before.identity else {
            return Ok(Self { settings, identity: None, acceptors: HashMap::new() });
        };
        if settings == before.settings {
            identity.refresh(OffsetDateTime::now_utc())?;
            let (identity, acceptors) = (before.identity.clone(), before.acceptors.clone());
            return Ok(Self { settings, identity, acceptors });
        }
        let identity = load_identity(config, before.settings.shared.clone())?;
        let acceptors = identity.as_ref().map(acceptors).transpose()?.unwrap_or_default();
        Ok(Self { settings, identity, acceptors })
    }
}

/// The certificates of the listeners; `None` if no listener uses TLS.
fn load_identity(
    config: &Config,
    shared: Option<Arc<SharedAuthority>>,
) -> Result<Option<Arc<Identity>>, Error> {
    if config.listeners.iter().all(|listener| listener.security == Security::None) {
        return Ok(None);
    }
    let identity = Identity::load(certs::settings(config, shared), OffsetDateTime::now_utc())?;
    // The configuration has already reported the modes of the files.
    certs::warn_of(&identity, |warning| !config.warnings.contains(&warning.to_string()));
    Ok(Some(Arc::new(identity)))
}

/// Certificates and their acceptors.
pub(super) type Identified = (Option<Arc<Identity>>, HashMap<Door, Acceptor>);

/// The certificates at the start; those under a CA that machines share are loaded when the store is open.
pub(super) fn own_identity(config: &Config) -> Result<Identified, Error> {
    if certs::is_shared(config) { Ok(Identified::default()) } else { identified(config, None) }
}

/// The CA that machines share, if there is one, and the certificates under it; else the `own`.
pub(super) async fn under_shared(
    installation: &Installation,
    own: Identified,
) -> Result<(Option<Arc<SharedAuthority>>, Identified), Error> {
    match certs::of_store(installation).await? {
        Some(shared) => Ok((Some(shared.clone()), identified(&installation.config, Some(shared))?)),
        None => Ok((None, own)),
    }
}

fn identified(config: &Config, shared: Option<Arc<SharedAuthority>>) -> Result<Identified, Error> {
    let identity = load_identity(config, shared)?;
    let acceptors = identity.as_ref().map(acceptors).transpose()?.unwrap_or_default();
    Ok((identity, acceptors))
}

/// The file of the CA that clients must trust, if a listener shows certificates under it.
pub(super) fn ca_file(config: &Config) -> Option<PathBuf> {
    let has_tls = config.listeners.iter().any(|listener| listener.security != Security::None);
    (config.tls.own.is_none() && has_tls).then(|| config.state_directory.join("ca.pem"))
}

/// Acceptors with one identity, and for each door the protocol name for ALPN.
fn acceptors(identity: &Arc<Identity>) -> Result<HashMap<Door, Acceptor>, Error> {
    let acceptor = |door: Door| {
        let acceptor = Acceptor::new(identity.clone(), door.name()).map_err(ConnectorError::Crypto)?;
        Ok((door, acceptor))
    };
    Door::ALL.into_iter().map(acceptor).collect()
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

/// The listener of the metrics.
pub(super) fn bind_metrics(address: SocketAddr, sockets: &Sockets) -> Result<TcpListener, Error> {
    sockets.listen(address).map_err(|error| Error::Address {
        key: "metrics.address",
        address: address.to_string(),
        error,
    })
}

/// The way to the webhook, if there is one.
fn webhook(config: &Config) -> Result<Option<Webhook>, Error> {
    let Some(url) = config.events.webhook.as_ref().filter(|_| config.events.is_on()) else { return Ok(None) };
    let proxy = config.network_proxy.as_ref();
    Ok(Some(Webhook::new(url.clone(), Connector::new(None)?.http_config(), proxy)?))
}
