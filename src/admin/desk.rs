//! The control socket and the HTTP address of a running `serve`, until its last session has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::follow;
use super::socket::ControlSocket;
use super::watch;
use crate::control::serving::Running;
use crate::shutdown::{self, Shutdown, Trigger};

/// A command that still runs reads its answer at once.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Both stay open while this is held, also after the stop has begun: sessions continue for a while, and can be
/// listed and closed.
pub(crate) struct Desk {
    running: Arc<Running>,
    trigger: Trigger,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Ends only the HTTP address.
    metrics: Option<(Trigger, tokio::task::JoinHandle<()>)>,
    /// Count the sessions of older processes.
    _elders: JoinSet<()>,
}

impl Desk {
    /// Opens both. A control socket that cannot be opened is only a warning: mail does not depend on it.
    pub(crate) async fn open(running: &Arc<Running>, metrics: Option<TcpListener>) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        // Before this process has a socket of its own, and before it reports that it is ready.
        let elders = follow::count_elders(running, running.state_directory()).await;
        let mut desk =
            Self { running: running.clone(), trigger, tasks: Vec::new(), metrics: None, _elders: elders };
        desk.listen_for_commands(running, &shutdown).await;
        if let Some(listener) = metrics {
            let (listener, running, router) = (Arc::new(listener), running.clone(), watch::router(running));
            if let Ok(address) = listener.local_addr() {
                info!("metrics are on http://{address}/metrics");
            }
            let (trigger, shutdown) = shutdown::channel();
            let task = running
                .supervisor
                .until(&shutdown)
                .start("metrics", move || watch::serve(listener.clone(), router.clone()));
            desk.metrics = Some((trigger, task));
        }
        desk
    }

    async fn listen_for_commands(&mut self, running: &Arc<Running>, shutdown: &Shutdown) {
        let socket = match running.holder().await {
            Ok(holder) => ControlSocket::bind(running.state_directory(), &holder),
            Err(error) => Err(std::io::Error::other(error)),
        };
        match socket {
            Ok(socket) => {
                let (socket, asked) = (Arc::new(socket), running.clone());
                let task = running
                    .supervisor
                    .until(shutdown)
                    .start("control socket", move || socket.clone().serve(asked.clone()));
                self.tasks.push(task);
            }
            Err(error) => warn!(
                "there is no control socket, so that no command can ask or tell this process anything: {error}"
            ),
        }
    }

    /// Closes the HTTP address, which the successor then opens.
    pub(crate) async fn leave_metrics(&mut self) {
        if let Some((trigger, task)) = self.metrics.take() {
            trigger.begin();
            let _ = task.await;
        }
    }

    /// Closes both.
    pub(crate) async fn close(mut self) {
        self.leave_metrics().await;
        // For example the answer to the command that asked for the upgrade.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.running.all_answered()).await;
        self.trigger.begin();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
