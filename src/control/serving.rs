//! The running proxy: everything that a session needs, what is kept up beside the sessions, and the way to their
//! end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::error::Error;
use super::installation::Installation;
use super::providers::Legs;
use super::{answers, certs};
use crate::account::{Accounts, Gates};
use crate::command;
use crate::config::{Config, Door, Security};
use crate::connection::{Proxy, Reminders};
use crate::events::Teller;
use crate::metrics::Metrics;
use crate::oauth::Webhook;
use crate::protocol::Promises;
use crate::server::{self, Bound};
use crate::shutdown::{self, Supervisor, Trigger};
use crate::store::{Absence, Store};
use crate::tls::{Acceptor, Connector, ConnectorError, Identity};
use crate::token::Tokens;

/// What is said at the end of the drain is on its way within this; then nothing holds the process any more.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Without its database the process takes no new session, so that it is started again the sooner the better.
const DRAIN_WITHOUT_STORE: Duration = Duration::from_secs(5);
/// A database that is put back, or a disk that is mounted again, is so within this. After it, a supervisor
/// should know.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
const ABSENCE_POLL: Duration = Duration::from_secs(1);
/// An answer from a token endpoint is given up after 30 s; what it holds has to be written, too. Together
/// with the drain it stays under the minute that systemd waits.
const SETTLE: Duration = Duration::from_secs(32);

/// A proxy whose addresses are bound, and that accepts nothing yet.
pub(crate) struct Prepared {
    /// What it will accept on.
    pub(crate) bound: Vec<Bound>,
    identity: Option<Arc<Identity>>,
}

/// A proxy that accepts connections.
pub(crate) struct Serving {
    store: Arc<dyn Store>,
    proxy: Arc<Proxy>,
    trigger: Trigger,
    accepting: JoinHandle<()>,
}

impl Prepared {
    /// Loads the certificate, then binds.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let identity = load_identity(config)?;
        Ok(Self { bound: server::bind(&config.listeners)?, identity })
    }

    /// The file of the CA that clients have to trust, where it is the proxy's own.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.identity.as_ref().and_then(|identity| identity.ca_file())
    }

    /// Accepts connections, and keeps up what has to be.
    pub(crate) async fn start(self, installation: &Installation) -> Result<Serving, Error> {
        let Self { bound, identity } = self;
        let proxy = Arc::new(proxy(installation, identity.as_ref()).await?);
        let (trigger, shutdown) = shutdown::channel();
        let supervisor = Arc::new(Supervisor::new(&shutdown));
        start_upkeep(installation, &proxy, identity, &supervisor)?;
        if let Some(receiver) = answers::Receiver::listen(installation).await? {
            supervisor.start("sign-in callback", with(&Arc::new(receiver), answers::Receiver::receive));
        }
        let accepting = tokio::spawn(server::serve(bound, proxy.clone(), supervisor, shutdown));
        Ok(Serving { store: installation.store.clone(), proxy, trigger, accepting })
    }
}

/// Why the proxy stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// It was told to.
    Asked,
    /// It has had no database for too long.
    NoStore,
}

impl Serving {
    /// Ends when the proxy has to stop: when it is `asked` to, or when there has been no database for so long that
    /// it is not about to be put back.
    pub(crate) async fn until(&self, asked: impl Future<Output = ()>) -> StopReason {
        tokio::select! {
            () = asked => StopReason::Asked,
            () = without_store(&*self.store) => StopReason::NoStore,
        }
    }

    /// Stops: sessions end at their next pause, or when it is asked `again`, or after a while.
    pub(crate) async fn stop(mut self, ending: StopReason, again: impl Future<Output = ()>) {
        let drain = Duration::from_secs(self.proxy.limits.drain_seconds) + LAST_WORDS;
        let patience = if ending == StopReason::Asked { drain } else { DRAIN_WITHOUT_STORE };
        self.trigger.begin();
        tokio::select! {
            () = self.trigger.completed() => info!("all sessions have ended"),
            () = tokio::time::sleep(patience) => {
                warn!("some sessions had not ended after {} s and are cut", patience.as_secs());
            }
            () = again => warn!("asked to stop again: sessions are cut"),
        }
        let _ = self.accepting.await;
        settle(&self.proxy.tokens).await;
        self.proxy.accounts.flush().await;
    }
}

async fn without_store(store: &dyn Store) {
    let mut told = false;
    loop {
        tokio::time::sleep(ABSENCE_POLL).await;
        let Some(Absence { since, cause, cure }) = store.absence() else {
            told = false;
            continue;
        };
        let limit = LONGEST_ABSENCE.as_secs();
        if since.elapsed() >= LONGEST_ABSENCE {
            error!("{cause}, for {limit} s now, so this process ends; {cure}, and start it again");
            return;
        }
        if !std::mem::replace(&mut told, true) {
            error!("{cause}; {cure}: no login is possible meanwhile, and after {limit} s this process ends");
        }
    }
}

