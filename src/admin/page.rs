//! The page: what an administrator sees and does in a browser, rendered here whole, without a script. The one script
//! brings parts of it up to date.
//!
//! It is a surface: it asks `control`, and says the outcome as headings, sentences and buttons. Texts from outside
//! pass maud's escaping, and [`text`] removes what would hide or reorder them.

mod account;
mod activity;
mod acts;
mod add;
mod aliases;
mod checks;
mod confirm;
mod consents;
mod endings;
mod frame;
mod limits;
mod list;
mod passwords;
mod reload;
mod remedies;
mod sessions;
mod setup;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::site::Site;
use crate::http::routing::{get, post};

pub(super) use add::Added;
pub(super) use checks::Checks;
pub(super) use frame::{how_to_enter, no_session, not_known, notice, plain};
pub(super) use words::{account_path, show_at};

const STYLE: &str = include_str!("page/style.css");
const ICON: &str = include_str!("page/icon.svg");
const SCRIPT: &str = include_str!("page/live.js");

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(list::show))
        .route("/accounts/{name}", get(account::show))
        .route("/accounts/{name}/authorise", post(consents::again))
        .route("/accounts/{name}/link", post(consents::link))
        .route("/authorise", post(consents::new))
        .route("/accounts/{name}/check", post(checks::begin))
        .route("/accounts/{name}/password", post(passwords::create))
        .route("/accounts/{name}/limits", get(limits::show).merge(post(limits::change)))
        .route("/accounts/{name}/alias", post(aliases::add))
        .route("/accounts/{name}/unalias", post(aliases::remove))
        .route(
            "/accounts/{name}/revoke-password",
            get(passwords::confirm_revocation).merge(post(passwords::revoke)),
        )
        .route("/accounts/{name}/disable", post(acts::disable))
        .route("/accounts/{name}/enable", post(acts::enable))
        .route("/accounts/{name}/revoke", get(acts::confirm_revocation).merge(post(acts::revoke)))
        .route("/accounts/{name}/remove", get(acts::confirm_removal).merge(post(acts::remove)))
        .route("/accounts/{name}/setup", get(setup::show))
        .route("/setup/{file}", get(setup::file))
        .route("/checks/{id}", get(checks::show))
        .route("/sessions", get(sessions::show))
        .route("/sessions/close", post(sessions::close))
        .route("/reload", post(reload::reload))
        .route("/activity", get(activity::show))
        .route("/add", get(add::show).merge(post(add::add)))
        .route("/style.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/icon.svg", get(async || file("image/svg+xml", ICON)))
        .route("/live.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
}

/// The routes without a session, under every name: the set-up file that is the same for every address.
pub(super) fn routes_for_all() -> Router<Arc<Site>> {
    Router::new().route("/.well-known/autoconfig/mail/config-v1.1.xml", get(setup::of_all))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}
