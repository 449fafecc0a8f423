//! The acts behind the buttons of an account. Each answer says what has changed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::confirm::Question;
use super::frame::{failure, text};
use super::remedies;
use super::words::{account_path, lead};
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::visit::Posted;
use crate::admin::visitors::Visitor;
use crate::config::Provider;
use crate::control::grants::{self, AtProvider, Overview};
use crate::control::overviews::one;
use crate::control::{Error, Installation, accounts};
use crate::store::Grant;

pub(super) async fn disable(state: State<Arc<Site>>, path: Path<String>, posted: Posted) -> Response {
    set_disabled(state, path, posted, true).await
}

pub(super) async fn enable(state: State<Arc<Site>>, path: Path<String>, posted: Posted) -> Response {
    set_disabled(state, path, posted, false).await
}

async fn set_disabled(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    posted: Posted,
    disabled: bool,
) -> Response {
    let installation = site.installation(&posted.visitor);
    let said = match accounts::set_disabled(&installation, &name, disabled).await {
        Ok((account, is_new)) => {
            let name = text(&account.name);
            Said::done(match (disabled, is_new) {
                (true, true) => {
                    format!(
                        "{name} lets no mail program in from now on, and its sessions end within seconds."
                    )
                }
                (true, false) => format!("{name} was disabled already."),
                (false, true) => format!("{name} lets mail programs in again."),
                (false, false) => format!("{name} was not disabled."),
            })
        }
        Err(error) => remedies::failed(&error),
    };
    lead(&site, &posted.visitor, &account_path(&name), said).await
}

/// Asks before the account is removed.
pub(super) async fn confirm_removal(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Response {
    let single = match one(&site.installation(&visitor), &name).await {
        Ok(single) => single,
        Err(error) => return failure(&visitor, &error),
    };
    let account = &single.overview.account;
    let shown = text(&account.name);
    let mut losses =
        vec![format!("No mail program gets into {shown} any more; its sessions end within seconds.")];
    let passwords: Vec<String> = single.passwords.iter().map(|it| format!("“{}”", text(&it.name))).collect();
    if !passwords.is_empty() {
        losses.push(format!("Its app passwords are deleted: {}.", passwords.join(", ")));
    }
    if !account.aliases.is_empty() {
        losses.push(format!("Its other login names are free again: {}.", text(&account.aliases.join(", "))));
    }
    if single.overview.grant.is_some() {
        let at_provider = match has_consent(&single.overview) {
            true => " At the provider the consent stays: revoke it first to end that, too.",
            false => "",
        };
        losses.push(format!("Its authorisation is deleted, unless another account uses it.{at_provider}"));
    }
    Question {
        visitor: &visitor,
        account: &account.name,
        act: "remove",
        title: "Remove the account",
        losses: &losses,
        button: "Remove the account",
        field: None,
    }
    .page()
}

pub(super) async fn remove(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Response {
    let installation = site.installation(&posted.visitor);
    let had_consent = one(&installation, &name).await.is_ok_and(|single| has_consent(&single.overview));
    match accounts::remove(&installation, &name).await {
        Ok(account) => {
            let at_provider = if had_consent { " At its provider the consent still stands." } else { "" };
            let name = text(&account.name);
            let said = Said::done(format!("{name} is removed, with its app passwords.{at_provider}"));
            lead(&site, &posted.visitor, "/", said).await
        }
        Err(error) => lead(&site, &posted.visitor, &account_path(&name), remedies::failed(&error)).await,
    }
}

/// Whether a person has consented, so that the provider knows of it: an account may wait for that since it was added.
fn has_consent(overview: &Overview) -> bool {
    overview.grant.as_ref().is_some_and(Grant::is_in_force)
}

/// Asks before the authorisation is revoked.
pub(super) async fn confirm_revocation(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Response {
    let installation = site.installation(&visitor);
    let (single, others) = match with_others(&installation, &name).await {
        Ok(both) => both,
        Err(error) => return failure(&visitor, &error),
    };
    let account = text(&single.overview.account.name);
    let mut losses = vec![
        format!(
            "The authorisation of {account} is deleted here, and revoked at the provider where that is possible."
        ),
        "No mail program gets in until a person authorises the account again.".to_owned(),
    ];
    if !others.is_empty() {
        losses.push(format!("It also opens {}, which is closed as well.", text(&others.join(", "))));
    }
    losses.push("App passwords stay, and work again after the next authorisation.".to_owned());
    Question {
        visitor: &visitor,
        account: &single.overview.account.name,
        act: "revoke",
        title: "Revoke the authorisation",
        losses: &losses,
        button: "Revoke the authorisation",
        field: None,
    }
    .page()
}

async fn with_others(
    installation: &Installation,
    name: &str,
) -> Result<(crate::control::overviews::Single, Vec<String>), Error> {
    let single = one(installation, name).await?;
    let others = grants::others(installation, &single.overview).await?;
    Ok((single, others))
}

pub(super) async fn revoke(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Response {
    let installation = site.installation(&posted.visitor);
    let said = match grants::revoke(&installation, &name).await {
        Ok(revoked) => {
            let mut words = format!("The authorisation of {} is deleted here.", text(&revoked.owner));
            if !revoked.others.is_empty() {
                words.push_str(&format!(
                    " It also opened {}, which is closed now.",
                    text(&revoked.others.join(", "))
                ));
            }
            words.push(' ');
            words.push_str(&match &revoked.provider {
                Ok(provider) => {
                    at_provider(&revoked.at(&installation.config, provider).await, provider, &revoked.owner)
                }
                Err(name) => format!("The provider {name} is no longer configured, so nothing was done there: withdraw the access in its account settings."),
            });
            Said::done(words)
        }
        Err(error) => remedies::failed(&error),
    };
    lead(&site, &posted.visitor, &account_path(&name), said).await
}

fn at_provider(there: &AtProvider, provider: &Provider, owner: &str) -> String {
    let title = &provider.title;
    let place = match &provider.revoke_page {
        Some(page) => format!("at {page}"),
        None => format!("in the account settings of {title}"),
    };
    match there {
        AtProvider::Application => {
            format!("At {title} the application keeps its permission: an administrator withdraws it there.")
        }
        AtProvider::NotOpened => {
            format!(
                "The stored token could not be opened, so nothing was done at {title}: withdraw the access {place}."
            )
        }
        AtProvider::Revoked => format!("{title} has revoked it, too."),
        AtProvider::ByHand(instruction) => {
            format!("{title} has no way for a program to revoke it: {instruction}, signed in as {owner}.")
        }
        AtProvider::Failed(error) => {
            format!("{title} did not revoke it ({error}): withdraw the access {place}, signed in as {owner}.")
        }
    }
}
