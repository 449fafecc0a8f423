//! The app passwords of an account: a table with limits, a form for a new one, and their revocation.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use time::OffsetDateTime;

use super::frame::{Frame, text, token};
use super::limits::Typed;
use super::words::{NEW_PASSWORD, account_path, encoded, when};
use super::{confirm, remedies};
use crate::admin::said::Said;
use crate::admin::visit::{Fields, Posted, Visit};
use crate::admin::visitors::Visitor;
use crate::control::limits::clauses;
use crate::control::{Error, Installation, passwords};
use crate::secret::Secret;
use crate::store::{AppPassword, Verifier};

/// The section of the account's page; `is_open` where a new password was asked for.
pub(super) fn section(
    visitor: &Visitor,
    account: &str,
    passwords: &[AppPassword],
    is_open: bool,
    now: OffsetDateTime,
) -> Markup {
    // Open also where no password is in force, because a new one is then what is to be done here.
    let is_open = is_open || passwords.iter().all(|password| password.limits.ended(now.date()).is_some());
    html! {
        @if passwords.is_empty() { p { "None yet, so that no mail program can log in. Make one for each program or device." } }
        @else { (table(account, passwords, now)) }
        details id=(NEW_PASSWORD) open[is_open] {
            summary { "New app password" }
            (form(visitor, account, &Fields::default()))
        }
    }
}

fn table(account: &str, passwords: &[AppPassword], now: OffsetDateTime) -> Markup {
    let path = account_path(account);
    html! {
        div.scroll {
            table.tight {
                thead { tr { th { "Name" } th { "Limits" } th { "Made" } th { "Last used" } th { span.skip { "Button" } } } }
                tbody {
                    @for password in passwords {
                        tr {
                            td { strong { (text(&password.name)) } @if matches!(password.verifier, Verifier::Chosen(_)) { div.muted.small { "chosen by a person" } } }
                            td data-label="Limits" { @let limits = clauses(&password.limits); @if limits.is_empty() { span.muted { "none" } } @else { (limits.join("; ")) } }
                            td data-label="Made" { (when(password.created_at, now)) }
                            td data-label="Last used" {
                                @match password.last_used_at {
                                    Some(at) => { (when(at, now)) @if let Some(from) = &password.last_used_from { div.muted.small { "from " (text(from)) } } }
                                    None => span.muted { "never" },
                                }
                            }
                            td.does {
                                a.button.small href={ (path) "/limits?name=" (encoded(&password.name)) } { "Limits" span.skip { " of " (text(&password.name)) } }
                                " " a.button.small.danger href={ (path) "/revoke-password?name=" (encoded(&password.name)) } { "Revoke" span.skip { " " (text(&password.name)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn form(visitor: &Visitor, account: &str, fields: &Fields) -> Markup {
    html! {
        form.fields method="post" action={ (account_path(account)) "/password" } {
            (token(visitor))
            label { "Name " span.hint { "the mail program or the device" }
                input name="name" required maxlength="100" autocomplete="off" value=(fields.one("name")); }
            (Typed::sent(fields).shown())
            div.actions { button.main type="submit" { "Make the password" } }
        }
    }
}

pub(super) async fn create(Path(account): Path<String>, Posted { visit, fields }: Posted) -> Response {
    let name = fields.one("name").trim().to_owned();
    match make(&visit.installation(), &account, &name, &fields).await {
        Ok((account, password)) => {
            let path = account_path(&account);
            visit.lead(&path, Said::Password { account, name, password }).await
        }
        Err(error @ Error::NoAccount { .. }) => visit.failure(&error),
        Err(error) => again(&visit.visitor, &account, &fields, &error),
    }
}

/// The form again, with the typed values and the mistake.
fn again(visitor: &Visitor, account: &str, fields: &Fields, error: &Error) -> Response {
    let content = html! {
        (confirm::crumb(account))
        div.head { h1 { "New app password" } }
        section.card { (form(visitor, account, fields)) }
    };
    let said = Some(remedies::failed(error).shown());
    let frame = Frame { said, ..Frame::of(visitor, "New app password") };
    (StatusCode::UNPROCESSABLE_ENTITY, frame.around(&content)).into_response()
}

async fn make(
    installation: &Installation,
    account: &str,
    name: &str,
    fields: &Fields,
) -> Result<(String, Secret), Error> {
    let account = installation.exact_account(account).await?.account;
    passwords::check_name(name)?;
    let change = Typed::sent(fields).limiting().judge()?;
    let password = passwords::create(installation, &account, name, None, change).await?;
    Ok((account.name, password))
}

/// Asks before a password is revoked.
pub(super) async fn confirm_revocation(visit: Visit, Path(account): Path<String>) -> Response {
    let name = visit.query.one("name");
    confirm::Question {
        account: &account,
        act: "revoke-password",
        title: "Revoke an app password",
        losses: &[
            format!("The password called “{}” opens {} no longer.", text(name), text(&account)),
            "Mail programs that use it are asked for another one, and their sessions end within seconds."
                .to_owned(),
            "It cannot be brought back; a new one can be made.".to_owned(),
        ],
        button: "Revoke the password",
        field: Some(("name", name)),
    }
    .page(&visit.visitor)
}

pub(super) async fn revoke(Path(account): Path<String>, Posted { visit, fields }: Posted) -> Response {
    let name = fields.one("name");
    let revoked = passwords::revoke(&visit.installation(), &account, name).await;
    let said = remedies::outcome(revoked.map(|account| {
        format!("The password called “{}” no longer opens {}.", text(name), text(&account.name))
    }));
    visit.lead(&account_path(&account), said).await
}
