//! The API for programs, `/api/v1`: the shapes of the commands' `--json`, read and changed with a bearer token, or with
//! the page's session.
//!
//! A surface: it asks `control` and answers JSON. Invariants: each route has a [`caller::Reader`] or a
//! [`caller::Writer`], which judge the request's right before anything is read or done; every refusal is one shape
//! ([`problem::Problem`]); no answer holds a stored secret. `openapi.json` describes all of it, and tests/admin_api.rs
//! holds the answers against that file.

mod accounts;
mod caller;
mod checks;
mod config;
mod events;
mod grants;
mod input;
mod passwords;
mod problem;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use self::problem::Problem;
use super::guard;
use super::site::Site;
use crate::http::routing::{delete, get, patch, post};

/// Where the API is.
pub(super) const BASE: &str = "/api/v1";

const DESCRIPTION: &str = include_str!("api/openapi.json");

/// All routes of the API.
pub(super) fn routes(site: &Arc<Site>) -> Router {
    let routes = Router::new()
        .route("/accounts", get(accounts::list).merge(post(accounts::add)))
        .route(
            "/accounts/{account}",
            get(accounts::one).merge(patch(accounts::change)).merge(delete(accounts::remove)),
        )
        .route("/accounts/{account}/aliases", post(accounts::alias))
        .route("/accounts/{account}/aliases/{alias}", delete(accounts::unalias))
        .route("/grants", get(grants::list).merge(post(grants::import)))
        .route("/grants/{account}", get(grants::one).merge(delete(grants::revoke)))
        .route("/grants/{account}/refresh", post(grants::refresh))
        .route("/grants/{account}/sign-in-link", post(grants::sign_in_link))
        .route("/passwords", get(passwords::list).merge(post(passwords::create)))
        .route(
            "/passwords/{account}/{name}",
            get(passwords::one).merge(patch(passwords::limit)).merge(delete(passwords::revoke)),
        )
        .route("/sessions", get(sessions::list).merge(delete(sessions::close_all)))
        .route("/sessions/{id}", delete(sessions::close))
        .route("/events", get(events::list))
        .route("/config", get(config::show))
        .route("/config/reload", post(config::reload))
        .route("/checks", post(checks::check))
        .route("/openapi.json", get(describe))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(site.clone(), judge))
        .with_state(site.clone());
    Router::new().nest(BASE, routes)
}

/// The answer to a request that is too large, or too slow; `None` if it is none to the API.
pub(super) fn refuse(uri: &Uri, status: StatusCode) -> Option<Response> {
    let is_ours = uri.path().strip_prefix(BASE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_ours.then(|| Problem::bounded(status).into_response())
}

/// The answer to a request whose task has ended by itself.
fn ended() -> Response {
    Problem::failed("something went wrong here; the log of serve has the reason").into_response()
}

/// The description holds no data of this installation, so it needs no right.
async fn describe() -> Response {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

async fn nothing(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {BASE}{}", crate::text::one_line(uri.path())))
}

async fn other_method(method: Method) -> Problem {
    Problem::method(&method)
}

/// Lets requests to a name of ours through, as the page does. What is begun goes on although the program hangs up.
async fn judge(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if !guard::is_for_us(&site, &request) {
        return Problem::misdirected(&site.running.page_url().unwrap_or_default()).into_response();
    }
    match [Method::GET, Method::HEAD].contains(request.method()) {
        true => next.run(request).await,
        false => guard::act(&site, request, next, ended).await,
    }
}
