//! Where a running `serve` can be asked: its control socket and its HTTP address, until its last session has ended.

use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::{info, warn};

use super::socket::ControlSocket;
use super::watch;
use crate::control::serving::Running;
use crate::shutdown::{self, Shutdown, Trigger};

/// Both, for as long as it is held. They outlast the begin of the stop: sessions go on for a while, and can be
/// listed and closed.
pub(crate) struct Desk {
    trigger: Trigger,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Desk {
    /// Opens them. A control socket that cannot be had is a warning: mail does not depend on it.
    pub(crate) async fn open(running: &Arc<Running>, metrics: Option<TcpListener>) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let mut desk = Self { trigger, tasks: Vec::new() };
        desk.listen_for_commands(running, &shutdown).await;
        if let Some(listener) = metrics {
            let (listener, running, router) = (Arc::new(listener), running.clone(), watch::router(running));
            if let Ok(address) = listener.local_addr() {
                info!("metrics are on http://{address}/metrics");
            }
            let task = running
                .supervisor
                .until(&shutdown)
                .start("metrics", move || watch::serve(listener.clone(), router.clone()));
            desk.tasks.push(task);
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

    /// Closes both.
    pub(crate) async fn close(self) {
        self.trigger.begin();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
