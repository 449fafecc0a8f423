//! The page: what an administrator sees and does in a browser, rendered here whole, without a script. The one script
//! brings parts of it up to date.
//!
//! It is a surface: it asks `control`, and says the outcome as headings, sentences and buttons. Texts from outside
//! pass maud's escaping, and [`text`] removes what would hide or reorder them.

mod frame;
mod home;

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::site::Site;

pub(super) use frame::{how_to_enter, no_session, notice, plain};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/live.js");

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(home::show))
        .route("/style.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/live.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}
