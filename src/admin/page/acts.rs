//! The acts behind the buttons of an account. Each answer says what has changed.

use axum::extract::Path;
use axum::response::Response;

use super::confirm::Question;
use super::frame::text;
use super::remedies;
use super::words::account_path;
use crate::admin::visit::{Posted, Visit};
use crate::control::grants::{self, Overview};
use crate::control::overviews::one;
use crate::control::{Error, Installation, accounts};
use crate::store::Grant;
use crate::surface::revocations;

pub(super) async fn disable(Path(name): Path<String>, posted: Posted) -> Response {
    set_disabled(&name, &posted.visit, true).await
}

pub(super) async fn enable(Path(name): Path<String>, posted: Posted) -> Response {
    set_disabled(&name, &posted.visit, false).await
}

async fn set_disabled(name: &str, visit: &Visit, disabled: bool) -> Response {
    let set = accounts::set_disabled(&visit.installation(), name, disabled).await;
    let said = remedies::outcome(set.map(|(account, is_new)| {
        let name = text(&account.name);
        match (disabled, is_new) {
            (true, true) => {
                format!("{name} lets no mail program in from now on, and its sessions end within seconds.")
            }
            (true, false) => format!("{name} was disabled already."),
            (false, true) => format!("{name} lets mail programs in again."),
            (false, false) => format!("{name} was not disabled."),
        }
    }));
    visit.lead(&account_path(name), said).await
}

/// Asks before the account is removed.
pub(super) async fn confirm_removal(visit: Visit, Path(name): Path<String>) -> Result<Response, Response> {
    let single = one(&visit.installation(), &name).await.map_err(|error| visit.failure(&error))?;
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
    let title = "Remove the account";
    Ok(Question { account: &account.name, act: "remove", title, losses: &losses, button: title, field: None }
        .page(&visit.visitor))
}

pub(super) async fn remove(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let installation = visit.installation();
    let had_consent = one(&installation, &name).await.is_ok_and(|single| has_consent(&single.overview));
    let removed = accounts::remove(&installation, &name).await;
    let path = if removed.is_ok() { "/".to_owned() } else { account_path(&name) };
    let said = remedies::outcome(removed.map(|account| {
        let at_provider = if had_consent { " At its provider the consent still stands." } else { "" };
        format!("{} is removed, with its app passwords.{at_provider}", text(&account.name))
    }));
    visit.lead(&path, said).await
}

/// Whether a person has consented, so that the provider knows of it: an account may wait for that since it was added.
fn has_consent(overview: &Overview) -> bool {
    overview.grant.as_ref().is_some_and(Grant::is_in_force)
}

/// Asks before the authorisation is revoked.
pub(super) async fn confirm_revocation(visit: Visit, Path(name): Path<String>) -> Result<Response, Response> {
    let installation = visit.installation();
    let (name, others) = with_others(&installation, &name).await.map_err(|error| visit.failure(&error))?;
    let mut losses = vec![
        format!(
            "The authorisation of {} is deleted here, and revoked at the provider where that is possible.",
            text(&name)
        ),
        "No mail program gets in until a person authorises the account again.".to_owned(),
    ];
    if !others.is_empty() {
        losses.push(format!("It also opens {}, which is closed as well.", text(&others.join(", "))));
    }
    losses.push("App passwords stay, and work again after the next authorisation.".to_owned());
    let title = "Revoke the authorisation";
    Ok(Question { account: &name, act: "revoke", title, losses: &losses, button: title, field: None }
        .page(&visit.visitor))
}

/// The account's name, and the other accounts that its authorisation opens.
async fn with_others(installation: &Installation, name: &str) -> Result<(String, Vec<String>), Error> {
    let single = one(installation, name).await?;
    let others = grants::others(installation, &single.overview).await?;
    Ok((single.overview.account.name, others))
}

pub(super) async fn revoke(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let said = remedies::outcome(revoked(&visit.installation(), &name).await);
    visit.lead(&account_path(&name), said).await
}

async fn revoked(installation: &Installation, name: &str) -> Result<String, Error> {
    let revoked = grants::revoke(installation, name).await?;
    let mut words = format!("The authorisation of {} is deleted here.", text(&revoked.owner));
    if !revoked.others.is_empty() {
        let others = text(&revoked.others.join(", "));
        words.push_str(&format!(" It also opened {others}, which is closed now."));
    }
    words.push(' ');
    words.push_str(&match &revoked.provider {
        Ok(provider) => {
            let there = revoked.at(&installation.config, provider).await;
            revocations::at_provider(&there, provider, &revoked.owner, "it", |error, place| {
                let (title, owner) = (&provider.title, &revoked.owner);
                format!(
                    "{title} did not revoke it ({error}): withdraw the access {place}, signed in as {owner}."
                )
            })
        }
        Err(name) => revocations::not_configured(name),
    });
    Ok(words)
}
