//! The control socket and the HTTP addresses of a running `serve`, until its last session has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::follow;
use super::site::{self, Site};
use super::socket::ControlSocket;
use super::watch;
use crate::control::serving::{PageListener, Running};
use crate::shutdown::{self, Shutdown, Trigger};

/// A command that still runs reads its answer at once.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The addresses stay open while this is held, also after the stop has begun: sessions continue for a while, and can be
/// listed and closed.
pub(crate) struct Desk {
    running: Arc<Running>,
    trigger: Trigger,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Ends only the HTTP addresses.
    http: Vec<(Trigger, tokio::task::JoinHandle<()>)>,
    site: Option<(Arc<Site>, Arc<site::Listener>)>,
    /// The tasks that count the sessions of older processes.
    _predecessors: JoinSet<()>,
}

impl Desk {
    /// Opens the control socket and the HTTP addresses. A control socket that cannot be opened is only a warning: mail
    /// does not depend on it.
    pub(crate) async fn open(
        running: &Arc<Running>,
        metrics: Option<TcpListener>,
        page: Option<PageListener>,
    ) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        // This comes before this process has a socket of its own, and before it reports that it is ready.
        let predecessors = follow::count_predecessors(running, running.state_directory()).await;
        let mut desk = Self {
            running: running.clone(),
            trigger,
            tasks: Vec::new(),
            http: Vec::new(),
            site: None,
            _predecessors: predecessors,
        };
        if let Some(listener) = page {
            desk.show_page(listener);
        }
        desk.listen_for_commands(running, &shutdown).await;
        if let Some(listener) = metrics {
            let (listener, router) = (Arc::new(listener), watch::router(running));
            if let Ok(address) = listener.local_addr() {
                info!("metrics are on http://{address}/metrics");
            }
            desk.serve_http("metrics", move || watch::serve(listener.clone(), router.clone()));
        }
        desk
    }

    fn show_page(&mut self, listener: PageListener) {
        let site = Site::new(&self.running, &listener);
        let (listener, router) =
            (Arc::new(site::Listener::new(listener, &self.running)), site::router(&site));
        if let Some(base) = self.running.page_url() {
            info!("the page is at {base}/; `imap-oauth-proxy admin` opens it");
        }
        let serving = listener.clone();
        self.serve_http("page", move || site::serve(serving.clone(), router.clone()));
        self.site = Some((site, listener));
    }

    /// Runs `task`, which answers at an HTTP address, until [`Desk::close_http`].
    fn serve_http<F>(&mut self, name: &str, task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (trigger, shutdown) = shutdown::channel();
        self.http.push((trigger, self.running.supervisor.until(&shutdown).start(name, task)));
    }

    async fn listen_for_commands(&mut self, running: &Arc<Running>, shutdown: &Shutdown) {
        let socket = match running.holder().await {
            Ok(holder) => ControlSocket::bind(running.state_directory(), &holder),
            Err(error) => Err(std::io::Error::other(error)),
        };
        match socket {
            Ok(socket) => {
                let site = self.site.as_ref().map(|(site, _)| site.clone());
                let (socket, asked) = (Arc::new(socket), running.clone());
                let task = running
                    .supervisor
                    .until(shutdown)
                    .start("control socket", move || socket.clone().serve(asked.clone(), site.clone()));
                self.tasks.push(task);
            }
            Err(error) => warn!(
                "there is no control socket, so that no command can ask or tell this process anything: {error}"
            ),
        }
    }

    /// Closes the HTTP addresses, which the successor has.
    pub(crate) async fn leave_http(&mut self) {
        if let Some((site, _)) = self.site.take() {
            site.leave();
        }
        self.close_http().await;
    }

    async fn close_http(&mut self) {
        for (trigger, task) in self.http.drain(..) {
            trigger.begin();
            let _ = task.await;
        }
    }

    /// Closes the control socket and the HTTP addresses.
    pub(crate) async fn close(mut self) {
        self.close_http().await;
        if let Some((_, listener)) = self.site.take() {
            listener.remove();
        }
        // Waits for answers under way, for example to the command that asked for the upgrade.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.running.all_answered()).await;
        self.trigger.begin();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
