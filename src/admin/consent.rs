//! The pages of a consent in the browser: the way to the provider, the answer, and the outcome.
//!
//! A button begins one with `Running::begin_consent` (or `begin_by_link`) for the browser that [`guard::browser`] finds,
//! and answers with [`lead_in`] (or [`lead_on`]).
//!
//! Every page but the first needs the key of the browser that began the consent, which is in a cookie of its own. That
//! cookie is SameSite=Lax, because the browser comes back from the provider.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{HeaderName, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::guard;
use super::page;
use super::site::Site;
use super::visit;
use crate::control::Error;
use crate::control::consents::{ANSWER, Begun, CONSENT, NotTaken, Outcome, Stage, View};
use crate::http::routing::{get, post};
use crate::secret::Secret;
use crate::text::one_line;

/// How long a page waits for the end of a consent before it says that it is not over yet.
const PATIENCE: Duration = Duration::from_secs(8);
/// Sends the browser on by itself, without a script.
const REFRESH: HeaderName = HeaderName::from_static("refresh");
/// The life of the key's cookie; the key is useless afterwards.
const COOKIE_SECONDS: u32 = 600;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route(ANSWER, get(answer)).route(&format!("{CONSENT}/{{id}}"), get(show).merge(post(paste)))
}

/// The answer to the button of a sign-in link: the browser gets its key, and goes to the provider or to the consent's
/// page. A provider may send it on to further hosts, which no list knows, so the button's page lets it go anywhere.
pub(super) fn lead_on(begun: &Begun) -> Response {
    match &begun.url {
        Some(url) => with_key(begun, url.as_str()),
        None => lead_in(begun),
    }
}

/// The answer to a button on another page: the browser gets its key, and goes to the consent's page, which sends it on
/// to the provider. So that other page needs to let no form leave this server.
pub(super) fn lead_in(begun: &Begun) -> Response {
    with_key(begun, &format!("{CONSENT}/{}", begun.id))
}

