//! `tokens revoke`: reports what was done and what was not.

use crate::cli::failure::{Done, Failure};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::command;
use crate::config::Provider;
use crate::control::grants::{self, AtProvider};
use crate::control::{Error, Installation};
use crate::surface::cures::chain;

pub(super) async fn revoke(installation: &Installation, name: &str) -> Result<Done, Failure> {
    let revoked = grants::revoke(installation, name).await?;
    let owner = &revoked.owner;
    print::words(&format!("The authorisation of {owner} is removed from this machine."));
    if !revoked.others.is_empty() {
        print::words(&format!("It also opened {}, which is closed now, too.", revoked.others.join(", ")));
    }
    print::words(&match &revoked.provider {
        Ok(provider) => {
            let progress = Progress::of("Revoking it at the provider");
            let there = revoked.at(&installation.config, provider).await;
            drop(progress);
            in_words(&there, provider, owner)
        }
        Err(name) => format!(
            "The provider {name} is no longer configured, so nothing was done there: withdraw the access in its account settings."
        ),
    });
    Ok(Done::Well)
}

/// The result at the provider, as a sentence.
fn in_words(there: &AtProvider, provider: &Provider, owner: &str) -> String {
    let title = &provider.title;
    let by_hand = || match &provider.revoke_page {
        Some(page) => format!("at {page}"),
        None => format!("in the account settings of {title}"),
    };
    match there {
        AtProvider::Application => format!(
            "At {title} the application keeps its permission: an administrator withdraws it, or its key, there."
        ),
        AtProvider::NotOpened => format!(
            "The stored token could not be opened, so nothing was done at {title}: withdraw the access {}.",
            by_hand()
        ),
        AtProvider::Revoked => format!("{title} has revoked it, too."),
        AtProvider::ByHand(instruction) => {
            format!("{title} has no way for a program to revoke it: {instruction}, signed in as {owner}.")
        }
        AtProvider::Failed(error) => {
            let why = match error {
                Error::Client(error) => error.trouble().line(&command::authorize_account(owner)),
                other => chain(other),
            };
            format!(
                "warning: {title} did not revoke it ({why}). The token is gone from here; withdraw the access {}, signed in as {owner}.",
                by_hand()
            )
        }
    }
}
