//! The HTTP server of the page: one address for the page, monitoring and the set-up of mail programs.
//!
//! Routes of three kinds: those that anyone on this machine may ask (health, and the same set-up file for every
//! address), the metrics for this machine alone, and the page, whose every request passes [`super::guard`]. What a
//! route shows or does to an account needs a [`Visitor`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use maud::{Markup, PreEscaped};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tracing::warn;

use super::said::Said;
use super::visit::Fields;
use super::visitors::{Visitor, Visitors};
use super::{again, api, consent, entrance, guard, once, page, socket, watch};
use crate::config::AdminAddress;
use crate::control::Installation;
use crate::control::api_tokens::Recogniser;
use crate::control::audit;
use crate::control::enrol::Enrolled;
use crate::control::serving::{PageListener, Running};
use crate::http::{self, Accept, Bounds};
use crate::secret::Secret;
use crate::store::{Actor, StoreError};
use crate::surface::accounts::waits;

/// Connections: several people with a browser each, and one request for each connection. The largest body is a table of
/// some ten thousand accounts. The longest answer is a revocation, which waits for a provider.
const BOUNDS: Bounds =
    Bounds { connections: 128, body: 1024 * 1024, answer: Duration::from_secs(75), refuse };

/// The answer to a request that is too large or too slow, in the form of its surface.
fn refuse(uri: &Uri, status: StatusCode) -> Response {
    let (title, text) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => (
            "Too large",
            "What was sent is larger than 1 MiB, so nothing was done. Split a table, and send its parts one by one.",
        ),
        StatusCode::REQUEST_TIMEOUT => {
            ("Too slow", "What was sent did not arrive in time, so nothing was done. Try again.")
        }
        _ => (
            "Not over yet",
            "The answer took too long. What was begun may still be done: look at Activity before you try again.",
        ),
    };
    // The server's own bounds answer without the layer that adds the headers everywhere else.
    guard::with_headers(api::refuse(uri, status).unwrap_or_else(|| page::notice(status, title, text)))
}

/// What the routes share.
pub(super) struct Site {
    pub(super) running: Arc<Running>,
    pub(super) visitors: Visitors,
    pub(super) checks: page::Checks,
    pub(super) acts: once::Acts,
    pub(super) recogniser: Recogniser,
    bound: Option<SocketAddr>,
    /// Whether a successor has the address.
    is_left: AtomicBool,
}

impl Site {
    pub(super) fn new(running: &Arc<Running>, listener: &PageListener) -> Arc<Self> {
        let Installation { store, sealer, .. } = running.installation(audit::signal());
        Arc::new(Self {
            running: running.clone(),
            visitors: Visitors::new(store, sealer, running.marks()),
            checks: page::Checks::default(),
            acts: once::Acts::default(),
            recogniser: Recogniser::default(),
            bound: listener.address(),
            is_left: AtomicBool::new(false),
        })
    }

    /// The one-time address for the person `by`; `None` if another process has the page.
    pub(super) async fn entrance(&self, by: Actor) -> Result<Option<String>, StoreError> {
        let base = self.running.page_url().filter(|_| !self.is_left.load(Ordering::Relaxed));
        let Some(base) = base else { return Ok(None) };
        let token = self.visitors.invite(by, self.visitors.now().await?).await?;
        Ok(Some(format!("{base}/enter/{token}")))
    }

    /// The sign-in link of a new account whose owner has still to consent.
    pub(super) async fn link_for(&self, enrolled: &Enrolled, by: Actor) -> Option<Secret> {
        match waits(enrolled) {
            true => self.running.sign_in_link(&enrolled.account, by).await.ok().flatten(),
            false => None,
        }
    }

    /// From now on a successor has the address.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// The names under which the page answers.
    pub(super) fn names(&self) -> guard::Names {
        guard::Names { url: self.running.config().admin.url.clone(), bound: self.bound }
    }

    /// The message of the last act of `visitor`, once, if the address's `query` names it.
    pub(super) async fn said(&self, visitor: &Visitor, query: &Fields) -> Option<Markup> {
        let name = query.one("said");
        if name.is_empty() {
            return None;
        }
        match self.visitors.hear(visitor, name).await {
            Ok(said) => said.map(|said| PreEscaped(said.expose().to_owned())),
            Err(_) => {
                let cause = "What your last step has led to cannot be shown just now; load this page again in a minute.";
                Some(Said::failed(cause, Vec::new()).shown())
            }
        }
    }

