//! The list of accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::html;

use super::frame::{Frame, no_session};
use crate::admin::site::Site;
use crate::admin::visit;

pub(super) async fn show(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let Some(visitor) = visit::find(&site, &headers) else { return no_session(StatusCode::OK) };
    let frame = Frame { title: "Accounts", visitor: &visitor, part: "/", said: None, reload: None };
    frame.around(&html! { h1 { "Accounts" } })
}
