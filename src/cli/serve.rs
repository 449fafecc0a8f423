//! `serve`: listens until told to stop, or until another process has taken over.

mod takeover;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::Desk;
use crate::admin::ask::is_any_running;
use crate::config::Config;
use crate::control::Installation;
use crate::control::audit;
use crate::control::serving::{CommandLine, Prepared, Running, Serving, StopReason};
use crate::files;
use crate::server::{Bound, Sockets, Successor};

/// The number of turns of sessions after which the runtime checks which other sockets are readable. The longest turn of
/// a busy session takes about five milliseconds.
const EVENT_INTERVAL: u32 = 8;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Write a JSON object with process id and addresses to this file once connections are accepted
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let sockets = Sockets::inherited()?;
    let config = options.read()?;
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    raise_descriptor_limit(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build()?;
    let command_line =
        CommandLine { config: options.config.clone(), log: options.log_filter().map(str::to_owned) };
    runtime.block_on(serve(config, command_line, arguments, &sockets))
}

/// One thread for two processors. The others run the kernel's part of the traffic, clients and servers on this
/// machine, and the hashing of chosen passwords. More threads only wake each other.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

async fn serve(
    config: Config,
    command_line: CommandLine,
    arguments: Arguments,
    sockets: &Sockets,
) -> Result<Done, Failure> {
    let mut told = Told::listen()?;
    // This comes first, because it does not touch the store: if this process cannot serve, the previous version
    // continues with the store.
    let prepared = Prepared::new(&config, sockets).map_err(|error| {
        match error.is_taken_port() && is_any_running(&config.state_directory) {
            true => Failure::from(error)
                .hint("this installation's own serve most likely runs already; use reload or upgrade"),
            false => error.into(),
        }
    })?;
    let installation = Installation::open(config).await?;
    let ready = ReadyFile::new(&prepared, &installation.config);
    let mut serving = prepared.start(&installation, command_line).await?;
    sockets.close_unused();
    // A program that waits for the ready file may send a command at once.
    told.upgrades.asked = serving.upgrades.take();
    let mut desk = Desk::open(&serving.running, serving.metrics.take(), serving.page.take()).await;
    if let Some(file) = &arguments.ready_file {
        match ready.write(file) {
            // This process accepts connections by now; if it ended, these would be lost.
            Err(error) if sockets.have_predecessor() => warn!("{error}"),
            written => written?,
        }
    }
    for listener in &ready.listeners {
        info!("listening on {} ({}, {})", listener.address, listener.protocol, listener.security);
    }
    // After an upgrade the previous process notifies systemd, which listens to no other.
    if !sockets.tell_predecessor() {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    let ending = match run_until_told(&mut serving, &mut told, sockets).await {
        Next::Stop(reason) => reason,
        Next::Outlive(successor) => {
            sockets.let_go();
            desk.leave_http().await;
            takeover::outlive(&serving, &mut told, successor).await
        }
    };
    if ending != StopReason::TakenOver {
        info!("stopping: no new connections; sessions end at their next pause");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    }
    serving.stop(ending, told.stop.told()).await;
    desk.close().await;
    if let Some(file) = arguments.ready_file.as_ref().filter(|file| ReadyFile::is_ours(file)) {
        let _ = std::fs::remove_file(file);
    }
    match ending {
        StopReason::Asked | StopReason::TakenOver => Ok(Done::Well),
        // The log has the reason.
        StopReason::NoStore | StopReason::SuccessorLost => Err(Failure::silent()),
    }
}

/// The event that ends the accepting.
enum Next {
    Stop(StopReason),
    Outlive(Successor),
}

async fn run_until_told(serving: &mut Serving, told: &mut Told, sockets: &Sockets) -> Next {
    loop {
        let Told { stop, hangup, upgrades } = told;
        let asked = tokio::select! {
            ending = serving.until(to_stop(stop, hangup, &serving.running)) => return Next::Stop(ending),
            asked = upgrades.next() => asked,
        };
        if let Some(next) = takeover::begin(serving, told, sockets, asked).await {
            return next;
        }
    }
}

/// The signals and requests to this process.
struct Told {
    stop: Stop,
    hangup: Signal,
    upgrades: takeover::Upgrades,
}

impl Told {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            stop: Stop::listen()?,
            hangup: signal(SignalKind::hangup())?,
            upgrades: takeover::Upgrades::listen()?,
        })
    }
}

/// Completes when this process must stop; reloads when asked to.
async fn to_stop(stop: &mut Stop, hangup: &mut Signal, running: &Arc<Running>) -> StopReason {
    tokio::select! {
        () = stop.told() => {}
        () = reload_at(hangup, running) => {}
    }
    StopReason::Asked
}

/// Reloads the configuration at each SIGHUP and logs the result. The reload is a separate task, which neither an
/// upgrade nor a stop interrupts. Completes if the signal means that the terminal of `serve` was closed.
async fn reload_at(hangup: &mut Signal, running: &Arc<Running>) {
    let in_terminal = std::io::stdin().is_terminal();
    while hangup.recv().await.is_some() {
        if in_terminal && !std::io::stdin().is_terminal() {
            return;
        }
        let running = running.clone();
        tokio::spawn(async move {
            // The process does not end before the reload has, as with a command.
            let _answering = running.answering();
            let _ = running.reload(audit::signal()).await;
        });
    }
    std::future::pending::<()>().await;
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

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The contents of `--ready-file`.
#[derive(Serialize)]
struct ReadyFile {
    pid: u32,
    listeners: Vec<ReadyListener>,
    admin: Option<String>,
    metrics: Option<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct ReadyListener {
    protocol: &'static str,
    address: String,
    security: &'static str,
}

impl ReadyFile {
    fn new(prepared: &Prepared, config: &Config) -> Self {
        let listener = |bound: &Bound| ReadyListener {
            protocol: bound.protocol.name(),
            address: bound.address.to_string(),
            security: bound.security.name(),
        };
        Self {
            pid: std::process::id(),
            listeners: prepared.bound.iter().map(listener).collect(),
            admin: prepared.page_url(config),
            metrics: prepared.metrics_address().map(|address| format!("http://{address}")),
            ca_file: prepared.ca_file(config),
        }
    }

    /// Whether `file` was written by this process, and not by its successor.
    fn is_ours(file: &Path) -> bool {
        let told = std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        told.is_some_and(|told| told.get("pid") == Some(&std::process::id().into()))
    }

    /// Writes atomically: a program that waits for the file finds it complete.
    fn write(&self, file: &Path) -> anyhow::Result<()> {
        files::replace(file, &serde_json::to_vec(self)?, 0o600)
            .map_err(|error| anyhow::anyhow!("the ready file {} cannot be written: {error}", file.display()))
    }
}

/// Each session needs two descriptors.
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
