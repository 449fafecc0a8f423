//! The running proxy: the parts for sessions, the tasks beside them, and the stop.

mod consents;
mod page;
mod parts;
mod predecessors;
mod receiving;
mod reload;
mod running;
mod together;
mod tracing;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::tracing::{info, warn};
use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::parts::{Kept, Parts, Shown};
use self::receiving::Receiver;
use self::together::Company;
use self::upkeep::{Replaced, without_store};
use super::consents::Consents;
use super::error::Error;
use super::installation::Installation;
use super::misses::{Lookups, Misses};
use super::watching::Watcher;
use crate::config::{Config, Security};
use crate::oauth::SharedCallback;
use crate::server::{self, Bound, Sockets};
use crate::shutdown::{self, Supervisor, Trigger};
use crate::store::StateDirectory;

pub(crate) use self::tracing::{LONGEST_TRACE, NotTraced, Traced};
pub(crate) use crate::connection::TraceLine;
pub(crate) use crate::links::Dead;
pub(crate) use consents::{NoConsent, OfLink};
pub(crate) use page::PageListener;
pub(crate) use predecessors::Held;
pub(crate) use reload::Reloaded;
pub(crate) use running::{CommandLine, NotUpgraded, Running, Unready, UpgradeAsked};

/// How long the last lines may take after the drain; then the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Without its database the process takes no new session, so an early restart is better.
const DRAIN_WITHOUT_STORE: Duration = Duration::from_secs(5);
/// A token endpoint's answer is awaited for 30 s, and must then be stored. With the drain this stays below the
/// minute that systemd waits.
const SETTLE: Duration = Duration::from_secs(32);

/// A proxy whose addresses are bound, but which accepts nothing yet. All steps that can fail without the store are
/// done: a process that cannot serve does not change the store of the previous version.
pub(crate) struct Prepared {
    /// The addresses that it will accept on.
    pub(crate) bound: Vec<Bound>,
    pub(crate) metrics: Option<TcpListener>,
    page: Option<PageListener>,
    shown: Option<Shown>,
    callback: Option<SharedCallback>,
    parts: Parts,
}

/// A proxy that accepts connections.
pub(crate) struct Serving {
    /// The part that the surfaces ask.
    pub(crate) running: Arc<Running>,
    pub(crate) metrics: Option<TcpListener>,
    pub(crate) page: Option<PageListener>,
    /// Requests for upgrades, for the task that performs them.
    pub(crate) upgrades: Option<mpsc::Receiver<UpgradeAsked>>,
    trigger: Trigger,
    /// Stops accepting, but not the sessions.
    doors: Trigger,
    accepting: JoinHandle<()>,
    company: Company,
}

impl Prepared {
    /// Loads the certificate, then binds addresses that are not in `sockets`.
    pub(crate) fn new(config: &Config, sockets: &Sockets) -> Result<Self, Error> {
        StateDirectory::open(&config.state_directory)?;
        let shown = Shown::of_machine(config)?;
        let listen = |address| parts::bound("metrics.address", address, sockets);
        let metrics = config.metrics.address.map(listen).transpose()?;
        Ok(Self {
            bound: server::bind(&config.listeners, sockets)?,
            metrics,
            page: page::listen(&config.admin, sockets)?,
            shown,
            callback: receiving::listen(config, sockets)?,
            parts: Parts::new(config)?,
        })
    }

    /// The file of the CA that clients must trust, if it is the proxy's own.
    pub(crate) fn ca_file(&self, config: &Config) -> Option<PathBuf> {
        let has_tls = config.listeners.iter().any(|listener| listener.security != Security::None);
        (config.tls.own.is_none() && has_tls).then(|| config.state_directory.join("ca.pem"))
    }

    /// The address of the metrics, with its real port.
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The beginning of the page's addresses, with its real port; `None` without a page.
    pub(crate) fn page_url(&self, config: &Config) -> Option<String> {
        self.page.as_ref().map(|listener| config.admin.base_url(listener.address()))
    }

