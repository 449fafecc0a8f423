//! The interface of the running proxy for the control socket, signals and the HTTP page of the metrics.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};

use super::parts::{Kept, Shown};
use super::receiving::Receiver;
use crate::config::{Config, Listener, Security};
use crate::connection::{LiveSession, Proxy};
use crate::control::audit::Deed;
use crate::control::consents::Consents;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::misses::{Lookups, Misses};
use crate::control::sessions::{self, Asked, Heard};
use crate::control::watching::Watcher;
use crate::events::Teller;
use crate::mutex::lock;
use crate::secret::marks::Marks;
use crate::shutdown::Supervisor;
use crate::store::{Actor, StoreError, fold};
use crate::tls::Identity;

/// A slower answer of the store is useless for a login.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The configuration file, and the settings of the command line that replace it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandLine {
    pub(crate) config: Option<PathBuf>,
    pub(crate) log: Option<String>,
}

/// A proxy that accepts connections, shared by all that ask it.
pub(crate) struct Running {
    pub(crate) supervisor: Arc<Supervisor>,
    pub(super) command_line: CommandLine,
    /// The configuration at the start, for keys that only a start applies.
    pub(super) started: Arc<Config>,
    pub(super) kept: Arc<Kept>,
    /// The parts for new connections.
    pub(super) proxy: Arc<ArcSwap<Proxy>>,
    pub(super) identity: watch::Sender<Option<Arc<Identity>>>,
    pub(super) teller: watch::Sender<Option<Arc<Teller>>>,
    pub(super) receiver: Option<Arc<Receiver>>,
    /// The consents that began in a browser.
    pub(crate) consents: Arc<Consents>,
    /// Look-ups of sign-in links.
    pub(super) links: Lookups,
    /// Sign-ins by a link that could not begin.
    pub(super) failed: Misses,
    pub(super) shown: Mutex<Shown>,
    /// In seconds; sessions keep the limits from their beginning.
    pub(super) longest_drain: AtomicU64,
    pub(super) stopping: AtomicBool,
    pub(super) upgrades: mpsc::Sender<UpgradeAsked>,
    /// Each running answer holds a receiver.
    pub(super) answers: watch::Sender<()>,
    pub(super) watcher: Watcher,
    /// The last configuration that was read, with the restart-only keys of the start.
    pub(super) config: ArcSwap<Config>,
    /// The address of the page, if there is a page; that of a Unix socket is `None`.
    pub(super) page: Option<Option<SocketAddr>>,
    /// The addresses of the listeners with their real ports, each with its listener's number in the configuration.
    pub(super) bound: Vec<(usize, SocketAddr)>,
}

/// A command's request for an upgrade.
pub(crate) struct UpgradeAsked {
    pub(crate) by: Actor,
    /// Gets the new process's id, or the reason for the failure.
    pub(crate) tell: oneshot::Sender<Result<u32, String>>,
}

/// Why no other process has taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotUpgraded {
    Stopping,
    /// The upgrade failed for this reason, and nothing has changed.
    Failed(String),
}

/// The state that a login finds. An `Error` for its `Display` alone; it is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ready {
    /// The store answers. `hears_news` says whether notices of other instances' changes arrive; `None` if the store
    /// sends none.
    #[error("logins can succeed{}", news(*hears_news))]
    Whole { hears_news: Option<bool> },
    /// The database is away; accounts with remembered records can log in.
    #[error("accounts that were seen lately can log in; all others wait, because the database is away")]
    AsLastKnown,
}

fn news(arrive: Option<bool>) -> &'static str {
    match arrive {
        None => "",
        Some(true) => "; the database tells of changes by other instances at once",
        Some(false) => {
            "; changes by other instances are looked for every second, because the database's notices do not arrive"
        }
    }
}

/// Why the proxy takes no login now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unready {
    #[error("it is stopping: sessions end at their next pause, and no new ones are accepted")]
    Stopping,
    #[error("its store does not answer: {0}")]
    Store(String),
}

impl Running {
    /// Whether a login can succeed here: connections are accepted, and the store answers or remembers. If every instance
    /// said that it is unready because their database is away for a moment, a balancer would turn away even the logins
    /// that succeed.
    pub(crate) async fn readiness(&self) -> Result<Ready, Unready> {
        if self.is_stopping() {
            return Err(Unready::Stopping);
        }
        let store = &self.kept.store;
        if let Some(absence) = store.absence() {
            return Err(Unready::Store(format!("{}; {}", absence.cause, absence.cure)));
        }
        // The same read as a login's, under a name that no account has.
        let no_name = fold("");
        match tokio::time::timeout(STORE_PATIENCE, store.find(&no_name)).await {
            Ok(Ok(_)) => Ok(Ready::Whole { hears_news: store.hears_news() }),
            Ok(Err(StoreError::Away(_))) if store.remembers_logins() => Ok(Ready::AsLastKnown),
            Ok(Err(error)) => Err(Unready::Store(error.to_string())),
            Err(_) => Err(Unready::Store(format!("nothing came within {} s", STORE_PATIENCE.as_secs()))),
        }
    }

