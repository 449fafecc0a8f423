//! The page of one account: its state and cure, its authorisation and forecast, its passwords, sessions and events.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use time::OffsetDateTime;

use super::frame::text;
use super::words::{
    account_path, authorise, button, can_consent, count, doors, encoded, first_upper, of_keys, state,
    trouble, when,
};
use super::{activity, aliases, passwords};
use crate::admin::SessionRow;
use crate::admin::sessions;
use crate::admin::visit::{Fields, Visit};
use crate::admin::visitors::Visitor;
use crate::config::Door;
use crate::control::grants::{Overview, State as AccountState};
use crate::control::overviews::{Single, Standing, one};
use crate::store::{Grant, GrantKind, TrailEntry, fold, is_of_domain};
use crate::trouble::Cure;

/// The newest events of the account.
const EVENTS: u32 = 12;

pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Result<Response, Response> {
    let installation = visit.installation();
    let single = one(&installation, &name).await.map_err(|error| visit.failure(&error))?;
    let name = &single.overview.account.name;
    let trail = installation.store.latest(Some(name), None, EVENTS).await;
    let trail = trail.map_err(|error| visit.failure(&error.into()))?;
    let mut live = sessions::live(&visit.site).await.sessions;
    live.retain(|session| fold(&session.account) == fold(name));
    let content = page(&visit.visitor, &single, &live, &trail, &visit.query);
    Ok(visit.page("/", &text(name), &content).await)
}

fn page(
    visitor: &Visitor,
    single: &Single,
    live: &[SessionRow],
    trail: &[TrailEntry],
    fields: &Fields,
) -> Markup {
    let Single { overview, passwords } = single;
    let name = &overview.account.name;
    let path = account_path(name);
    let now = OffsetDateTime::now_utc();
    html! {
        p.crumb { a href="/" { "Accounts" } }
        div.head {
            div { h1 { (text(name)) } }
            div.actions {
                (button(visitor, &format!("{path}/check"), "", "Check"))
                @if can_consent(overview) && !is_misconfigured(overview) {
                    @if !is_mended_by_consent(overview) { (button(visitor, &format!("{path}/authorise"), "", authorise(overview))) }
                    (button(visitor, &format!("{path}/link"), "", "Sign-in link"))
                }
                (disabling(visitor, overview, &path))
            }
        }
        div id="state" data-live="15" { (standing(visitor, overview, now)) }
        div.cards {
            section.card { h2 { "Authorisation" } (authorisation(overview, now)) }
            section.card { h2 { "What may end it" } (forecast(overview, now)) }
        }
        section.card { h2 { "App passwords" } (passwords::section(visitor, name, passwords, fields.one("new") == "password", now)) }
        @if !is_of_domain(name) || !overview.account.aliases.is_empty() {
            section.card { h2 { "Other login names" } (aliases::section(visitor, &overview.account, fields)) }
        }
        section.card id="sessions" data-live="15" {
            h2 { "Live sessions" @if !live.is_empty() { span.muted { " · " (live.len()) } } }
            (super::sessions::table(visitor, live, Some(name), now))
        }
        @if !is_of_domain(name) {
            section.card {
                h2 { "Set-up of mail programs" }
                p.muted { "Servers, ports and the certificate. The password is an app password from above." }
                div.actions {
                    a.button href={ (path) "/setup" } { "Show the settings" }
                    a.button href={ "/setup/" (encoded(name)) ".mobileconfig" } { "Profile for iPhone, iPad and Mac" }
                }
            }
        }
        section.card id="events" data-live="15" { h2 { "Recent events" } (activity::short(trail, name, now)) }
        (ending(overview, &path))
    }
}

/// The state, and what is wrong.
fn standing(visitor: &Visitor, overview: &Overview, now: OffsetDateTime) -> Markup {
    html! {
        section.card {
            p { (state(overview)) }
            @if overview.state == AccountState::Disabled { p { "No mail program gets in, with any password, until the account is enabled again." } }
            @if let Some(known) = &overview.trouble {
                (trouble(visitor, overview, known))
                @if let Some(at) = overview.failed_at() { p.muted.small { "Seen " (when(at, now)) "." } }
            }
            @if let Some(refusal) = &overview.account.refusal {
                p { "The provider refused something after a login for " (doors_named(&refusal.protocol)) ", " (when(refusal.at, now)) ":" }
                (trouble(visitor, overview, &refusal.trouble))
            }
            (of_keys(overview, now))
            p.muted.small {
                @match overview.account.last_login_at {
                    Some(at) => {
                        "A mail program logged in " (when(at, now))
                        @if let Some(from) = &overview.account.last_login_from { " from " (text(from)) }
                        "."
                    }
                    None => "No mail program has logged in yet.",
                }
            }
        }
    }
}

