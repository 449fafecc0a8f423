//! The way into the page and out of it. The address of an entrance is shown by a command and is good for one use: a
//! look at it (by a scanner, or by a browser that loads ahead) shows a button, and the button uses it up.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::html;
use tracing::info;

use super::page;
use super::site::Site;
use super::visit::Posted;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/enter/{token}", get(show).post(enter)).route("/leave", post(leave))
}

async fn show(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    let is_invited = match site.visitors.now().await {
        Ok(now) => site.visitors.is_invited(&token, now).await,
        Err(_) => false,
    };
    if !is_invited {
        return used();
    }
    let content = html! {
        p { "This address opens the administration of this mail proxy, once." }
        form method="post" action={ "/enter/" (token) } { button.main type="submit" autofocus { "Open the page" } }
    };
    page::plain(StatusCode::OK, "Mail proxy", &content)
}

async fn enter(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    let Ok(now) = site.visitors.now().await else { return used() };
    let Some((cookie, visitor)) = site.visitors.enter(&token, now).await else { return used() };
    info!(session = visitor.session, user = visitor.opened_by.user, "a person has opened the page");
    let secure = if site.is_https() { "; Secure" } else { "" };
    let cookie = format!("{}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}", site.cookie());
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn leave(State(site): State<Arc<Site>>, posted: Posted) -> Response {
    site.visitors.leave(&posted.visitor).await;
    let secure = if site.is_https() { "; Secure" } else { "" };
    let cookie = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}", site.cookie());
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn used() -> Response {
    let content = html! {
        p { "This address has been used, or its five minutes are over." }
        (page::how_to_enter())
    };
    page::plain(StatusCode::GONE, "Not open any more", &content)
}