    /// The sessions after their login, the oldest first.
    pub(crate) fn sessions(&self) -> Vec<Arc<LiveSession>> {
        self.kept.live.list()
    }

    /// Ends the session with that id, or all sessions of the account with that name; returns their number.
    pub(crate) async fn close(&self, of: &str, by: Actor) -> usize {
        self.kept.close(of, by).await
    }

    /// Whether other instances may be on the store.
    pub(crate) fn is_shared(&self) -> bool {
        self.kept.store.is_shared()
    }

    /// Asks all other instances on the store.
    pub(crate) async fn ask_others(&self, asked: &Asked) -> Result<Heard, Error> {
        sessions::ask(&*self.kept.store, &self.kept.sealer, asked).await
    }

    /// This installation, for the operations of `actor`.
    pub(crate) fn installation(&self, actor: Actor) -> Installation {
        Installation {
            config: self.config.load_full(),
            store: self.kept.store.clone(),
            sealer: self.kept.sealer.clone(),
            actor,
            tokens: Some(self.kept.tokens.clone()),
        }
    }

    /// The marks of the tokens that people bring.
    pub(crate) fn marks(&self) -> Arc<Marks> {
        self.kept.marks.clone()
    }

    /// The configuration that was read last.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The last configuration with the real ports of the listeners, for people who set up a mail program: only `serve`
    /// knows ports that the system has chosen.
    pub(crate) fn config_as_bound(&self) -> Arc<Config> {
        let mut config = self.config.load_full();
        let is_chosen = |listener: &Listener| listener.addresses.iter().any(|address| address.port() == 0);
        if config.listeners.iter().any(is_chosen) {
            let listeners = &mut Arc::make_mut(&mut config).listeners;
            for (number, listener) in listeners.iter_mut().enumerate() {
                let mut bound =
                    self.bound.iter().filter(|(other, _)| *other == number).map(|(_, address)| *address);
                for address in listener.addresses.iter_mut().filter(|address| address.port() == 0) {
                    *address = bound.find(|bound| bound.ip() == address.ip()).unwrap_or(*address);
                }
            }
        }
        config
    }

    /// The beginning of the page's addresses, without a slash at the end; `None` without a page.
    pub(crate) fn page_url(&self) -> Option<String> {
        self.page.map(|address| self.config.load().admin.base_url(address))
    }

    /// Held while a command is answered: the process does not end before the answer.
    pub(crate) fn answering(&self) -> watch::Receiver<()> {
        self.answers.subscribe()
    }

    /// Completes when no command is being answered.
    pub(crate) async fn all_answered(&self) {
        self.answers.closed().await;
    }

    /// Starts an upgrade to the program on disk; returns the new process id.
    pub(crate) async fn upgrade(&self, by: Actor) -> Result<u32, NotUpgraded> {
        if self.is_stopping() {
            return Err(NotUpgraded::Stopping);
        }
        let (tell, told) = oneshot::channel();
        self.upgrades.send(UpgradeAsked { by, tell }).await.map_err(|_| NotUpgraded::Stopping)?;
        told.await.map_err(|_| NotUpgraded::Stopping)?.map_err(NotUpgraded::Failed)
    }

    /// Records that process `pid` has taken over, and who asked for it.
    pub(crate) async fn record_upgrade(&self, pid: u32, by: Actor) {
        self.installation(by).record(Deed::Upgraded, Some(&format!("process {pid}"))).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The name of this process as a user of the store.
    pub(crate) async fn holder(&self) -> Result<String, StoreError> {
        self.kept.store.holder().await
    }

    pub(crate) fn state_directory(&self) -> &Path {
        &self.started.state_directory
    }

    /// All metrics, as text for Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let config = self.config.load_full();
        self.watcher.text(&config, self.certificates()).await
    }

    /// When the certificate of each listener ends.
    fn certificates(&self) -> Vec<(String, i64)> {
        let ends = self.identity.borrow().as_ref().and_then(|identity| identity.ends_at());
        let Some(ends) = ends.map(OffsetDateTime::unix_timestamp) else { return Vec::new() };
        let shows_one = |number: usize| {
            self.started.listeners.get(number).is_some_and(|listener| listener.security != Security::None)
        };
        let shown = self.bound.iter().filter(|(number, _)| shows_one(*number));
        shown.map(|(_, address)| (address.to_string(), ends)).collect()
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }
}
