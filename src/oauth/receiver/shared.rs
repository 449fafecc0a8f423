//! Receives redirects at the user's own https address, behind their reverse proxy.
//!
//! Unlike [`crate::oauth::Callback`], this receiver serves many sign-ins, knows none of them, and checks
//! nothing: it passes on each answer that has a `state`, and the command that began the sign-in checks the
//! answer. It accepts GET at the configured paths only, and its pages reveal nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;

use super::page;
use crate::http::{self, Bounds};
use crate::oauth::{AdminConsent, state_of};

/// A listener for the redirects of all sign-ins.
pub struct SharedCallback {
    listener: TcpListener,
    paths: Arc<ArcSwap<Vec<String>>>,
}

impl SharedCallback {
    /// Accepts requests to `paths` on `listener`.
    pub fn new(listener: TcpListener, paths: Vec<String>) -> Self {
        Self { listener, paths: Arc::new(ArcSwap::from_pointee(paths)) }
    }

    /// Accepts requests to these `paths` only, from now on.
    pub fn take_at(&self, paths: Vec<String>) {
        self.paths.store(Arc::new(paths));
    }

    /// The bound address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Passes each answer's `state` and query to `keep`, which returns the outcome. `keep` runs to its end even if the
    /// browser hangs up. Runs until the future is dropped.
    pub async fn serve<F>(&self, keep: impl Fn(String, String) -> F + Send + Sync + 'static)
    where
        F: Future<Output: Into<Received> + Send> + Send + 'static,
    {
        let (paths, keep) = (self.paths.clone(), Arc::new(keep));
        let router = Router::new().fallback(async move |method: Method, uri: Uri| {
            if method != Method::GET || !paths.load().iter().any(|path| path == uri.path()) {
                return page::not_found();
            }
            let query = uri.query().unwrap_or_default();
            receive(query, &*keep).await.reply(query)
        });
        http::serve_always(std::slice::from_ref(&self.listener), &router, Bounds::ONE_REQUEST).await;
    }
}

/// The outcome of the answer in `query`: `keep` gets its `state` and the query, and runs to its end even if the browser
/// hangs up.
pub async fn receive<F>(query: &str, keep: impl Fn(String, String) -> F) -> Received
where
    F: Future<Output: Into<Received> + Send> + Send + 'static,
{
    // An administrator's answer ends no sign-in, so none is looked up; the answer itself is not trusted, because anyone
    // can make one up.
    if let Some(answer) = AdminConsent::of(query) {
        return Received::Administrator(answer);
    }
    let Some(state) = state_of(query) else { return Received::NotExpected };
    let keeping = keep(state.expose().to_owned(), query.to_owned());
    tokio::spawn(keeping).await.map_or(Received::NotExpected, Into::into)
}

/// The outcome of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A command waits for the answer, and gets it.
    Kept,
    /// The sign-in began on the page: the browser takes the answer on to this address.
    Onwards(String),
    /// The answer is from an administrator who was asked to consent for everyone.
    Administrator(AdminConsent),
    /// It is not known at the moment whether a sign-in waits for the answer.
    Away,
    /// No sign-in waits for the answer.
    NotExpected,
}

/// Whether a command gets the answer.
impl From<bool> for Received {
    fn from(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::NotExpected }
    }
}

impl Received {
    /// The answer to the browser that brought `query`.
    pub fn reply(self, query: &str) -> Response {
        match self {
            Self::Kept => page::notice(
                StatusCode::OK,
                "Sign-in received",
                "You may close this page; the command in the terminal goes on.",
            ),
            Self::Onwards(address) => page::onwards(&format!("{address}?{query}")),
            Self::Administrator(answer) => page::of_unasked_administrator(answer),
            Self::Away => page::notice(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not just now",
                "The sign-in cannot be looked up just now. Load this page again in a minute: its address holds the answer.",
            ),
            Self::NotExpected => page::not_expected(),
        }
    }
}
