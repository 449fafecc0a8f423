//! Authorising from the page: an existing account again, or a new one; and the sign-in link, which a person opens on
//! another machine.

use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use maud::{Markup, html};

use super::add;
use super::frame::{text, token};
use super::remedies;
use super::words::account_path;
use crate::admin::consent::lead_in;
use crate::admin::guard;
use crate::admin::said::Said;
use crate::admin::visit::{Fields, Posted};
use crate::admin::visitors::Visitor;
use crate::config::Config;
use crate::control::consents::Asked;
use crate::control::serving::NoConsent;
use crate::secret::Secret;

/// Begins the consent that mends an account.
pub(super) async fn again(
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    Posted { visit, .. }: Posted,
) -> Response {
    let path = account_path(&name);
    let browser = guard::browser(&visit.site, &headers, &uri);
    let running = &visit.site.running;
    match running.begin_again(&name, visit.actor(), browser, Secret::new(path.clone())).await {
        Ok(begun) => lead_in(&begun),
        Err(why) => visit.lead(&path, not_begun(why)).await,
    }
}

/// The message if the consent of an account cannot begin.
fn not_begun(why: NoConsent) -> Said {
    match why {
        NoConsent::Failed(error) => remedies::failed(&error),
        NoConsent::NotMended { account } => Said::failed(
            format!("The consent of a person does not mend {}.", text(&account)),
            vec!["It is disabled, serves a whole domain, or has the application's own right.".to_owned()],
        ),
        NoConsent::Dead(_) | NoConsent::TooMany => Said::failed("There is no such account.", Vec::new()),
    }
}

/// Begins the consent of a new account.
pub(super) async fn new(headers: HeaderMap, uri: Uri, Posted { visit, fields }: Posted) -> Response {
    let some = |name: &str| Some(fields.one(name).trim().to_owned()).filter(|text| !text.is_empty());
    let account = fields.one("account").trim().to_owned();
    // The account is there only once the consent is stored: until then another try begins at the form.
    let back = Some(Secret::new(add::path_with(&fields)));
    let asked = Asked { account, provider: some("provider"), owner: some("owner"), back, ..Asked::default() };
    let browser = guard::browser(&visit.site, &headers, &uri);
    match visit.site.running.begin_consent(visit.actor(), asked, browser).await {
        Ok(begun) => lead_in(&begun),
        Err(error) => add::page(&visit, &fields, &[], Some(remedies::failed(&error))),
    }
}

/// The form of a new account.
pub(super) fn form(visitor: &Visitor, config: &Config, fields: &Fields) -> Markup {
    let chosen = fields.one("provider");
    html! {
        form.fields method="post" action="/authorise" {
            (token(visitor))
            label { "Address of the mailbox" input type="email" name="account" required maxlength="320" autocomplete="off" value=(fields.one("account")); }
            label { "Provider " span.hint { "found by the address, unless another one is meant" }
                select name="provider" {
                    option value="" { "By the address" }
                    @for provider in config.usable_providers() {
                        option value=(provider.name) selected[provider.name == chosen] { (provider.title) @if provider.title != provider.name { " (" (provider.name) ")" } }
                    }
                }
            }
            label { "Owner " span.hint { "who consents, for a shared mailbox; else empty" } input name="owner" maxlength="320" autocomplete="off" value=(fields.one("owner")); }
            div.actions { button.main type="submit" { "Authorise" } }
            p.muted.small.after { "The next page leads to the provider, where the owner signs in. For an owner who is elsewhere, add the account as a table of one line, and send its sign-in link." }
        }
    }
}

/// Shows the account's sign-in link once.
pub(super) async fn link(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let said = match visit.site.running.sign_in_link(&name, visit.actor()).await {
        Ok(Some(link)) => Said::Link { account: name.clone(), link },
        Ok(None) => Said::failed("There is no sign-in link for this account.", Vec::new()),
        Err(why) => not_begun(why),
    };
    visit.lead(&account_path(&name), said).await
}
