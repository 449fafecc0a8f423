//! An upgrade: the program on disk takes over, and this process continues to serve its own sessions.
//!
//! systemd learns the new main process only once that process accepts connections. If the new process dies while
//! this one still runs, this one ends with a failure, so that systemd notices: the new process is not systemd's
//! child.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{Failure, Next, Told, to_stop};
use crate::control::audit;
use crate::control::serving::{Serving, StopReason, UpgradeAsked};
use crate::server::{Sockets, Successor};

/// Requests for an upgrade.
pub(super) struct Upgrades {
    /// SIGUSR2.
    signal: Signal,
    /// Commands, once the proxy accepts connections.
    pub(super) asked: Option<mpsc::Receiver<UpgradeAsked>>,
}

impl Upgrades {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self { signal: signal(SignalKind::user_defined2())?, asked: None })
    }

    /// The next request. A command gets the outcome; it is also logged.
    pub(super) async fn next(&mut self) -> Option<UpgradeAsked> {
        let command = async {
            match &mut self.asked {
                Some(asked) => asked.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.signal.recv() => None,
            Some(asked) = command => Some(asked),
        }
    }
}

fn tell(asked: Option<UpgradeAsked>, outcome: Result<u32, String>) {
    if let Some(asked) = asked {
        // A command that has ended needs no answer.
        let _ = asked.tell.send(outcome);
    }
}

/// Starts the program on disk. `None` if that failed and nothing has changed.
pub(super) async fn begin(
    serving: &mut Serving,
    told: &mut Told,
    sockets: &Sockets,
    asked: Option<UpgradeAsked>,
) -> Option<Next> {
    info!("upgrade: the program on disk is started with the same arguments, and takes over once it is ready");
    let Told { stop, hangup, upgrades } = told;
    let again = async {
        loop {
            let another = upgrades.next().await;
            warn!("an upgrade is under way already; this one is not begun");
            tell(another, Err("an upgrade is under way already".to_owned()));
        }
    };
    let started = tokio::select! {
        biased;
        started = Successor::start(sockets) => started,
        ending = serving.until(to_stop(stop, hangup, &serving.running)) => return Some(Next::Stop(ending)),
        never = again => never,
    };
    match started {
        Ok(successor) => {
            let pid = successor.pid;
            // This process stops accepting first, so that each new login comes to the new process, which knows all
            // sessions.
            serving.leave_doors().await;
            let _ = sd_notify::notify(&[sd_notify::NotifyState::MainPid(pid)]);
            let by = asked.as_ref().map_or_else(audit::signal, |asked| asked.by.clone());
            serving.running.record_upgrade(pid, by).await;
            tell(asked, Ok(pid));
            info!(
                "process {pid} has taken over; this one accepts nothing more and ends with its last session"
            );
            Some(Next::Outlive(successor))
        }
        Err(error) => {
            tell(asked, Err(error.to_string()));
            error!("the upgrade failed, and this process goes on as before: {error}");
            None
        }
    }
}

/// Serves the remaining sessions.
pub(super) async fn outlive(serving: &Serving, told: &mut Told, successor: Successor) -> StopReason {
    let Told { stop, hangup, upgrades } = told;
    let running = serving.running.clone();
    let pid = successor.pid;
    let again = async {
        loop {
            let another = upgrades.next().await;
            warn!("this process has been taken over; send the signal to process {pid}");
            tell(another, Err(format!("process {pid} has taken over already")));
        }
    };
    let asked = async {
        tokio::select! {
            reason = to_stop(stop, hangup, &running) => reason,
            never = again => never,
            () = lost(successor) => StopReason::SuccessorLost,
        }
    };
    serving.outlive(asked).await
}

/// Completes when the successor has died and systemd has to start a new process. Without systemd none would be
/// started, so the sessions continue.
async fn lost(mut successor: Successor) {
    let pid = successor.pid;
    let how = match successor.ended().await {
        // The successor was told to stop, or has a successor of its own.
        Ok(status) if status.success() => return std::future::pending().await,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    error!(
        "process {pid}, which took over, has ended ({how}), and nothing accepts connections; start serve again"
    );
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::MainPid(std::process::id())]);
}
