//! The way into the page and out of it. The address of an entrance is shown by a command and is good for one use: a
//! look at it (by a scanner, or by a browser that loads ahead) shows a button, and the button uses it up.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::html;
use time::OffsetDateTime;
use tracing::info;

use super::page;
use super::site::Site;
use super::visit::{self, Posted};
use super::visitors::{NotKnown, is_formed};
use crate::control::misses::Judged;
use crate::store::ShortLivedKind;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/enter/{token}", get(show).post(enter)).route("/leave", post(leave))
}

async fn show(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    match is_invited(&site, &token).await {
        Ok(true) => {}
        Ok(false) => return used(),
        Err(why) => return page::not_known(&why),
    }
    let content = html! {
        p { "This address opens the administration of this mail proxy, once." }
        form method="post" action={ "/enter/" (token) } { button.main type="submit" autofocus { "Open the page" } }
    };
    page::plain(StatusCode::OK, "Mail proxy", &content)
}

async fn is_invited(site: &Site, token: &str) -> Result<bool, NotKnown> {
    let Some(now) = now(site, token).await? else { return Ok(false) };
    site.visitors.is_invited(token, now).await
}

/// The store's time for a look at an entrance; `None` if `token` is none. Each costs the store, so both are judged before.
async fn now(site: &Site, token: &str) -> Result<Option<OffsetDateTime>, NotKnown> {
    if !is_formed(token) {
        return Ok(None);
    }
    match site.visitors.judge(ShortLivedKind::Entrance, token) {
        Judged::Gone => Ok(None),
        Judged::TooMany => Err(NotKnown::TooMany),
        Judged::Look => Ok(Some(site.visitors.now().await?)),
    }
}

/// Begins a session. That of the same browser ends: its cookie is replaced, so no one could end it any more.
async fn enter(State(site): State<Arc<Site>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let entered = async {
        let Some(now) = now(&site, &token).await? else { return Ok(None) };
        site.visitors.enter(&token, now).await
    };
    let (cookie, visitor) = match entered.await {
        Ok(Some(entered)) => entered,
        Ok(None) => return used(),
        Err(why) => return page::not_known(&why),
    };
    if let Ok(Some(before)) = visit::find(&site, &headers).await
        && site.visitors.leave(&before).await.is_ok()
    {
        info!(session = before.session, "the session has ended, because its browser has begun another one");
    }
    info!(session = visitor.session, user = visitor.opened_by.user, "a person has opened the page");
    let secure = if site.is_https() { "; Secure" } else { "" };
    let cookie = format!("{}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}", site.cookie());
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// The cookie goes only with the session: who has copied it could use a session that goes on.
async fn leave(State(site): State<Arc<Site>>, posted: Posted) -> Response {
    if let Err(why) = site.visitors.leave(&posted.visitor).await {
        return page::not_known(&why);
    }
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
