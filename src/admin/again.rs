//! The page of a sign-in link: who signs in to what, and a button. To open the page changes nothing, because mail
//! scanners and browsers open links on their own; the button begins the consent. The page needs no session and gives
//! none: the link is good for nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::consent;
use super::guard;
use super::page;
use super::site::Site;
use crate::control::serving::{Dead, NoConsent, OfLink};
use crate::http::routing::{get, post};
use crate::secret::Secret;
use crate::text::one_line;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/again/{token}", get(show).merge(post(begin)))
}

async fn show(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    let OfLink { account, owner, provider } = match site.running.of_link(&token).await {
        Ok(of_link) => of_link,
        Err(why) => return refuse(why),
    };
    let content = html! {
        p { "The mail of " strong { (one_line(&account)) } " is read and sent with the sign-in of "
            strong { (one_line(&owner)) } " at " (provider) ", which is missing, has ended or will end soon." }
        form method="post" action={ "/again/" (token) } {
            button.main type="submit" autofocus { "Sign in at " (provider) }
        }
        p.muted { "You give your password to " (provider) " only. A sign-in as another person changes nothing." }
    };
    page::plain(StatusCode::OK, "Sign in again", &content)
}

async fn begin(State(site): State<Arc<Site>>, Path(token): Path<String>, request: Request) -> Response {
    let visitor = guard::browser(&site, request.headers(), request.uri());
    let back = Secret::new(format!("/again/{token}"));
    match site.running.begin_by_link(&token, visitor, back).await {
        Ok(begun) => consent::lead_on(&begun),
        Err(why) => refuse(why),
    }
}

fn refuse(why: NoConsent) -> Response {
    let (status, title, text) = match why {
        NoConsent::Dead(Dead::Unknown) => (
            StatusCode::NOT_FOUND,
            "This link has ended",
            "The account was signed in since this link was made, or the link is too old. If the mail program still \
             has an error, let it log in once more: its new error has a new link."
                .to_owned(),
        ),
        NoConsent::Dead(Dead::UsedUp) => (
            StatusCode::GONE,
            "This link was used too often",
            "No more sign-ins begin with it. From tomorrow on the error of the mail program has a new link; until \
             then, ask the administrator of the mail proxy."
                .to_owned(),
        ),
        NoConsent::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many attempts",
            "Wait a minute, and open the link of the mail program's error again.".to_owned(),
        ),
        NoConsent::NotMended { account } => (
            StatusCode::CONFLICT,
            "A sign-in does not help here",
            format!("{} needs the administrator of the mail proxy.", one_line(&account)),
        ),
        NoConsent::Failed(error) => return consent::failed_to_begin(&error),
    };
    page::plain(status, title, &html! { p { (text) } }).into_response()
}
