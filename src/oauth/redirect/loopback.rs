//! Receives the redirect at the end of a sign-in, on a loopback address (RFC 8252 §7.3).
//!
//! It is open from [`Callback::bind`] until the first answer with the right `state` has its page, or
//! until it is dropped. Anything on this machine can send it requests, and so can a web page that
//! rebinds its name to 127.0.0.1: therefore the Host must be ours, the method GET, the path the
//! redirect's, and whatever has the wrong `state` gets a page and uses nothing up. One connection is
//! one request, with a small header and ten seconds.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::{Host, Url};

use super::{Code, Expected, RedirectError, page};
use crate::oauth::http::transport;
use crate::oauth::{Authorization, redirect_text};

/// A browser sends one request at once; the rest are junk, and wait in the backlog.
const CONNECTIONS: usize = 32;
/// Room for a code of 2 KiB and a browser's cookies for localhost, which can be many.
const LONGEST_HEADER: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A browser on the same machine has sent its request long before.
const PATIENCE: Duration = Duration::from_secs(10);
/// A free port on 127.0.0.1 may be taken on ::1; so many tries make that improbable.
const PORT_TRIES: usize = 16;

/// A listener for one redirect.
#[derive(Debug)]
pub struct Callback {
    /// On `localhost` one for each address family, on the same port.
    listeners: Vec<TcpListener>,
    redirect_uri: Url,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The redirect goes to another host, or is https: take it with `--paste`, or with the server
    /// behind it.
    #[error("the redirect_uri {0} is not an http address of this machine; use --paste")]
    NotLoopback(Box<Url>),
    /// A fixed port that somebody else has.
    #[error("{address} cannot be listened on: {error}; free it, or leave the port out of redirect_uri")]
    Taken {
        /// The address tried.
        address: SocketAddr,
        /// The operating system's reason.
        error: io::Error,
    },
}

impl Callback {
    /// Listens where `redirect_uri` points: a loopback host, on its port or on a free one.
    pub async fn bind(redirect_uri: &Url) -> Result<Self, CallbackError> {
        if redirect_uri.scheme() != "http" || !transport::is_loopback(redirect_uri) {
            return Err(CallbackError::NotLoopback(Box::new(redirect_uri.clone())));
        }
        let listeners = match redirect_uri.host() {
            Some(Host::Ipv4(ip)) => vec![listen(ip.into(), redirect_uri.port().unwrap_or(0)).await?],
            Some(Host::Ipv6(ip)) => vec![listen(ip.into(), redirect_uri.port().unwrap_or(0)).await?],
            _ => listen_on_localhost(redirect_uri.port()).await?,
        };
        let mut redirect_uri = redirect_uri.clone();
        redirect_uri.set_fragment(None);
        let port =
            listeners.first().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
        // Cannot fail: the scheme has ports and the host is there.
        let _ = redirect_uri.set_port(port);
        Ok(Self { listeners, redirect_uri })
    }

    /// The redirect URI with its port, as to be sent to the provider.
    pub fn redirect_uri(&self) -> String {
        redirect_text(&self.redirect_uri)
    }

    /// Waits for the answer to `authorization`, shows its page, and closes. To stop earlier, drop it.
    pub async fn wait(self, authorization: &Authorization) -> Result<Code, RedirectError> {
        let desk = Arc::new(Desk {
            authority: self.redirect_uri[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            path: self.redirect_uri.path().to_owned(),
            expected: Arc::clone(&authorization.expected),
            outcome: Mutex::new(None),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept(&self.listeners), if connections.len() < CONNECTIONS => match accepted {
                    Ok(stream) => drop(connections.spawn(Arc::clone(&desk).serve(stream))),
                    // Out of descriptors: the next may work, but not by spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = connections.join_next() => {
                    if let Some(outcome) = desk.take() {
                        return outcome;
                    }
                }
            }
        }
    }
}

/// What the connections share.
struct Desk {
    /// The Host that a browser sends.
    authority: String,
    path: String,
    expected: Arc<Expected>,
    /// The first answer with the right `state`; the code is taken once.
    outcome: Mutex<Option<Result<Code, RedirectError>>>,
}

impl Desk {
    /// One request; its connection is closed when the page is sent.
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| {
            let response = self.answer(&request);
            async { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_headers(HEADERS)
            .max_buf_size(LONGEST_HEADER)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // A browser that hangs up before it has its page has sent its answer all the same.
        let _ = timeout(PATIENCE, connection).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        if !self.is_ours(request) {
            return respond(403, page::notice("Wrong address", "This address is not served here."));
        }
        if request.uri().path() != self.path {
            return respond(404, page::notice("Not found", "There is nothing here."));
        }
        if request.method() != Method::GET {
            let mut response = respond(405, page::notice("Not possible", "This address takes GET alone."));
            response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
            return response;
        }
        let judged = self.expected.judge(request.uri().query().unwrap_or_default());
        let (status, page) = page::of(&judged);
        if judged.as_ref().err() != Some(&RedirectError::WrongState) {
            self.outcome.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(judged);
        }
        respond(status, page)
    }

    /// A page that rebinds its own name to a loopback address still sends its own name.
    fn is_ours(&self, request: &Request<Incoming>) -> bool {
        let mut hosts = request.headers().get_all(HOST).into_iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        hosts.next().is_none()
            && host.is_some_and(|host| host.eq_ignore_ascii_case(&self.authority))
            && request
                .uri()
                .authority()
                .is_none_or(|named| named.as_str().eq_ignore_ascii_case(&self.authority))
    }

    fn take(&self) -> Option<Result<Code, RedirectError>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn respond(status: u16, page: String) -> Response<String> {
    let mut response = Response::new(page);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in page::HEADERS {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
    response
}

async fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, CallbackError> {
    let address = SocketAddr::new(ip, port);
    TcpListener::bind(address).await.map_err(|error| CallbackError::Taken { address, error })
}

/// A browser may try either address family for `localhost`; a machine may lack one.
async fn listen_on_localhost(port: Option<u16>) -> Result<Vec<TcpListener>, CallbackError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let v4 = listen(Ipv4Addr::LOCALHOST.into(), port.unwrap_or(0)).await;
        let chosen = match (&v4, port) {
            (Ok(v4), None) => v4.local_addr().map_or(0, |address| address.port()),
            (_, port) => port.unwrap_or(0),
        };
        let v6 = listen(Ipv6Addr::LOCALHOST.into(), chosen).await;
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => return Ok(vec![v4, v6]),
            (Ok(_), Err(CallbackError::Taken { error, .. }))
                if error.kind() == io::ErrorKind::AddrInUse && port.is_none() && tries < PORT_TRIES => {}
            (Ok(_), Err(taken @ CallbackError::Taken { .. })) if is_in_use(&taken) => return Err(taken),
            (Ok(v4), Err(_)) => return Ok(vec![v4]),
            (Err(taken), Ok(_)) if is_in_use(&taken) => return Err(taken),
            (Err(_), Ok(v6)) => return Ok(vec![v6]),
            (Err(error), Err(_)) => return Err(error),
        }
    }
}

fn is_in_use(error: &CallbackError) -> bool {
    matches!(error, CallbackError::Taken { error, .. } if error.kind() == io::ErrorKind::AddrInUse)
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
