//! Receives the redirect at the end of a sign-in, on a loopback address (RFC 8252 §7.3).
//!
//! The listener is open from [`Callback::bind`] until the first answer with the right `state` has its page, or until it
//! is dropped. Any program on this machine can send it requests, and so can a web page that rebinds its name to
//! 127.0.0.1: therefore the Host must be ours, the method GET, the path the redirect's, and a request with the wrong
//! `state` gets a page and does not end the wait. Nor does an administrator's answer, which comes to the same address
//! before the person's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::header::{ALLOW, HOST};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use url::{Host, Url};

use super::page;
use crate::config::is_loopback;
use crate::http::{self, Bounds};
use crate::mutex::lock;
use crate::oauth::flow::redirect::{AuthorizationCode, Expected, RedirectError};
use crate::oauth::{AuthorizationRequest, redirect_text, state_of};

/// The most tries for a port that is free on both addresses: a free port on 127.0.0.1 may be taken on ::1.
const PORT_TRIES: usize = 16;

/// A listener for one redirect.
#[derive(Debug)]
pub struct Callback {
    /// For `localhost`, one listener for each address family, on the same port.
    listeners: Vec<TcpListener>,
    redirect_uri: Url,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The redirect goes to another host, or uses https: use `--paste` or the shared receiver.
    #[error("the redirect_uri {0} is not an http address of this machine; use --paste")]
    NotLoopback(Box<Url>),
    /// Another program has the fixed port.
    #[error("{address} cannot be listened on: {error}; free it, or leave the port out of redirect_uri")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        error: io::Error,
    },
}

impl Callback {
    /// Listens at `redirect_uri`, a loopback host, on its port or on a free one.
    pub async fn bind(redirect_uri: &Url) -> Result<Self, CallbackError> {
        if redirect_uri.scheme() != "http" || !is_loopback(redirect_uri) {
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
        // Cannot fail: the scheme has ports and there is a host.
        let _ = redirect_uri.set_port(port);
        Ok(Self { listeners, redirect_uri })
    }

    /// The redirect URI with its port, as sent to the provider.
    pub fn redirect_uri(&self) -> String {
        redirect_text(&self.redirect_uri)
    }

    /// Waits for the answer to `authorization`, shows its page, and closes. Drop the future to stop earlier.
    pub async fn wait(
        self,
        authorization: &AuthorizationRequest,
    ) -> Result<AuthorizationCode, RedirectError> {
        let desk = Arc::new(Desk {
            place: Place::of(&self.redirect_uri),
            expected: Arc::clone(&authorization.expected),
            outcome: Mutex::new(None),
        });
        let asked = desk.clone();
        let answer =
            async move |method: Method, uri: Uri, headers: HeaderMap| asked.answer(&method, &uri, &headers);
        http::serve(&self.listeners, &Router::new().fallback(answer), Bounds::ONE_REQUEST, || desk.take())
            .await
    }

    /// Redirects each browser that brings an answer to the address that `onwards` returns for the answer's `state`.
    /// Runs until the future is dropped.
    pub async fn forward(self, onwards: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        let place = Arc::new(Place::of(&self.redirect_uri));
        let onwards = Arc::new(onwards);
        let answer = async move |method: Method, uri: Uri, headers: HeaderMap| {
            if let Err(refusal) = place.judge(&method, &uri, &headers) {
                return refusal;
            }
            let query = uri.query().unwrap_or_default();
            match state_of(query).and_then(|state| onwards(state.expose())) {
                Some(address) => page::onwards(&format!("{address}?{query}")),
                None => page::not_expected(),
            }
        };
        http::serve_always(&self.listeners, &Router::new().fallback(answer), Bounds::ONE_REQUEST).await;
    }
}

/// The state shared by the connections.
struct Desk {
    place: Place,
    expected: Arc<Expected>,
    /// The first answer with the right `state`.
    outcome: Mutex<Option<Result<AuthorizationCode, RedirectError>>>,
}

impl Desk {
    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        if let Err(refusal) = self.place.judge(method, uri, headers) {
            return refusal;
        }
        let judged = self.expected.judge(uri.query().unwrap_or_default());
        let page = page::of(&judged);
        if !matches!(judged, Err(RedirectError::WrongState | RedirectError::AdminConsent(_))) {
            lock(&self.outcome).get_or_insert(judged);
        }
        page
    }

    fn take(&self) -> Option<Result<AuthorizationCode, RedirectError>> {
        lock(&self.outcome).take()
    }
}

/// The place that a redirect comes to.
struct Place {
    /// The Host header of a proper request.
    authority: String,
    path: String,
}

impl Place {
    fn of(redirect_uri: &Url) -> Self {
        let authority = redirect_uri[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        Self { authority, path: redirect_uri.path().to_owned() }
    }

    /// Refuses a request that no redirect makes.
    #[allow(clippy::result_large_err, reason = "the refusal is the answer")]
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        if !self.is_ours(uri, headers) {
            let text = "This address is not served here.";
            return Err(page::notice(StatusCode::FORBIDDEN, "Wrong address", text));
        }
        if uri.path() != self.path {
            return Err(page::not_found());
        }
        if method != Method::GET {
            let text = "This address takes GET alone.";
            let page = page::notice(StatusCode::METHOD_NOT_ALLOWED, "Not possible", text);
            return Err(([(ALLOW, "GET")], page).into_response());
        }
        Ok(())
    }

    /// Checks the Host: a page that rebinds its name to a loopback address still sends its own name.
    fn is_ours(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).into_iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        hosts.next().is_none()
            && host.is_some_and(|host| host.eq_ignore_ascii_case(&self.authority))
            && uri.authority().is_none_or(|named| named.as_str().eq_ignore_ascii_case(&self.authority))
    }
}

async fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, CallbackError> {
    let address = SocketAddr::new(ip, port);
    TcpListener::bind(address).await.map_err(|error| CallbackError::Taken { address, error })
}

/// Listens on both families, because a browser may try either for `localhost`. A machine may lack one.
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
