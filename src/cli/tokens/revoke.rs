//! `tokens revoke`: what was and was not done is said either way.

use crate::cli::failure::{Done, Failure, chain};
use crate::cli::print;
use crate::control::grants::{self, AtProvider, ByHand};
use crate::control::{Error, Installation};
use crate::text::quoted;

pub(super) async fn revoke(installation: &Installation, name: &str) -> Result<Done, Failure> {
    let revoked = grants::revoke(installation, name).await?;
    let owner = revoked.owner.clone();
    print::words(&format!("The authorisation of {owner} is removed from this machine."));
    if !revoked.others.is_empty() {
        print::words(&format!("It also opened {}, which is closed now, too.", revoked.others.join(", ")));
    }
    print::words(&in_words(revoked.at_the_provider(installation).await, &owner));
    Ok(Done::Well)
}

/// What became of it at the provider, as a sentence.
fn in_words(there: AtProvider, owner: &str) -> String {
    match there {
        AtProvider::NotConfigured { provider } => format!(
            "The provider {provider} is no longer configured, so nothing was done there: withdraw the access in its account settings."
        ),
        AtProvider::Application { title } => format!(
            "At {title} the application keeps its permission: an administrator withdraws it, or its key, there."
        ),
        AtProvider::NotOpened(by_hand) => format!(
            "The stored token could not be opened, so nothing was done at {}: withdraw the access {}.",
            by_hand.title,
            place(&by_hand)
        ),
        AtProvider::Revoked { title } => format!("{title} has revoked it, too."),
        AtProvider::NoWay { title, instruction } => {
            format!("{title} has no way for a program to revoke it: {instruction}, signed in as {owner}.")
        }
        AtProvider::Failed(by_hand, error) => {
            let why = match error {
                Error::Client(error) => error.one_line(&quoted(owner)),
                other => chain(&other),
            };
            format!(
                "warning: {} did not revoke it ({why}). The token is gone from here; withdraw the access {}, signed in as {owner}.",
                by_hand.title,
                place(&by_hand)
            )
        }
    }
}

fn place(ByHand { title, page }: &ByHand) -> String {
    match page {
        Some(page) => format!("at {page}"),
        None => format!("in the account settings of {title}"),
    }
}
