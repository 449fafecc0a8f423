//! The way into the page and out of it. A command shows the address of an entrance, which is good for one use. To open
//! the address uses nothing up, because scanners and browsers may open it in advance; only the button on it does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use time::OffsetDateTime;
use tracing::info;

use super::page;
use super::site::Site;
use super::visit::{self, Posted};
use super::visitors::{NotKnown, is_formed};
use crate::control::misses::Judged;
use crate::http::routing::{get, post};
use crate::store::ShortLivedKind;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/enter/{token}", get(show).merge(post(enter))).route("/leave", post(leave))
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

/// The store's time, for a look at the entrance with this `token`; `None` if `token` does not have the form of one.
/// Form and number of the looks are checked first, because each look costs the store.
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
    to_the_page(&site, &cookie, "")
}

/// Removes the cookie only if the session has ended: a copy of the cookie would open a session that goes on.
async fn leave(Posted { visit, .. }: Posted) -> Response {
    match visit.site.visitors.leave(&visit.visitor).await {
        Ok(()) => to_the_page(&visit.site, "", " Max-Age=0;"),
        Err(why) => page::not_known(&why),
    }
}

fn to_the_page(site: &Site, cookie: &str, life: &str) -> Response {
    let secure = if site.is_https() { "; Secure" } else { "" };
    let cookie = format!("{}={cookie}; Path=/;{life} HttpOnly; SameSite=Strict{secure}", site.cookie());
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn used() -> Response {
    let content = html! {
        p { "This address has been used, or its five minutes are over." }
        (page::how_to_enter())
    };
    page::plain(StatusCode::GONE, "Not open any more", &content)
}
