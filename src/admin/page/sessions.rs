//! The live sessions of mail programs on all instances, and the button that ends one.

use axum::response::Response;
use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::frame::{text, token};
use super::words::{account_path, count, doors, when};
use crate::admin::SessionRow;
use crate::admin::said::Said;
use crate::admin::sessions::{end, live};
use crate::admin::visit::{Posted, Visit};
use crate::admin::visitors::Visitor;
use crate::config::Door;
use crate::control::sessions::Heard;

/// The most rows; a person who looks for one account among more searches for it.
const MOST: usize = 500;

pub(super) async fn show(visit: Visit) -> Response {
    let Heard { sessions: live, silent, .. } = live(&visit.site).await;
    let content = html! {
        div.head { h1 { "Live sessions" } }
        section.card id="sessions" data-live="10" {
            p.muted { (count(live.len() as u64, "session")) @if live.len() > MOST { ", of which the newest " (MOST) " are shown" } "." }
            @for silent in &silent { p.muted { "Without those of " (text(silent)) ", which did not answer." } }
            (table(&visit.visitor, &live, None, OffsetDateTime::now_utc()))
        }
    };
    visit.page("/sessions", "Live sessions", &content).await
}

/// A table of sessions; those of one `account` without its name.
pub(super) fn table(
    visitor: &Visitor,
    live: &[SessionRow],
    account: Option<&str>,
    now: OffsetDateTime,
) -> Markup {
    if live.is_empty() {
        return html! { p.muted { "No mail program is logged in. A session appears here once its login has succeeded." } };
    }
    html! {
        div.scroll {
            table.tight {
                thead { tr { @if account.is_none() { th { "Account" } } th { "Over" } th { "From" } th { "Since" } th { "Password" } th { "Moved" } th { span.skip { "Button" } } } }
                tbody { @for session in live.iter().take(MOST) { (session_row(visitor, session, account, now)) } }
            }
        }
    }
}

fn session_row(
    visitor: &Visitor,
    session: &SessionRow,
    account: Option<&str>,
    now: OffsetDateTime,
) -> Markup {
    let since = OffsetDateTime::parse(&session.since, &Rfc3339).ok();
    let door = Door::named(&session.protocol);
    html! {
        tr {
            @if account.is_none() { td { a href=(account_path(&session.account)) { (text(&session.account)) } } }
            td data-label="Over" { @match door { Some(door) => (doors(&[door])), None => (text(&session.protocol)) } }
            td data-label="From" { (text(&session.from)) @if let Some(client) = &session.client_id { div.muted.small { (text(client)) } } }
            td data-label="Since" { @if let Some(since) = since { (when(since, now)) } }
            td data-label="Password" { @match &session.password { Some(name) => (text(name)), None => span.muted { "none" } } }
            td data-label="Moved" { span title={ (session.bytes_up) " bytes up, " (session.bytes_down) " bytes down" } { "↑ " (size(session.bytes_up)) " ↓ " (size(session.bytes_down)) } }
            td.does {
                form method="post" action="/sessions/close" {
                    (token(visitor))
                    input type="hidden" name="id" value=(session.id);
                    @if let Some(account) = account { input type="hidden" name="account" value=(account); }
                    button.small type="submit" { "Close" span.skip { " the session " (session.id) } }
                }
            }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

pub(super) async fn close(Posted { visit, fields }: Posted) -> Response {
    let (id, account) = (fields.one("id"), fields.one("account"));
    let said = said(&end(&visit.site, id, visit.actor()).await);
    let path = if account.is_empty() { "/sessions".to_owned() } else { account_path(account) };
    visit.lead(&path, said).await
}

fn said(Heard { closed, silent, .. }: &Heard) -> Said {
    let done = match closed {
        0 => None,
        1 => Some("The session is told to end, at its next pause.".to_owned()),
        more => Some(format!("{more} sessions are told to end, each at its next pause.")),
    };
    let silent = text(&silent.join(", "));
    match (done, silent.is_empty()) {
        (Some(done), true) => Said::Done(done),
        (Some(done), false) => Said::failed(
            format!("{done} No answer came from {silent}, which may still end some."),
            Vec::new(),
        ),
        (None, true) => Said::failed("That session has ended already.", Vec::new()),
        (None, false) => Said::failed(
            format!("No answer came from {silent}, which may have the session and may still end it."),
            vec![
                "Look at the list again in a minute, and close it once more if it is still there.".to_owned(),
            ],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_an_instance_that_is_silent_is_not_said_to_have_ended() {
        let ended = |closed, silent: &[&str]| {
            let silent = silent.iter().map(|silent| (*silent).to_owned()).collect();
            said(&Heard { closed, silent, ..Heard::default() }).shown().into_string()
        };
        assert!(ended(0, &[]).contains("ended already"));
        let silent = ended(0, &["mail-2 (process 7)"]);
        assert!(silent.contains("No answer came from mail-2 (process 7)") && !silent.contains("already"));
        let some = ended(2, &["mail-2 (process 7)"]);
        assert!(some.contains("2 sessions are told to end") && some.contains("mail-2"), "{some}");
        assert!(ended(1, &[]).contains("is told to end") && !ended(1, &[]).contains("No answer"));
    }
}
