//! The live sessions of mail programs on all instances, and the button that ends one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;
use tracing::warn;

use super::frame::{Frame, text, token};
use super::words::{account_path, count, doors, lead, when};
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::talk::By;
use crate::admin::visit::Posted;
use crate::admin::visitors::Visitor;
use crate::admin::{Reply, Request, SessionRow, ask};
use crate::config::Door;
use crate::control::audit;
use crate::control::sessions::{Asked, Heard};
use crate::store::Actor;

/// The most rows; a person who looks for one account among more searches for it.
const MOST: usize = 500;
/// Another process of this installation answers at once; one that hangs must not hold the page up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sessions of every process of this installation.
pub(in crate::admin) struct Live {
    /// The newest first.
    pub(in crate::admin) rows: Vec<SessionRow>,
    /// The instances that did not answer, whose sessions are missing.
    pub(in crate::admin) silent: Vec<String>,
}

/// The sessions of every instance on the store.
pub(in crate::admin) async fn live(site: &Site) -> Live {
    let mut silent = Vec::new();
    let mut rows = match site.running.is_shared() {
        true => {
            let own = site.running.sessions();
            let mut rows: Vec<_> = own.iter().map(|session| SessionRow::of(session)).collect();
            match site.running.ask_others(&Asked::List).await {
                Ok(heard) => {
                    rows.extend(heard.sessions);
                    silent = heard.silent;
                    silent.iter().for_each(|silent| warn!("{silent} has not listed its sessions"));
                }
                Err(error) => silent.push(format!("every other one ({error})")),
            }
            rows
        }
        false => of_this_machine(site).await,
    };
    rows.sort_by(|one, other| other.since.cmp(&one.since));
    Live { rows, silent }
}

/// The sessions of all processes on this machine: after an upgrade the old process keeps its own.
async fn of_this_machine(site: &Site) -> Vec<SessionRow> {
    let asked = ask::all_running(site.running.state_directory(), &Request::Sessions);
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answers)) => {
            let rows = answers.replies.into_iter().filter_map(|reply| match reply {
                Reply::Session(session) => Some(session),
                _ => None,
            });
            rows.collect()
        }
        _ => site.running.sessions().iter().map(|session| SessionRow::of(session)).collect(),
    }
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let Live { rows: live, silent } = live(&site).await;
    let content = html! {
        div.head { h1 { "Live sessions" } }
        section.card id="sessions" data-live="10" {
            p.muted { (count(live.len() as u64, "session")) @if live.len() > MOST { ", of which the newest " (MOST) " are shown" } "." }
            @for silent in &silent { p.muted { "Without those of " (text(silent)) ", which did not answer." } }
            (table(&visitor, &live, None, OffsetDateTime::now_utc()))
        }
    };
    let said = site.said(&visitor, query.as_deref()).await;
    let frame = Frame { title: "Live sessions", visitor: &visitor, part: "/sessions", said, reload: None };
    frame.around(&content)
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

pub(super) async fn close(State(site): State<Arc<Site>>, posted: Posted) -> Response {
    let (id, account) = (posted.fields.one("id"), posted.fields.one("account"));
    let by = audit::on_the_page(&posted.visitor.opened_by, &posted.visitor.session);
    let said = said(&end(&site, id, by).await);
    let path = if account.is_empty() { "/sessions".to_owned() } else { account_path(account) };
    lead(&site, &posted.visitor, &path, said).await
}

fn said(Ended { closed, silent }: &Ended) -> Said {
    let done = match closed {
        0 => None,
        1 => Some("The session is told to end, at its next pause.".to_owned()),
        more => Some(format!("{more} sessions are told to end, each at its next pause.")),
    };
    let silent = text(&silent.join(", "));
    match (done, silent.is_empty()) {
        (Some(done), true) => Said::done(done),
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

/// The outcome of a request to end sessions.
#[derive(Debug, Default)]
pub(in crate::admin) struct Ended {
    /// The number of sessions that are told to end.
    pub(in crate::admin) closed: usize,
    /// The instances that gave no answer, and may have such sessions.
    pub(in crate::admin) silent: Vec<String>,
}

/// Ends the session with the id `of`, or all sessions of the account with the name `of`.
pub(in crate::admin) async fn end(site: &Site, of: &str, by: Actor) -> Ended {
    if site.running.is_shared() {
        let asked = Asked::to_close(of, by.clone());
        let (here, heard) = tokio::join!(site.running.close(of, by), site.running.ask_others(&asked));
        let Heard { closed, silent, .. } = heard.unwrap_or_else(|error| {
            warn!("other instances were not asked to end sessions: {error}");
            Heard { silent: vec!["every other instance".to_owned()], ..Heard::default() }
        });
        for silent in &silent {
            warn!("{silent} has not said whether it has ended sessions");
        }
        return Ended { closed: here + closed, silent };
    }
    match site.running.close(of, by.clone()).await {
        0 => close_elsewhere(site, of, &by).await,
        closed => Ended { closed, silent: Vec::new() },
    }
}

/// Closes the session in the previous process, which keeps its sessions after an upgrade.
async fn close_elsewhere(site: &Site, id: &str, by: &Actor) -> Ended {
    let request = Request::Close { of: id.to_owned(), by: By::of(by) };
    let asked = timeout(PATIENCE, ask::all_running(site.running.state_directory(), &request));
    let Ok(Ok(answers)) = asked.await else {
        return Ended { closed: 0, silent: vec!["the processes of this machine".to_owned()] };
    };
    let closed =
        answers.replies.iter().map(|reply| if let Reply::Closed(count) = reply { *count } else { 0 });
    Ended { closed: closed.sum(), silent: answers.silent.iter().map(ToString::to_string).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_an_instance_that_is_silent_is_not_said_to_have_ended() {
        let ended = |closed, silent: &[&str]| {
            let silent = silent.iter().map(|silent| (*silent).to_owned()).collect();
            said(&Ended { closed, silent }).shown().into_string()
        };
        assert!(ended(0, &[]).contains("ended already"));
        let silent = ended(0, &["mail-2 (process 7)"]);
        assert!(silent.contains("No answer came from mail-2 (process 7)") && !silent.contains("already"));
        let some = ended(2, &["mail-2 (process 7)"]);
        assert!(some.contains("2 sessions are told to end") && some.contains("mail-2"), "{some}");
        assert!(ended(1, &[]).contains("is told to end") && !ended(1, &[]).contains("No answer"));
    }
}