    /// Whether browsers reach the page over https, so that the cookie may be bound to that.
    pub(super) fn is_https(&self) -> bool {
        self.running.config().admin.url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// The name of the session's cookie. All ports of one host share their cookies, so the name has the port.
    pub(super) fn cookie(&self) -> String {
        match (self.is_https(), self.bound) {
            (true, _) => "__Host-imap-oauth-proxy".to_owned(),
            (false, Some(bound)) => format!("imap-oauth-proxy-{}", bound.port()),
            (false, None) => "imap-oauth-proxy".to_owned(),
        }
    }
}

/// All routes.
pub(super) fn router(site: &Arc<Site>) -> Router {
    let guarded = Router::new()
        .merge(entrance::routes())
        .merge(page::routes())
        .route_layer(from_fn_with_state(site.clone(), once::judge))
        .route_layer(from_fn_with_state(site.clone(), guard::judge))
        .with_state(site.clone());
    let by_link = Router::new()
        .merge(again::routes())
        .merge(consent::routes())
        .route_layer(from_fn_with_state(site.clone(), guard::judge_link))
        .with_state(site.clone());
    let metrics =
        watch::metrics_route(&site.running).route_layer(from_fn_with_state(site.clone(), guard::only_local));
    Router::new()
        .merge(guarded)
        .merge(by_link)
        .merge(api::routes(site))
        .merge(page::routes_for_all().with_state(site.clone()))
        .merge(metrics)
        .merge(watch::health_routes(&site.running))
        .fallback(nothing)
        .layer(from_fn_with_state(site.clone(), consent::take_redirects))
        .layer(map_response(async |response| guard::with_headers(response)))
}

async fn nothing() -> Response {
    page::notice(StatusCode::NOT_FOUND, "Not found", "There is nothing at this address.")
}

/// Answers until the future is dropped.
pub(super) async fn serve(listener: Arc<Listener>, router: Router) {
    match &*listener {
        Listener::Tcp(listener) => {
            http::serve_always(std::slice::from_ref(listener), &router, BOUNDS).await;
        }
        Listener::Unix(listener) => {
            http::serve_always(std::slice::from_ref(listener), &router, BOUNDS).await;
        }
    }
}

/// The page's listener.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(SocketOfPage),
}

impl Listener {
    /// The listener, with the path of a socket from the configuration.
    pub(super) fn new(listener: PageListener, running: &Running) -> Self {
        let path = match &running.config().admin.address {
            AdminAddress::Unix(path) => path.clone(),
            AdminAddress::Tcp(_) | AdminAddress::Off => PathBuf::new(),
        };
        match listener {
            PageListener::Tcp(listener) => Self::Tcp(listener),
            PageListener::Unix(listener) => Self::Unix(SocketOfPage { listener, path }),
        }
    }

    /// Removes the file of a socket, which nothing listens on any more.
    pub(super) fn remove(&self) {
        if let Self::Unix(socket) = self {
            let _ = std::fs::remove_file(&socket.path);
        }
    }
}

/// A Unix socket for the user's own web server. It takes connections of its owner and of root. If its mode lets its
/// group connect and no others, it takes all connections, because the kernel has checked the group.
pub(super) struct SocketOfPage {
    listener: UnixListener,
    path: PathBuf,
}

impl SocketOfPage {
    fn trusts(&self, stream: &UnixStream) -> bool {
        let peer = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                warn!("the user of a connection to the page's socket is not known: {error}");
                return false;
            }
        };
        let owner = rustix::process::geteuid().as_raw();
        let is_trusted = socket::is_trusted(peer, owner) || lets_its_group_in(&self.path);
        if !is_trusted {
            warn!("the user {peer} may not use the page's socket");
        }
        is_trusted
    }
}

fn lets_its_group_in(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.permissions().mode() & 0o022 == 0o020)
}

impl Accept for SocketOfPage {
    type Stream = UnixStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<std::io::Result<UnixStream>> {
        loop {
            let (stream, _) = ready!(self.listener.poll_accept(context))?;
            if self.trusts(&stream) {
                return Poll::Ready(Ok(stream));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn security_row_46_a_socket_that_everyone_may_open_lets_no_group_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (mode, lets_in) in [(0o660, true), (0o600, false), (0o666, false), (0o640, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(lets_its_group_in(&path), lets_in, "{mode:o}");
        }
        assert!(!lets_its_group_in(&directory.path().join("gone")));
    }
}
