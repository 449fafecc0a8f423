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
use tokio::net::TcpListener;

use super::page::{self, Page};
use crate::http;
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

    /// Passes each answer's `state` and query to `keep`, which returns whether a sign-in waits for it. `keep`
    /// runs to its end even if the browser hangs up. Runs until the future is dropped.
    pub async fn serve<F>(&self, keep: impl Fn(String, String) -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let (paths, keep) = (self.paths.clone(), Arc::new(keep));
        let router = Router::new().fallback(async move |method: Method, uri: Uri| {
            if method != Method::GET || !paths.load().iter().any(|path| path == uri.path()) {
                return page::not_found();
            }
            let query = uri.query().unwrap_or_default();
            // An administrator's answer ends no sign-in, so no sign-in is looked up, and the answer may be made up.
            if let Some(answer) = AdminConsent::of(query) {
                return page::of_unasked_administrator(answer);
            }
            let kept = match state_of(query) {
                Some(state) => {
                    let keeping = keep(state.expose().to_owned(), query.to_owned());
                    tokio::spawn(keeping).await.unwrap_or(false)
                }
                None => false,
            };
            received(kept)
        });
        http::serve_always(std::slice::from_ref(&self.listener), &router).await;
    }
}

fn received(kept: bool) -> Page {
    match kept {
        true => page::notice(
            StatusCode::OK,
            "Sign-in received",
            "You may close this page; the command in the terminal goes on.",
        ),
        false => page::notice(
            StatusCode::BAD_REQUEST,
            "Not expected",
            "No sign-in waits for this answer. Start it again in the terminal.",
        ),
    }
}
