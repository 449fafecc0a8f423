//! `tokens revoke`: reports what was done and what was not.

use crate::cli::failure::{Done, Failure};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::command;
use crate::control::grants;
use crate::control::{Error, Installation};
use crate::surface::cures::chain;
use crate::surface::revocations;

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
            revocations::at_provider(&there, provider, owner, "it, or its key,", |error, place| {
                let why = match error {
                    Error::Client(error) => error.trouble().line(&command::authorize_account(owner)),
                    other => chain(other),
                };
                format!(
                    "warning: {} did not revoke it ({why}). The token is gone from here; withdraw the access {place}, signed in as {owner}.",
                    provider.title
                )
            })
        }
        Err(name) => revocations::not_configured(name),
    });
    Ok(Done::Well)
}