fn with_key(begun: &Begun, to: &str) -> Response {
    let secure = if begun.origin.starts_with("https:") { "; Secure" } else { "" };
    let cookie = format!(
        "{}={}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(&begun.id),
        begun.key.expose()
    );
    ([(SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// The page for a consent that cannot begin.
pub(super) fn failed_to_begin(error: &Error) -> Response {
    page::plain(
        StatusCode::BAD_GATEWAY,
        "The sign-in cannot begin",
        &html! {
            p { (one_line(&error.to_string())) "." }
            p { "Nothing was changed. Try again later, or ask the administrator of the mail proxy." }
        },
    )
}

/// Takes the redirects of providers before any page of this server with the same path: a redirect has a `state`.
pub(super) async fn take_redirects(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let has_state = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "state");
    let is_redirect = has_state
        && request.method() == Method::GET
        && request.uri().path() != ANSWER
        && site.running.is_redirected_to(request.uri().path());
    if !is_redirect {
        return next.run(request).await;
    }
    if !guard::comes_to_redirect(&site, &request) {
        return guard::elsewhere(&site);
    }
    site.running.receive(query).await.reply(query)
}

async fn answer(State(site): State<Arc<Site>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    match site.running.take_answer(&query, |id| key(&headers, id)).await {
        // The address with the code leaves the browser's history.
        Ok(id) => Redirect::to(&format!("{CONSENT}/{id}")).into_response(),
        Err(why) => not_taken(&why),
    }
}

async fn show(State(site): State<Arc<Site>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match site.running.consents.view(&id, key(&headers, &id).as_ref(), PATIENCE).await {
        Ok(view) => shown(&id, &view, None),
        Err(why) => not_taken(&why),
    }
}

async fn paste(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut fields = url::form_urlencoded::parse(&body);
    let text = fields.find(|(name, _)| name == "address").map(|(_, value)| value.into_owned());
    let key = key(&headers, &id);
    match site.running.take_pasted(&id, key.as_ref(), &text.unwrap_or_default()).await {
        Ok(()) => Redirect::to(&format!("{CONSENT}/{id}")).into_response(),
        Err(NotTaken::Pasted(why)) => match site.running.consents.view(&id, key.as_ref(), PATIENCE).await {
            Ok(view) => shown(&id, &view, Some(&NotTaken::Pasted(why))),
            Err(why) => not_taken(&why),
        },
        Err(why) => not_taken(&why),
    }
}

fn shown(id: &str, view: &View, fault: Option<&NotTaken>) -> Response {
    let View { account, owner, provider, back, stage } = view;
    let (account, owner) = (one_line(account), one_line(owner));
    match stage {
        Stage::Waiting { url, pastes: false } => {
            let content = html! {
                p { "Sign in at " (provider) " as " strong { (owner) } ". Your browser comes back here by itself." }
                p { a.button.main href=(url) { "Go to " (provider) } }
            };
            let onwards = [(REFRESH, format!("0; url={url}"))];
            (onwards, page::plain(StatusCode::OK, "Sign in", &content)).into_response()
        }
        Stage::Waiting { url, pastes: true } => {
            let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            page::plain(status, "Sign in", &paste_form(id, provider, &owner, url.as_str(), fault))
        }
        Stage::Working => {
            let content = html! { p { "The answer of " (provider) " is checked, and the mailbox is tried. This takes a moment." } };
            ([(REFRESH, "1".to_owned())], page::plain(StatusCode::OK, "One moment", &content)).into_response()
        }
        Stage::Done(Outcome::Stored) => {
            let content = html! {
                p { "Signed in as " strong { (owner) } "." }
                p { "The mail program of " strong { (account) } " can connect now. You can close this window." }
                @if back.as_ref().is_some_and(is_of_page) {
                    p { a.button href=(page::account_path(&view.account)) { "To the account" } }
                }
            };
            page::plain(StatusCode::OK, "Signed in", &content)
        }
        Stage::Done(outcome) => {
            page::plain(StatusCode::OK, "Not signed in", &failed(outcome, provider, back.as_ref()))
        }
    }
}

/// Whether the consent began on the administrator's page, and not by a sign-in link.
fn is_of_page(back: &Secret) -> bool {
    back.expose().starts_with("/accounts/") || back.expose().starts_with("/add?")
}

fn paste_form(id: &str, provider: &str, owner: &str, url: &str, fault: Option<&NotTaken>) -> Markup {
    html! {
        @if let Some(fault) = fault {
            div.said.failed role="alert" { p { span.mark aria-hidden="true" { "!" } " " (one_line(&fault.to_string())) "." } }
        }
        p { "This takes two steps, because " (provider) " sends the browser to an address of the mail proxy's machine, which yours cannot open." }
        ol {
            li { a href=(url) target="_blank" rel="noreferrer noopener" { "Sign in at " (provider) } " as " strong { (owner) } ", in a window of its own." }
            li { "That window ends at a page that cannot be shown. Copy its whole address from the address bar, and paste it here." }
        }
        form method="post" action={ (CONSENT) "/" (id) } {
            label for="address" { "Address of that page" }
            input id="address" name="address" type="text" required autocomplete="off" spellcheck="false";
            button.main type="submit" { "Go on" }
        }
    }
}

/// Why the consent failed, in words for the person in front of the browser.
fn failed(outcome: &Outcome, provider: &str, back: Option<&Secret>) -> Markup {
    html! {
        @match outcome {
            Outcome::Stored => {}
            Outcome::AnotherPerson { names, owner } => {
                p { "You signed in as " strong { (one_line(&names.join(" or "))) } ", and this is the mail of "
                    strong { (one_line(owner)) } ". Nothing was stored." }
                p { "Sign out at " (provider) " first, or use a private window." }
            }
            Outcome::Failed { why, .. } => { p { (one_line(why)) "." } p { "Nothing was stored." } }
        }
        @if let Outcome::Failed { approval: Some(link), .. } = outcome {
            p { "An administrator of your organisation opens this once and accepts: " a href=(link) rel="noreferrer" { (link) } }
        }
        @if let Some(back) = back { p { a.button href=(back.expose()) { "Try again" } } }
    }
}

fn not_taken(why: &NotTaken) -> Response {
    let status = match why {
        NotTaken::OtherBrowser => StatusCode::FORBIDDEN,
        NotTaken::Away => StatusCode::SERVICE_UNAVAILABLE,
        NotTaken::TooMany => StatusCode::TOO_MANY_REQUESTS,
        NotTaken::Unknown | NotTaken::Pasted(_) => StatusCode::NOT_FOUND,
    };
    if let NotTaken::Away | NotTaken::TooMany = why {
        return page::plain(status, "Not just now", &html! { p { (one_line(&why.to_string())) "." } });
    }
    let content = html! {
        p { (one_line(&why.to_string())) "." }
        p { "Begin the sign-in again, in this browser: with the link of the mail program's error, or on the account's page." }
    };
    page::plain(status, "Not this sign-in", &content)
}

fn cookie_name(id: &str) -> String {
    format!("consent-{id}")
}

/// This browser's key for the consent called `id`.
fn key(headers: &HeaderMap, id: &str) -> Option<Secret> {
    visit::cookies(headers, &cookie_name(id)).next().map(Secret::new)
}
