//! The authorisation server: RFC 6749 with PKCE, RFC 8628, RFC 7009, RFC 7523, OpenID Connect's id_token and
//! userinfo, as at Google or Microsoft.
//!
//! `/authorize`, `/token`, `/device`, `/revoke`, `/userinfo` and the discovery document; Microsoft's
//! `/{tenant}/oauth2/v2.0/…` and Google's `/o/oauth2/v2/auth` are aliases.

pub(crate) mod answer;
mod assertion;
mod authorize;
mod device;
pub(crate) mod grant;
mod line;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;

use crate::state::Shared;

/// Serves until its task is aborted.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, shared: Arc<Shared>) {
    let service = router(shared).into_make_service_with_connect_info::<line::Cut>();
    // axum's accept loop has no error to return.
    let _ = axum::serve(line::Listener::new(listener, tls), service).await;
}

fn router(shared: Arc<Shared>) -> Router {
    let authorize = || get(authorize::show).post(authorize::decide);
    Router::new()
        .route("/authorize", authorize())
        .route("/o/oauth2/v2/auth", authorize())
        .route("/{tenant}/oauth2/v2.0/authorize", authorize())
        .route("/token", post(token::exchange))
        .route("/{tenant}/oauth2/v2.0/token", post(token::exchange))
        .route("/device", post(device::begin))
        .route("/device/code", post(device::begin))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device::begin))
        .route("/devicelogin", get(device::page).post(device::decide))
        .route("/revoke", post(userinfo::revoke))
        .route("/userinfo", get(userinfo::show))
        .route("/.well-known/openid-configuration", get(userinfo::discovery))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(userinfo::discovery))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), watch_for_canaries))
        .with_state(shared)
}

/// Searches addresses and headers for forbidden secrets. Bodies are searched where they are read.
async fn watch_for_canaries(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    read_form(&shared, request.uri().to_string().as_bytes(), "an HTTP address");
    for value in request.headers().values() {
        shared.scan(value.as_bytes(), "an HTTP header");
    }
    next.run(request).await
}

/// Reads a form, and searches it for forbidden secrets, encoded and decoded.
fn read_form(shared: &Shared, encoded: &[u8], place: &str) -> Fields {
    let fields = Fields::parse(encoded);
    if !shared.scan(encoded, place) {
        let mut texts = fields.0.iter().flat_map(|(name, value)| [name, value]);
        texts.any(|text| shared.scan(text.as_bytes(), place));
    }
    fields
}

/// A decoded form or query, in order.
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first value of this name that is not empty (RFC 6749 §3.1: an empty one counts as absent).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn html(status: StatusCode, page: maud::Markup) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    (status, headers, page.into_string()).into_response()
}

fn json(status: u16, body: &serde_json::Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::from_u16(status).expect("a status"), headers, body.to_string()).into_response()
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
