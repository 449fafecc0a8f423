//! Authorising from the page: an existing account again, or a new one; and the sign-in link, which a person opens on
//! another machine.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use maud::{Markup, html};

use super::add;
use super::frame::{text, token};
use super::remedies;
use super::words::{account_path, lead};
use crate::admin::consent::lead_in;
use crate::admin::guard;
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::visit::{Fields, Posted};
use crate::admin::visitors::Visitor;
use crate::config::Config;
use crate::control::audit;
use crate::control::consents::Asked;
use crate::control::serving::NoConsent;
use crate::secret::Secret;

/// Begins the consent that mends an account.
pub(super) async fn again(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    posted: Posted,
) -> Response {
    let path = account_path(&name);
    let by = audit::on_the_page(&posted.visitor.opened_by, &posted.visitor.session);
    let browser = guard::browser(&site, &headers, &uri);
    let begun = site.running.begin_again(&name, by, browser, Secret::new(path.clone())).await;
    let said = match begun {
        Ok(begun) => return lead_in(&begun),
        Err(why) => not_begun(why),
    };
    lead(&site, &posted.visitor, &path, said).await
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
pub(super) async fn new(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    uri: Uri,
    posted: Posted,
) -> Response {
    let Posted { visitor, fields } = posted;
    let some = |name: &str| Some(fields.one(name).trim().to_owned()).filter(|text| !text.is_empty());
    let account = fields.one("account").trim().to_owned();
    // The account is there only once the consent is stored: until then another try begins at the form.
    let back = Some(Secret::new(add::path_with(&fields)));
    let asked = Asked { account, provider: some("provider"), owner: some("owner"), back, ..Asked::default() };
    let by = audit::on_the_page(&visitor.opened_by, &visitor.session);
    match site.running.begin_consent(by, asked, guard::browser(&site, &headers, &uri)).await {
        Ok(begun) => lead_in(&begun),
        Err(error) => add::page(&site, &visitor, &fields, &[], Some(remedies::failed(&error))),
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
pub(super) async fn link(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Response {
    let by = audit::on_the_page(&posted.visitor.opened_by, &posted.visitor.session);
    let said = match site.running.sign_in_link(&name, by).await {
        Ok(Some(link)) => Said::Link { account: name.clone(), link },
        Ok(None) => Said::failed("There is no sign-in link for this account.", Vec::new()),
        Err(why) => not_begun(why),
    };
    lead(&site, &posted.visitor, &account_path(&name), said).await
}
