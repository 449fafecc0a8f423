//! The limits of an app password: the fields of its forms, and the page that changes them.
//!
//! The form shows all limits and sends all of them, so an emptied field removes its limit. The answer names the limits
//! before and after. A mistake shows the form again, with what was typed.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::frame::{Frame, text, token};
use super::words::{account_path, doors};
use super::{confirm, remedies};
use crate::admin::said::Said;
use crate::admin::visit::{Fields, Posted, Visit};
use crate::admin::visitors::Visitor;
use crate::config::Door;
use crate::control::limits::{Limiting, clauses};
use crate::control::passwords::{self, Limited};
use crate::control::{Error, Installation};
use crate::store::Limits;

/// The limits as a form shows and sends them.
#[derive(Default)]
pub(super) struct Typed {
    doors: Vec<String>,
    from: String,
    expires: String,
}

impl Typed {
    /// The limits that a form has sent.
    pub(super) fn sent(fields: &Fields) -> Self {
        Self {
            doors: fields.all("protocol").map(str::to_owned).collect(),
            from: fields.one("from").to_owned(),
            expires: fields.one("expires").trim().to_owned(),
        }
    }

    /// The limits of a password.
    fn of(limits: &Limits) -> Self {
        let networks: Vec<String> = limits.networks.iter().map(ToString::to_string).collect();
        Self {
            doors: limits.doors.clone().unwrap_or_default(),
            from: networks.join(" "),
            expires: limits.last_day.map(|day| day.to_string()).unwrap_or_default(),
        }
    }

    /// A change that replaces all limits: an empty field removes its limit.
    pub(super) fn limiting(&self) -> Limiting {
        let from = self.from.split([' ', ',', ';', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let mut from: Vec<String> = from.map(str::to_owned).collect();
        if from.is_empty() {
            from.push(String::new());
        }
        Limiting { protocols: Some(self.doors.join(",")), from, expires: Some(self.expires.clone()) }
    }

    /// The fields.
    pub(super) fn shown(&self) -> Markup {
        let is_chosen = |door: Door| self.doors.iter().any(|name| name == door.name());
        html! {
            fieldset {
                legend { "Opens " span.muted { "all, if none is chosen" } }
                @for door in Door::ALL {
                    label.choice { input type="checkbox" name="protocol" value=(door.name()) checked[is_chosen(door)]; (doors(&[door])) }
                }
            }
            label { "Only from " span.hint { "networks or addresses, separated by blanks; empty for everywhere" }
                input name="from" autocomplete="off" placeholder="192.168.7.0/24" value=(self.from); }
            label { "Last day " span.hint { "UTC; empty for no end" } input type="date" name="expires" value=(self.expires); }
        }
    }
}

/// The form of the limits of one password.
pub(super) async fn show(visit: Visit, Path(account): Path<String>) -> Response {
    match found(&visit.installation(), &account, visit.query.one("name")).await {
        Ok(found) => page(&visit.visitor, &found, None),
        Err(error) => visit.failure(&error),
    }
}

/// A password and its account, as the form shows them.
struct Found {
    account: String,
    name: String,
    typed: Typed,
}

async fn found(installation: &Installation, account: &str, name: &str) -> Result<Found, Error> {
    let record = installation.exact_account(account).await?;
    let account = record.account.name;
    match record.passwords.into_iter().find(|password| password.name == name) {
        Some(password) => Ok(Found { account, name: password.name, typed: Typed::of(&password.limits) }),
        None => Err(Error::NoPassword { account, name: name.to_owned() }),
    }
}

fn page(visitor: &Visitor, found: &Found, said: Option<&Said>) -> Response {
    let Found { account, name, typed } = found;
    let path = account_path(account);
    let content = html! {
        (confirm::crumb(account))
        div.head { h1 { "Limits of “" (text(name)) "”" } }
        section.card {
            p.muted { "They hold from the next login on. Open sessions go on, unless the last day is over." }
            form.fields method="post" action={ (path) "/limits" } {
                (token(visitor))
                input type="hidden" name="name" value=(name);
                (typed.shown())
                div.actions { button.main type="submit" { "Change the limits" } a.button href=(path) { "Leave them as they are" } }
            }
        }
    };
    let status = if said.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = Frame { said: said.map(Said::shown), ..Frame::of(visitor, "Limits") };
    (status, frame.around(&content)).into_response()
}

pub(super) async fn change(Path(account): Path<String>, Posted { visit, fields }: Posted) -> Response {
    let (name, typed) = (fields.one("name"), Typed::sent(&fields));
    let limited = match typed.limiting().judge() {
        Ok(change) => passwords::limit(&visit.installation(), &account, name, change).await,
        Err(error) => {
            let found = Found { account, name: name.to_owned(), typed };
            return page(&visit.visitor, &found, Some(&remedies::failed(&error)));
        }
    };
    let said = remedies::outcome(limited.map(|limited| changed(name, &limited)));
    visit.lead(&account_path(&account), said).await
}

fn changed(name: &str, Limited { account, before, now }: &Limited) -> String {
    let (name, limits) = (text(name), said(now));
    match before == now {
        true => format!("The limits of the password called “{name}” stay as they are: {limits}."),
        false => format!(
            "The password called “{name}” opens {} from now on: {limits}. Before: {}.",
            text(&account.name),
            said(before)
        ),
    }
}

fn said(limits: &Limits) -> String {
    let clauses = clauses(limits);
    if clauses.is_empty() { "without any limit".to_owned() } else { clauses.join("; ") }
}
