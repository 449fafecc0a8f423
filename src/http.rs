//! The HTTP server for OAuth redirects and for monitoring requests. Any local program or network peer may
//! reach it. So a connection serves one request with a small header, lasts ten seconds at most, and is closed
//! after the answer. When all connections are taken, a new one displaces the oldest that has sent no request.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// A sign-in or a scrape is one request, so a few connections suffice.
const CONNECTIONS: usize = 32;
/// Room for a code of 2 KiB and a browser's cookies for localhost, which can be many.
const LONGEST_HEADER: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A browser or a local reverse proxy sends its request much sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers requests with `router` until `outcome`, called after each connection, returns a value. Dropping
/// the future closes the open connections.
pub(crate) async fn serve<T>(
    listeners: &[TcpListener],
    router: &Router,
    outcome: impl Fn() -> Option<T>,
) -> T {
    let mut connections = JoinSet::new();
    let mut silent = Silent::default();
    loop {
        // While all connections are being answered, the next one waits in the listen backlog; not for long.
        let has_room = connections.len() < CONNECTIONS || silent.is_any();
        tokio::select! {
            accepted = accept(listeners), if has_room => match accepted {
                Ok(stream) => {
                    if connections.len() >= CONNECTIONS {
                        silent.close_oldest();
                    }
                    let has_asked = Arc::<AtomicBool>::default();
                    let task = connections.spawn(answer(stream, router.clone(), has_asked.clone()));
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
pub(crate) async fn serve_always(listeners: &[TcpListener], router: &Router) {
    match serve(listeners, router, || None::<Infallible>).await {}
}

/// The connections without a request yet, the oldest first.
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

/// Serves one request. Sets `has_asked` when the request's header has arrived.
async fn answer(stream: TcpStream, router: Router, has_asked: Arc<AtomicBool>) {
    let router = router.layer(map_request(move |request: Request| {
        has_asked.store(true, Ordering::Relaxed);
        std::future::ready(request)
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
    // A browser that hangs up before it gets the page has still delivered its request.
    let _ = timeout(PATIENCE, connection).await;
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}
