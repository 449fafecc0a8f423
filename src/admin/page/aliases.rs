//! The other login names of an account: a list, a form for a new one, and their removal.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{text, token};
use super::remedies;
use super::words::{account_path, encoded, lead};
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::visit::{Fields, Posted};
use crate::admin::visitors::Visitor;
use crate::control::accounts;
use crate::store::Account;

/// The section of the account's page. `typed` has what a refused form sent.
pub(super) fn section(visitor: &Visitor, account: &Account, typed: &Fields) -> Markup {
    let path = account_path(&account.name);
    let alias = typed.one("alias");
    html! {
        @if account.aliases.is_empty() { p.muted { "None: mail programs log in as " (text(&account.name)) "." } }
        @else {
            ul.plain.names {
                @for alias in &account.aliases {
                    // Not in the path, of which a browser takes away the parts “.” and “..”.
                    li {
                        span { (text(alias)) }
                        form method="post" action={ (path) "/unalias?alias=" (encoded(alias)) } {
                            (token(visitor))
                            button.small type="submit" { "Remove" span.skip { " the login name " (text(alias)) } }
                        }
                    }
                }
            }
        }
        details open[!alias.is_empty()] {
            summary { "New login name" }
            form.fields method="post" action={ (path) "/alias" } {
                (token(visitor))
                label { "Login name " span.hint { "what the mail program sends instead of the address" }
                    input name="alias" required maxlength="320" autocomplete="off" value=(alias); }
                label.choice { input type="checkbox" name="foreign" value="yes"; "Allow a name that is another address than the account's" }
                div.actions { button.main type="submit" { "Add the login name" } }
            }
        }
    }
}

pub(super) async fn add(State(site): State<Arc<Site>>, Path(name): Path<String>, posted: Posted) -> Response {
    let alias = posted.fields.one("alias").trim();
    let is_allowed = !posted.fields.one("foreign").is_empty();
    match accounts::alias(&site.installation(&posted.visitor), &name, alias, is_allowed).await {
        Ok((account, is_new)) => {
            let (alias, path) = (text(alias), account_path(&account.name));
            let name = text(&account.name);
            let said = match is_new {
                true => {
                    format!("“{alias}” is a login name of {name} from now on, with the same app passwords.")
                }
                false => format!("“{alias}” was a login name of {name} already."),
            };
            lead(&site, &posted.visitor, &path, Said::done(said)).await
        }
        Err(error) => {
            // The form keeps what was typed.
            let path = format!("{}?alias={}", account_path(&name), encoded(alias));
            lead(&site, &posted.visitor, &path, remedies::failed(&error)).await
        }
    }
}

pub(super) async fn remove(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    posted: Posted,
) -> Response {
    let asked = Fields::of_query(query.as_deref());
    let alias = asked.one("alias");
    let said = match accounts::unalias(&site.installation(&posted.visitor), &name, alias).await {
        Ok(account) => Said::done(format!(
            "“{}” is no login name of {} any more. A mail program that is set up with it is refused at its next login.",
            text(alias),
            text(&account.name)
        )),
        Err(error) => remedies::failed(&error),
    };
    lead(&site, &posted.visitor, &account_path(&name), said).await
}