    /// Accepts connections, and starts the tasks beside them.
    pub(crate) async fn start(
        self,
        installation: &Installation,
        command_line: CommandLine,
    ) -> Result<Serving, Error> {
        let Self { bound, metrics, page, shown, callback, mut parts } = self;
        let config = &installation.config;
        let shown = match shown {
            Some(shown) => shown,
            None => Shown::under_shared(installation).await?,
        };
        let kept = Arc::new(Kept::new(installation, page.as_ref().and_then(PageListener::address)).await?);
        kept.tokens.replace_clients(parts.clients());
        let (teller, tellers) = watch::channel(parts.teller(config, &kept));
        let (current_identity, identities) = watch::channel(shown.identity.clone());
        let access = config.listeners.iter().map(|listener| listener.access.clone().into()).collect();
        let proxy = parts.proxy(config, &kept, shown.acceptors.clone(), access);
        parts::warn_of_closed_devices(&proxy, &kept.accounts).await;
        let proxy = Arc::new(ArcSwap::from_pointee(proxy));

        kept.metrics.know_providers(config.usable_providers().map(|provider| provider.name.as_str()));
        kept.metrics.config_loaded(OffsetDateTime::now_utc().unix_timestamp());
        let bound_to: Vec<_> = bound.iter().map(|bound| (bound.number, bound.address)).collect();

        let (trigger, shutdown) = shutdown::channel();
        let supervisor = Arc::new(Supervisor::new(&shutdown));
        let (doors, closing) = shutdown::channel();
        let supervised_doors = Arc::new(supervisor.until(&closing));
        let shared = shown.settings.shared.clone();
        let replaced = Replaced { identity: identities, teller: tellers, shared };
        let company = upkeep::start(&kept, &replaced, &supervisor).await;
        upkeep::renew_tokens(&kept, &supervised_doors);
        let consents = Arc::new(Consents::new(installation, kept.marks.clone()));
        let receiver = |callback| Receiver { callback, kept: kept.clone(), consents: consents.clone() };
        let receiver = callback.map(receiver).map(Arc::new);
        if let Some(receiver) = &receiver {
            supervised_doors.start("sign-in callback", upkeep::with(receiver, Receiver::receive));
        }
        let accepting = tokio::spawn(server::serve(bound, proxy.clone(), supervised_doors, shutdown));
        let (upgrades, asked) = mpsc::channel(1);
        let store = kept.store.clone();
        let running = Arc::new(Running {
            watcher: Watcher::new(kept.metrics.clone(), kept.live.clone(), store, supervisor.clone()),
            config: ArcSwap::new(config.clone()),
            bound: bound_to,
            supervisor,
            page: page.as_ref().map(PageListener::address),
            command_line,
            started: config.clone(),
            kept,
            proxy,
            identity: current_identity,
            teller,
            receiver,
            consents,
            links: Lookups::default(),
            failed: Misses::default(),
            shown: shown.into(),
            longest_drain: AtomicU64::new(config.limits.drain_seconds),
            stopping: AtomicBool::new(false),
            upgrades,
            answers: watch::Sender::default(),
        });
        Ok(Serving { running, metrics, page, upgrades: Some(asked), trigger, doors, accepting, company })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// A signal or a command asked for it.
    Asked,
    NoStore,
    /// Another process has taken over, and this one's sessions have ended or run out of time.
    TakenOver,
    /// The process that took over has died, and a supervisor has to start a new one.
    SuccessorLost,
}

impl Serving {
    /// Completes when the proxy has to stop: when it is `asked` to, or when the database was missing for too long.
    pub(crate) async fn until(&self, asked: impl Future<Output = StopReason>) -> StopReason {
        tokio::select! {
            reason = asked => reason,
            () = without_store(&*self.running.kept.store) => StopReason::NoStore,
        }
    }

    /// Accepts nothing more, because another process does.
    pub(crate) async fn leave_doors(&mut self) {
        self.running.stopping.store(true, Ordering::Relaxed);
        self.doors.begin();
        // The new process tells people about grants, with its configuration; a running delivery may finish.
        self.running.teller.send_replace(None);
        let _ = (&mut self.accepting).await;
    }

    /// Serves its sessions until the last has ended, or it is `asked` to stop, or their time is over.
    pub(crate) async fn outlive(&self, asked: impl Future<Output = StopReason>) -> StopReason {
        let longest = Duration::from_secs(self.running.config.load().limits.takeover_seconds);
        tokio::select! {
            biased;
            () = self.trigger.completed() => StopReason::TakenOver,
            reason = asked => reason,
            () = without_store(&*self.running.kept.store) => StopReason::NoStore,
            () = tokio::time::sleep(longest) => {
                info!("limits.takeover_seconds after the upgrade are over: the old sessions end now");
                StopReason::TakenOver
            }
        }
    }

    /// Stops: sessions end at their next pause, when it is asked `again`, or after the drain time.
    pub(crate) async fn stop(self, ending: StopReason, again: impl Future<Output = ()>) {
        let drain = Duration::from_secs(self.running.longest_drain.load(Ordering::Relaxed)) + LAST_WORDS;
        let patience = if ending == StopReason::NoStore { DRAIN_WITHOUT_STORE } else { drain };
        self.running.stopping.store(true, Ordering::Relaxed);
        // The doors first: a listener that ends with the stop is no task that failed.
        self.doors.begin();
        self.trigger.begin();
        tokio::select! {
            () = self.trigger.completed() => info!("all sessions have ended"),
            () = tokio::time::sleep(patience) => {
                warn!("some sessions had not ended after {} s and are cut", patience.as_secs());
            }
            () = again => warn!("asked to stop again: sessions are cut"),
        }
        // The task may have been awaited before.
        if !self.accepting.is_finished() {
            let _ = self.accepting.await;
        }
        settle(&self.running).await;
        self.running.kept.accounts.flush().await;
        self.company.leave(&self.running.kept).await;
    }
}

/// Waits for running refreshes and consents, which may bring a refresh token that the store does not have yet.
async fn settle(running: &Running) {
    let settled = async { tokio::join!(running.kept.tokens.settle(), running.consents.settled()) };
    if tokio::time::timeout(SETTLE, settled).await.is_err() {
        warn!(
            "a refresh or a consent had not ended after {} s and is cut; its account may need to be authorised again",
            SETTLE.as_secs()
        );
    }
}
