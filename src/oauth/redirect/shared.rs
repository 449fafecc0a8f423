//! Receives redirects for an https address of the user's own, behind their reverse proxy.
//!
//! Unlike [`crate::oauth::Callback`] it serves many sign-ins, knows none of them, and judges nothing: an answer
//! with a `state` is handed on, and whoever began that sign-in judges it. It listens on a loopback address
//! only, takes GET at the configured paths alone, and answers each request with a page that tells nothing.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{page, state_of};

/// One sign-in is one request; the rest wait in the backlog.
const CONNECTIONS: usize = 32;
/// Room for a code of 2 KiB and a browser's cookies for that host.
const LONGEST_HEADER: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A reverse proxy on the same machine has sent its request long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener for the redirects of all sign-ins.
pub struct SharedCallback {
    listener: TcpListener,
    paths: Arc<[String]>,
}

impl SharedCallback {
    /// Listens on `address` for requests to `paths`.
    pub async fn bind(address: SocketAddr, paths: Vec<String>) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, paths: paths.into() })
    }

    /// The address bound.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hands each answer's `state` and query to `keep`, which says whether anybody waits for it. Ends
    /// when it is dropped.
    pub async fn serve<F>(&self, keep: impl Fn(String, String) -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let keep = Arc::new(keep);
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (paths, keep) = (self.paths.clone(), keep.clone());
                    tokio::spawn(async move {
                        answer(stream, &paths, &*keep).await;
                        drop(place);
                    });
                }
                // Out of descriptors: the next may work, but not by spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// One request; its connection is closed when the page is sent.
async fn answer<F: Future<Output = bool>>(
    stream: TcpStream,
    paths: &[String],
    keep: &impl Fn(String, String) -> F,
) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let (status, page) = judge(&request, paths, keep).await;
        let mut response = Response::new(page);
        *response.status_mut() = status;
        for (name, value) in page::HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(HEADERS)
        .max_buf_size(LONGEST_HEADER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(PATIENCE, connection).await;
}

async fn judge<F: Future<Output = bool>>(
    request: &Request<Incoming>,
    paths: &[String],
    keep: &impl Fn(String, String) -> F,
) -> (StatusCode, String) {
    if !paths.iter().any(|path| path == request.uri().path()) || request.method() != Method::GET {
        return (StatusCode::NOT_FOUND, page::notice("Not found", "There is nothing here."));
    }
    let query = request.uri().query().unwrap_or_default();
    let kept = match state_of(query) {
        Some(state) => keep(state.expose().to_owned(), query.to_owned()).await,
        None => false,
    };
    match kept {
        true => (
            StatusCode::OK,
            page::notice("Sign-in received", "You may close this page; the command in the terminal goes on."),
        ),
        false => (
            StatusCode::BAD_REQUEST,
            page::notice("Not expected", "No sign-in waits for this answer. Start it again in the terminal."),
        ),
    }
}
