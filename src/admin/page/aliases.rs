//! The other login names of an account: a list, a form for a new one, and their removal.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{text, token};
use super::remedies;
use super::words::{account_path, encoded};
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

pub(super) async fn add(Path(name): Path<String>, Posted { visit, fields }: Posted) -> Response {
    let alias = fields.one("alias").trim();
    let is_allowed = !fields.one("foreign").is_empty();
    let added = accounts::alias(&visit.installation(), &name, alias, is_allowed).await;
    let path = match &added {
        Ok((account, _)) => account_path(&account.name),
        // The form keeps what was typed.
        Err(_) => format!("{}?alias={}", account_path(&name), encoded(alias)),
    };
    let said = remedies::outcome(added.map(|(account, is_new)| {
        let (alias, name) = (text(alias), text(&account.name));
        match is_new {
            true => format!("“{alias}” is a login name of {name} from now on, with the same app passwords."),
            false => format!("“{alias}” was a login name of {name} already."),
        }
    }));
    visit.lead(&path, said).await
}

pub(super) async fn remove(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let alias = visit.query.one("alias");
    let removed = accounts::unalias(&visit.installation(), &name, alias).await;
    let said = remedies::outcome(removed.map(|account| {
        format!(
            "“{}” is no login name of {} any more. A mail program that is set up with it is refused at its next login.",
            text(alias),
            text(&account.name)
        )
    }));
    visit.lead(&account_path(&name), said).await
}
