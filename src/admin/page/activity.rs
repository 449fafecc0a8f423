//! The audit trail as a page: each act and its actor, the newest first.

use axum::response::Response;
use maud::{Markup, html};
use time::OffsetDateTime;

use super::frame::text;
use super::words::{account_path, encoded, first_upper, when};
use crate::admin::visit::Visit;
use crate::store::{Actor, TrailEntry};

/// The entries of a page.
const SIZE: u32 = 50;

pub(super) async fn show(visit: Visit) -> Result<Response, Response> {
    let account = Some(visit.query.one("account")).filter(|account| !account.is_empty());
    let before = visit.query.one("before").parse().ok();
    let trail = visit.installation().store.latest(account, before, SIZE).await;
    let trail = trail.map_err(|error| visit.failure(&error.into()))?;
    Ok(visit.page("/activity", "Activity", &page(&trail, account, before.is_some())).await)
}

fn page(trail: &[TrailEntry], account: Option<&str>, is_later_page: bool) -> Markup {
    let now = OffsetDateTime::now_utc();
    let of_account = account.map(|account| format!("&account={}", encoded(account))).unwrap_or_default();
    let older = trail.last().filter(|_| trail.len() == SIZE as usize);
    html! {
        div.head {
            h1 { "Activity" @if let Some(account) = account { " of " (text(account)) } }
            @if account.is_some() || is_later_page { div.actions { a.button href="/activity" { "The newest of all" } } }
        }
        section.card {
            @if trail.is_empty() { p.muted { "Nothing is recorded. What people do on this page and on the command line appears here." } }
            @else { (table(trail, now, account.is_none())) }
        }
        @if let Some(last) = older {
            nav.pages aria-label="Pages" { a rel="next" href={ "/activity?before=" (last.number) (of_account) } { "Older →" } }
        }
    }
}

/// The newest events of one account.
pub(super) fn short(trail: &[TrailEntry], account: &str, now: OffsetDateTime) -> Markup {
    html! {
        @if trail.is_empty() { p.muted { "Nothing is recorded for this account." } }
        @else {
            (table(trail, now, false))
            p.small { a href={ "/activity?account=" (encoded(account)) } { "All activity of the account" } }
        }
    }
}

fn table(trail: &[TrailEntry], now: OffsetDateTime, with_accounts: bool) -> Markup {
    html! {
        div.scroll {
            table.tight {
                thead { tr { th { "When" } th { "What" } @if with_accounts { th { "Account" } } th { "Detail" } th { "Who" } } }
                tbody {
                    @for TrailEntry { act, .. } in trail {
                        tr {
                            td { (when(act.at, now)) }
                            td.deed { strong { (title(&act.deed)) } }
                            @if with_accounts { td { (accounts(&act.accounts)) } }
                            td data-label="Detail" { @if let Some(about) = &act.about { (text(about)) } }
                            td.muted.who-did data-label="Who" { (who(&act.actor)) }
                        }
                    }
                }
            }
        }
    }
}

/// An act in the words of the page.
fn title(deed: &str) -> String {
    match deed {
        // The trail's words cannot change any more, and this one is spelt differently on the page.
        "authorized" => "Authorised".to_owned(),
        other => first_upper(&text(&other.replace('_', " "))),
    }
}

fn accounts(names: &[String]) -> Markup {
    html! {
        @if let Some(first) = names.first() { a href=(account_path(first)) { (text(first)) } }
        @if names.len() > 1 { span.muted title=(text(&names.join(", "))) { " and " (names.len() - 1) " more" } }
    }
}

fn who(actor: &Actor) -> String {
    let surface = match actor.surface.as_str() {
        "cli" => "command line",
        "page" => "page",
        "link" => "sign-in link",
        "serve" => "the proxy itself",
        other => other,
    };
    match &actor.user {
        Some(user) => format!("{}, {surface}", text(user)),
        None => text(surface),
    }
}