/// Whether the cure is a key of the configuration: until then a consent would fail.
fn is_misconfigured(overview: &Overview) -> bool {
    Standing::of(overview) == Standing::Misconfigured && !is_mended_by_consent(overview)
}

/// A protocol by its name in the store.
fn doors_named(name: &str) -> String {
    Door::named(name).map_or_else(|| text(name), |door| doors(&[door]))
}

/// Whether the account's state already shows the button for a consent.
fn is_mended_by_consent(overview: &Overview) -> bool {
    overview.trouble.as_ref().is_some_and(|trouble| matches!(trouble.cure, Cure::Authorize { .. }))
}

fn disabling(visitor: &Visitor, overview: &Overview, path: &str) -> Markup {
    match overview.state {
        AccountState::Disabled => button(visitor, &format!("{path}/enable"), "main", "Enable"),
        AccountState::Of(_) => button(visitor, &format!("{path}/disable"), "", "Disable"),
    }
}

fn authorisation(overview: &Overview, now: OffsetDateTime) -> Markup {
    html! {
        dl {
            @if let Some(grant) = &overview.grant { (of_grant(grant, is_mended_by_consent(overview), now)) }
            @else { dt { "Authorisation" } dd { "none" } }
            dt { "Opens" } dd { @if overview.protocols.is_empty() { "nothing" } @else { (doors(&overview.protocols)) } }
            @if !overview.scopes_missing.is_empty() { dt { "Missing scopes" } dd.mono { (overview.scopes_missing.join(" ")) } }
        }
    }
}

/// The facts of the grant. After its end its access token opens nothing, and it is not tried again, so both are left
/// out.
fn of_grant(grant: &Grant, has_ended: bool, now: OffsetDateTime) -> Markup {
    html! {
        dt { "Provider" } dd { (grant.provider) }
        @match grant.kind() {
            GrantKind::Person => { dt { "Consent of" } dd { (text(&grant.owner)) } }
            GrantKind::App => { dt { "Right" } dd { "the application's own" } }
        }
        dt { "Authorised" } dd { (when(grant.authorized_at, now)) }
        @if let Some(at) = grant.refreshed_at { dt { "Last renewed" } dd { (when(at, now)) } }
        @if let Some(at) = grant.access_expires_at.filter(|_| !has_ended) { dt { "Access token ends" } dd { (when(at, now)) } }
        @if let Some(at) = grant.retry_at.filter(|at| *at > now && !has_ended) { dt { "Next try" } dd { (when(at, now)) } }
        @if !grant.scopes.is_empty() {
            dt { "Scopes" }
            dd { details { summary { (count(grant.scopes.len() as u64, "scope")) } span.mono.small { (text(&grant.scopes.join(" "))) } } }
        }
    }
}

fn forecast(overview: &Overview, now: OffsetDateTime) -> Markup {
    html! {
        @if overview.ends.is_empty() { p.muted { @if is_mended_by_consent(overview) { "It has ended, or was never given." } @else { "Nothing is known that would end it." } } }
        @else {
            ul.plain {
                @for end in &overview.ends {
                    li {
                        @if let Some(at) = end.at { strong { (when(at, now)) } ": " }
                        (text(&first_upper(&end.clause(now)))) "."
                    }
                }
            }
        }
    }
}

/// The acts that cannot be taken back, apart from the other buttons.
fn ending(overview: &Overview, path: &str) -> Markup {
    let is_in_force = overview.grant.as_ref().is_some_and(Grant::is_in_force);
    html! {
        section.card.danger-zone {
            h2 { "End" }
            p.muted { "The next page says what will be lost, before anything is." }
            div.actions {
                @if is_in_force { a.button.danger href={ (path) "/revoke" } { "Revoke the authorisation" } }
                a.button.danger href={ (path) "/remove" } { "Remove the account" }
            }
        }
    }
}