/// A refresh under way may bring a refresh token that replaces the stored one.
async fn settle(tokens: &Tokens) {
    if tokio::time::timeout(SETTLE, tokens.settle()).await.is_err() {
        warn!(
            "a refresh had not ended after {} s and is cut; its account may need to be authorised again",
            SETTLE.as_secs()
        );
    }
}

fn load_identity(config: &Config) -> Result<Option<Arc<Identity>>, Error> {
    if config.listeners.iter().all(|listener| listener.security == Security::None) {
        return Ok(None);
    }
    let identity = Identity::load(certs::settings(config), OffsetDateTime::now_utc())?;
    // The modes of the files are judged with the configuration, too.
    certs::warn_of(&identity, |warning| !config.warnings.contains(&warning.to_string()));
    Ok(Some(Arc::new(identity)))
}

async fn proxy(installation: &Installation, identity: Option<&Arc<Identity>>) -> Result<Proxy, Error> {
    let config = &installation.config;
    let legs = Legs::of_configured(config)?;
    if legs.is_empty() {
        warn!(
            "no provider has a client_id yet, so that no token can be refreshed; see: {}",
            command::CONFIG_EXAMPLE
        );
    }
    let clients = legs.iter().map(|(name, legs)| (name.clone(), legs.client.clone())).collect();
    Ok(Proxy {
        accounts: Accounts::open(installation.store.clone(), &installation.sealer).await?,
        gates: Gates::default(),
        tokens: Tokens::new(installation.store.clone(), installation.sealer.clone(), clients),
        providers: legs.into_iter().map(|(name, legs)| (name, legs.upstream)).collect(),
        acceptors: identity.map(acceptors).transpose()?.unwrap_or_default(),
        promises: promises(config),
        reminders: Reminders::default(),
        live: Arc::default(),
        metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), None)),
        limits: config.limits.clone(),
    })
}

/// What every provider that has a client keeps, for each door: which one a client is at shows when it logs in.
fn promises(config: &Config) -> HashMap<Door, Arc<Promises>> {
    let of = |door: Door| {
        let usable = config.providers.values().filter(|provider| provider.is_usable());
        let services = usable.filter_map(|provider| provider.service(door));
        (door, Arc::new(Promises::common(services.map(|service| service.promises.as_slice()))))
    };
    Door::ALL.into_iter().map(of).collect()
}

/// One identity, and for each door the protocol that TLS clients may ask for.
fn acceptors(identity: &Arc<Identity>) -> Result<HashMap<Door, Acceptor>, Error> {
    let acceptor = |door: Door| {
        let acceptor = Acceptor::new(identity.clone(), door.name()).map_err(ConnectorError::Crypto)?;
        Ok((door, acceptor))
    };
    Door::ALL.into_iter().map(acceptor).collect()
}

/// What runs beside the connections until the stop begins.
fn start_upkeep(
    installation: &Installation,
    proxy: &Arc<Proxy>,
    identity: Option<Arc<Identity>>,
    supervisor: &Supervisor,
) -> Result<(), Error> {
    if let Some(identity) = identity {
        supervisor.start("certificate renewal", with(&identity, certs::keep_fresh));
    }
    let notes = with(proxy, |proxy| async move { proxy.accounts.keep_notes().await });
    supervisor.start("last logins", notes);
    let sealer = installation.sealer.clone();
    let revocation = with(&Arc::new((proxy.clone(), sealer)), |both| async move {
        both.0.accounts.end_revoked(&both.1).await;
    });
    supervisor.start("revocation", revocation);
    let renewal = with(proxy, |proxy| async move {
        proxy.tokens.upkeep(|| proxy.accounts.sessions().grants()).await;
    });
    supervisor.start("token renewal", renewal);
    if let Some(teller) = teller(installation)? {
        let telling = with(&Arc::new(teller), |teller| async move { teller.watch().await });
        supervisor.start("events", telling);
    }
    Ok(())
}

/// Makes a task of what many share, as often as it is asked.
fn with<T, F>(shared: &Arc<T>, task: fn(Arc<T>) -> F) -> impl FnMut() -> F + use<T, F> {
    let shared = shared.clone();
    move || task(shared.clone())
}

/// The task that delivers events, where events are configured.
fn teller(installation: &Installation) -> Result<Option<Teller>, Error> {
    let config = &installation.config;
    if !config.events.is_on() {
        return Ok(None);
    }
    let webhook = match &config.events.webhook {
        Some(url) => Some(Webhook::new(url.clone(), Connector::new(None)?.http_config())?),
        None => None,
    };
    let store = installation.store.clone();
    Ok(Some(Teller::new(store, config.events.clone(), webhook, config.providers.clone())))
}
