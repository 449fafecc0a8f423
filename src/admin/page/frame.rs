//! The frame of every page: head, navigation, and the result of the last act; and the pages of one sentence.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::remedies;
use crate::admin::once::ONCE;
use crate::admin::visit::{FORM_TOKEN, Visit};
use crate::admin::visitors::{NotKnown, Visitor};
use crate::control::Error;
use crate::secret::random_text;
use crate::text::one_line;

/// The parts of the page that the navigation names: address and title.
const PARTS: [(&str, &str); 4] =
    [("/", "Accounts"), ("/sessions", "Sessions"), ("/activity", "Activity"), ("/add", "Add")];

/// A page of a session.
pub(super) struct Frame<'a> {
    /// The title of the browser's window.
    pub(super) title: &'a str,
    pub(super) visitor: &'a Visitor,
    /// The address of the part that the page belongs to.
    pub(super) part: &'a str,
    pub(super) said: Option<Markup>,
    /// The number of seconds after which a browser without scripts reloads the page.
    pub(super) reload: Option<u32>,
}

impl<'a> Frame<'a> {
    /// A page about accounts, without a message.
    pub(super) fn of(visitor: &'a Visitor, title: &'a str) -> Self {
        Self { title, visitor, part: "/", said: None, reload: None }
    }

    /// The whole page.
    pub(super) fn around(&self, content: &Markup) -> Response {
        let body = html! {
            a.skip href="#main" { "Skip to the content" }
            header {
                div.bar {
                    a.name href="/" { "Mail proxy" }
                    nav aria-label="Parts" {
                        @for (address, title) in PARTS {
                            a href=(address) aria-current=[(address == self.part).then_some("page")] { (title) }
                        }
                    }
                    form.leave method="post" action="/leave" {
                        (token(self.visitor))
                        span.who title={ "Session " (self.visitor.session) } {
                            (text(self.visitor.opened_by.user.as_deref().unwrap_or("unknown")))
                        }
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
            main id="main" tabindex="-1" {
                @if let Some(said) = &self.said { (said) }
                (content)
            }
        };
        respond(StatusCode::OK, self.title, self.reload, &body)
    }
}

impl Visit {
    /// A page of the `part`, with the message of the visitor's last act.
    pub(super) async fn page(&self, part: &str, title: &str, content: &Markup) -> Response {
        let said = self.site.said(&self.visitor, &self.query).await;
        Frame { part, said, ..Frame::of(&self.visitor, title) }.around(content)
    }

    /// The page for an error.
    pub(super) fn failure(&self, error: &Error) -> Response {
        let content = html! { h1 { "Not possible" } p { a.button href="/" { "To the accounts" } } };
        let status = match error {
            Error::NoAccount { .. } | Error::OnlyItsDomain { .. } => StatusCode::NOT_FOUND,
            // Not 200: a device that asks for a profile would take the page for one.
            _ => StatusCode::CONFLICT,
        };
        let said = Some(remedies::failed(error).shown());
        let frame = Frame { part: "", said, ..Frame::of(&self.visitor, "Not possible") };
        (status, frame.around(&content)).into_response()
    }

    /// The page for an address that does not exist, inside a session.
    pub(super) fn nothing_there(&self, text: &str) -> Response {
        let content = html! { h1 { "Not found" } p { (text) } p { a.button href="/" { "To the accounts" } } };
        let frame = Frame { part: "", ..Frame::of(&self.visitor, "Not found") };
        (StatusCode::NOT_FOUND, frame.around(&content)).into_response()
    }
}

/// The hidden fields of each form.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! {
        input type="hidden" name=(FORM_TOKEN) value=(visitor.form_token);
        input type="hidden" name=(ONCE) value=(random_text::<12>());
    }
}

/// A text from outside, without characters that hide or reorder others.
pub(super) fn text(text: &str) -> String {
    one_line(text)
}

fn respond(status: StatusCode, title: &str, reload: Option<u32>, body: &Markup) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                meta name="color-scheme" content="light dark";
                title { (title) " · Mail proxy" }
                link rel="icon" type="image/svg+xml" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                @if let Some(seconds) = reload {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
                script src="/live.js" defer {}
            }
            body { (body) }
        }
    };
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html.into_string()).into_response()
}

/// A page without a session.
pub(in crate::admin) fn plain(status: StatusCode, title: &str, content: &Markup) -> Response {
    let body = html! {
        main.alone id="main" {
            h1 { (title) }
            (content)
        }
    };
    respond(status, title, None, &body)
}

/// A page of one sentence.
pub(in crate::admin) fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    plain(status, title, &html! { p { (text) } p { a href="/" { "To the page" } } })
}

/// How a person gets a session.
pub(in crate::admin) fn how_to_enter() -> Markup {
    html! {
        p { "To open the page, run this on the machine of the mail proxy, as the user of its service or as root:" }
        p { code.command { "imap-oauth-proxy admin" } }
        p.muted { "The command prints an address that opens the page once, within five minutes." }
    }
}

/// The page for a browser without a session.
pub(in crate::admin) fn no_session(status: StatusCode) -> Response {
    plain(status, "Mail proxy", &how_to_enter())
}

/// The page for the case that the store cannot say whether the browser has a session, or whether an entrance is open.
pub(in crate::admin) fn not_known(why: &NotKnown) -> Response {
    match why {
        NotKnown::Away => {
            let text = "The store of the mail proxy does not answer, so nothing was done. Load this page again in a minute.";
            notice(StatusCode::SERVICE_UNAVAILABLE, "Not just now", text)
        }
        NotKnown::TooMany => {
            let text = "Too many requests come without a right. Load this page again in a minute.";
            notice(StatusCode::TOO_MANY_REQUESTS, "Not just now", text)
        }
    }
}
