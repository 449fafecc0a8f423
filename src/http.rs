//! The HTTP server for OAuth redirects, monitoring and the page. Any local program or network peer may reach it. So
//! a connection serves one request with a small header and a small body, which must arrive within ten seconds; the
//! connection is closed after the answer, for which [`Bounds::answer`] is the time limit. When all connections are
//! taken, a new one displaces the oldest that has not sent its request yet.

pub(crate) mod routing;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Room for a code of 2 KiB and a browser's cookies for localhost, which can be many.
const LONGEST_HEADER: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A browser or a local reverse proxy sends its request much sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a body that any number of connections may send.
const SMALL: u64 = 64 * 1024;
/// Larger bodies that are read at the same time: a request is read before its sender is known, and a hundred of them
/// must not fill the memory.
const LARGE_AT_ONCE: usize = 4;

/// The limits of a server.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// The bytes of a request's body.
    pub(crate) body: usize,
    /// How long the answer may take.
    pub(crate) answer: Duration,
    /// Makes the answer to a request for this address that is too large or too slow.
    pub(crate) refuse: fn(&Uri, StatusCode) -> Response,
}

impl Bounds {
    /// A sign-in or a scrape is one request, so a few connections suffice, and the answer comes at once.
    pub(crate) const ONE_REQUEST: Self = Self {
        connections: 32,
        body: 16 * 1024,
        answer: PATIENCE,
        refuse: |_, status| status.into_response(),
    };
}

/// A listener.
pub(crate) trait Accept {
    /// The connections that it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        Self::poll_accept(self, context).map_ok(|(stream, _)| stream)
    }
}

/// Answers requests with `router` until `outcome`, called after each connection, returns a value. Dropping
/// the future closes the open connections.
pub(crate) async fn serve<T>(
    listeners: &[impl Accept],
    router: &Router,
    bounds: Bounds,
    outcome: impl Fn() -> Option<T>,
) -> T {
    let mut connections = JoinSet::new();
    let large = Arc::new(Semaphore::new(LARGE_AT_ONCE));
    let mut silent = Silent::default();
    loop {
        // While all connections are being answered, the next one waits in the listen backlog until one of them ends.
        let has_room = connections.len() < bounds.connections || silent.is_any();
        tokio::select! {
            accepted = accept(listeners), if has_room => match accepted {
                Ok(stream) => {
                    if connections.len() >= bounds.connections {
                        silent.close_oldest();
                    }
                    let has_asked = Arc::<AtomicBool>::default();
                    let task = connections.spawn(answer(stream, router.clone(), bounds, large.clone(), has_asked.clone()));
                    silent.add(task, has_asked);
                }
                // Out of file descriptors: retry after a pause, not in a busy loop.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {
                if let Some(outcome) = outcome() {
                    return outcome;
                }
            }
        }
    }
}

/// Like [`serve`], until the future is dropped.
pub(crate) async fn serve_always(listeners: &[impl Accept], router: &Router, bounds: Bounds) {
    match serve(listeners, router, bounds, || None::<Infallible>).await {}
}

/// The connections without a whole request yet, the oldest first.
#[derive(Default)]
struct Silent {
    connections: VecDeque<(AbortHandle, Arc<AtomicBool>)>,
}

impl Silent {
    fn add(&mut self, task: AbortHandle, has_asked: Arc<AtomicBool>) {
        self.forget_others();
        self.connections.push_back((task, has_asked));
    }

    fn is_any(&mut self) -> bool {
        self.forget_others();
        !self.connections.is_empty()
    }

    fn close_oldest(&mut self) {
        self.forget_others();
        if let Some((task, _)) = self.connections.pop_front() {
            task.abort();
        }
    }

    fn forget_others(&mut self) {
        self.connections
            .retain(|(task, has_asked)| !task.is_finished() && !has_asked.load(Ordering::Relaxed));
    }
}

/// Serves one request. Sets `has_asked` when the whole request has arrived.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    bounds: Bounds,
    large: Arc<Semaphore>,
    has_asked: Arc<AtomicBool>,
) {
    let router = router.layer(from_fn(move |request: Request, next: Next| {
        whole(request, next, bounds, large.clone(), has_asked.clone())
    }));
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(HEADERS)
        .max_buf_size(LONGEST_HEADER)
        .keep_alive(false);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A browser that hangs up before it gets the page has still delivered its request. The time of the request and
    // that of the answer have limits of their own; this one is for a peer that does not read.
    let _ = timeout(PATIENCE + bounds.answer, connection).await;
}

/// Reads the body before the request is answered, so that no answer waits for a slow sender.
async fn whole(
    request: Request,
    next: Next,
    bounds: Bounds,
    large: Arc<Semaphore>,
    has_asked: Arc<AtomicBool>,
) -> Response {
    let (head, body) = request.into_parts();
    let uri = head.uri.clone();
    let is_small = body.size_hint().upper().is_some_and(|size| size <= SMALL);
    let read = async {
        let _permit = if is_small { None } else { large.acquire().await.ok() };
        to_bytes(body, bounds.body).await
    };
    let body = match timeout(PATIENCE, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (bounds.refuse)(&uri, StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return (bounds.refuse)(&uri, StatusCode::REQUEST_TIMEOUT),
    };
    has_asked.store(true, Ordering::Relaxed);
    let request = Request::from_parts(head, Body::from(body));
    match timeout(bounds.answer, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (bounds.refuse)(&uri, StatusCode::GATEWAY_TIMEOUT),
    }
}

async fn accept<A: Accept>(listeners: &[A]) -> io::Result<A::Stream> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
