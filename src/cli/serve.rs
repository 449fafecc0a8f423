//! `serve`: listens until told to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::failure::Failure;
use super::installation::{Installation, Legs, Options, tls_settings};
use super::{Done, callback, print};
use crate::account::{Accounts, Gates};
use crate::config::{Config, Security};
use crate::connection::Proxy;
use crate::events::Teller;
use crate::oauth::Webhook;
use crate::server::{self, Bound};
use crate::shutdown::{self, Supervisor, Trigger};
use crate::store::{Absence, Store};
use crate::tls::{Acceptor, Connector, Identity};
use crate::token::Tokens;

/// Sessions get 20 s to come between two answers; then nothing holds the process any more.
const DRAIN: Duration = Duration::from_secs(25);
/// Without its database the process serves nobody who comes anew: whoever starts it again wants that soon.
const DRAIN_WITHOUT_STORE: Duration = Duration::from_secs(5);
/// A database that is put back, or a disk that is mounted again, is so within this. After it, a supervisor
/// should know.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
const ABSENCE_POLL: Duration = Duration::from_secs(1);
/// An answer from a token endpoint is given up after 30 s; what it holds has to be written, too. Together
/// with the drain it stays under the minute that systemd waits.
const SETTLE: Duration = Duration::from_secs(32);

/// After so many turns of sessions the runtime asks which others have something to read, should there be no
/// pause before. The longest turn of a busy session takes some five milliseconds.
const EVENT_INTERVAL: u32 = 8;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Write a JSON object with process id and addresses here once connections are accepted
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let config = options.read()?;
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    raise_descriptor_limit(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build()?;
    runtime.block_on(serve(config, arguments))
}

/// One for two processors: the kernel's part of every byte, the other ends where they are on this machine,
/// and the hashing of chosen passwords run on the rest. More threads only wake each other.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

async fn serve(config: Config, arguments: Arguments) -> Result<Done, Failure> {
    let mut stop = Stop::listen()?;
    let installation = Installation::open(config).await?;
    let config = &installation.config;
    let identity = load_identity(config)?;
    let bound = server::bind(&config.listeners)?;
    let ca_file = identity.as_ref().and_then(|identity| identity.ca_file());
    let ready = Ready::new(&bound, ca_file);
    let proxy = Arc::new(proxy(&installation, identity.as_ref()).await?);

    let (mut trigger, shutdown) = shutdown::channel();
    let supervisor = Arc::new(Supervisor::new(&shutdown));
    start_upkeep(&installation, &proxy, identity, &supervisor)?;
    if let Some(receiver) = callback::listen(&installation).await? {
        supervisor.start("sign-in callback", with(&Arc::new(receiver), callback::Receiver::receive));
    }
    let accepting = tokio::spawn(server::serve(bound, proxy.clone(), supervisor, shutdown));
    if let Some(file) = &arguments.ready_file {
        ready.write(file)?;
    }
    for listener in &ready.listeners {
        info!("listening on {} ({})", listener.address, listener.security);
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let patience = tokio::select! {
        () = stop.asked() => DRAIN,
        () = without_store(&*installation.store) => DRAIN_WITHOUT_STORE,
    };
    info!("stopping: no new connections; sessions end at their next pause");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    drain(&mut trigger, &mut stop, patience).await;
    let _ = accepting.await;
    settle(&proxy.tokens).await;
    proxy.accounts.flush().await;
    if let Some(file) = &arguments.ready_file {
        let _ = std::fs::remove_file(file);
    }
    match patience == DRAIN {
        true => Ok(Done::Well),
        // The log has said why.
        false => Err(Failure::silent()),
    }
}

/// Ends when there has been no database for so long that nobody is about to put it back.
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

async fn drain(trigger: &mut Trigger, stop: &mut Stop, patience: Duration) {
    trigger.begin();
    tokio::select! {
        () = trigger.completed() => info!("all sessions have ended"),
        () = tokio::time::sleep(patience) => {
            warn!("some sessions had not ended after {} s and are cut", patience.as_secs());
        }
        () = stop.asked() => warn!("asked to stop again: sessions are cut"),
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

fn load_identity(config: &Config) -> Result<Option<Arc<Identity>>, Failure> {
    if config.listeners.iter().all(|listener| listener.security == Security::None) {
        return Ok(None);
    }
    let identity = Identity::load(tls_settings(config), OffsetDateTime::now_utc())?;
    // The modes of the files are judged with the configuration, too.
    for warning in identity.warnings().into_iter().filter(|warning| !config.warnings.contains(warning)) {
        warn!("{warning}");
    }
    Ok(Some(Arc::new(identity)))
}

async fn proxy(installation: &Installation, identity: Option<&Arc<Identity>>) -> Result<Proxy, Failure> {
    let config = &installation.config;
    let legs = Legs::of_configured(config)?;
    if legs.is_empty() {
        warn!(
            "no provider has a client_id yet, so that no token can be refreshed; see: imap-oauth-proxy config example"
        );
    }
    let clients = legs.iter().map(|(name, legs)| (name.clone(), legs.client.clone())).collect();
    Ok(Proxy {
        accounts: Accounts::open(installation.store.clone(), &installation.sealer).await?,
        gates: Gates::default(),
        tokens: Tokens::new(installation.store.clone(), installation.sealer.clone(), clients),
        providers: legs.into_iter().map(|(name, legs)| (name, (legs.provider, legs.dialler))).collect(),
        acceptor: identity.map(|identity| Acceptor::new(identity.clone())).transpose()?,
        limits: config.limits.clone(),
    })
}

/// What runs beside the connections until the stop begins.
fn start_upkeep(
    installation: &Installation,
    proxy: &Arc<Proxy>,
    identity: Option<Arc<Identity>>,
    supervisor: &Supervisor,
) -> Result<(), Failure> {
    if let Some(identity) = identity {
        supervisor.start("certificate renewal", with(&identity, Identity::keep_fresh));
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

/// Who tells the administrator, where that is configured.
fn teller(installation: &Installation) -> Result<Option<Teller>, Failure> {
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

/// SIGTERM, SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What `--ready-file` holds.
#[derive(Serialize)]
struct Ready {
    pid: u32,
    listeners: Vec<ReadyListener>,
    admin: Option<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct ReadyListener {
    protocol: &'static str,
    address: String,
    security: &'static str,
}

impl Ready {
    fn new(bound: &[Bound], ca_file: Option<PathBuf>) -> Self {
        let listener = |bound: &Bound| ReadyListener {
            protocol: "imap",
            address: bound.address.to_string(),
            security: bound.security.name(),
        };
        Self {
            pid: std::process::id(),
            listeners: bound.iter().map(listener).collect(),
            admin: None,
            ca_file,
        }
    }

    /// Atomically: whoever waits for the file finds all of it.
    fn write(&self, file: &Path) -> Result<(), Failure> {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut temporary| {
            serde_json::to_writer(&mut temporary, self)?;
            temporary.persist(file).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| {
            Failure::new(format!("the ready file {} cannot be written: {error}", file.display()))
        })
    }
}

/// Each session takes two descriptors.
fn raise_descriptor_limit(config: &Config) {
    let needed = u64::try_from(config.limits.connections).unwrap_or(u64::MAX).saturating_mul(2);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < needed => warn!(
            "this process may open {limit} files, but limits.connections needs {needed}; raise the hard limit \
             (LimitNOFILE in the service unit, or ulimit -n), or lower limits.connections"
        ),
        Ok(_) => {}
        Err(error) => print::words(&format!("warning: the limit on open files cannot be raised: {error}")),
    }
}
