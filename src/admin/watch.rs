//! HTTP for monitoring, without a sign-in: `/healthz` (the process lives), `/readyz` (a login can succeed),
//! `/metrics`. GET only; no part of the request is echoed, and nothing is changed.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::control::serving::{Running, Unready};
use crate::http::routing::get;
use crate::http::{self, Bounds};
use crate::metrics::CONTENT_TYPE;

pub(super) fn router(running: &Arc<Running>) -> Router {
    health_routes(running).merge(metrics_route(running))
}

/// `/healthz` and `/readyz`.
pub(super) fn health_routes(running: &Arc<Running>) -> Router {
    Router::new()
        .route("/healthz", get(async || plain(StatusCode::OK, "the process is up")))
        .route("/readyz", get(readyz))
        .with_state(running.clone())
}

/// `/metrics`.
pub(super) fn metrics_route(running: &Arc<Running>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(running.clone())
}

/// Answers until the future is dropped.
pub(super) async fn serve(listener: Arc<TcpListener>, router: Router) {
    http::serve_always(std::slice::from_ref(&*listener), &router, Bounds::ONE_REQUEST).await;
}

async fn metrics(State(running): State<Arc<Running>>) -> Response {
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, running.metrics().await).into_response()
}

async fn readyz(State(running): State<Arc<Running>>) -> Response {
    match running.readiness().await {
        Ok(ready) => plain(StatusCode::OK, &ready.to_string()),
        // Anyone may ask: the database's own words, with its place in them, are for `imap-oauth-proxy health`.
        Err(Unready::Store(_)) => plain(StatusCode::SERVICE_UNAVAILABLE, "its store does not answer"),
        Err(unready @ Unready::Stopping) => plain(StatusCode::SERVICE_UNAVAILABLE, &unready.to_string()),
    }
}

fn plain(status: StatusCode, line: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{line}\n")).into_response()
}
