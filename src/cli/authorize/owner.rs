//! `--owner`: a mailbox that somebody opens with the grant that they gave already.

use super::storing::{attach, first_password_name};
use super::{Request, Stored};
use crate::cli::failure::Failure;
use crate::cli::installation::Legs;
use crate::cli::interrupt::Uninterrupted;
use crate::cli::print;
use crate::cli::proof::prove;
use crate::oauth::scope::missing;
use crate::store::{GrantKind, GrantState, Mailbox};
use crate::token::TokenFailure;

/// Attaches the account to the owner's grant, where that is usable and opens the mailbox; `None` where a
/// new consent is needed.
pub(super) async fn reuse(request: &Request, owner: &str) -> Result<Option<Stored>, Failure> {
    let installation = &request.installation;
    let provider = &request.legs.provider;
    let known = installation.store.grant_of(&provider.name, owner, GrantKind::Person).await?;
    let Some(grant) = known.filter(|grant| {
        grant.is_in_force()
            && matches!(grant.state, GrantState::Ok | GrantState::Retrying)
            && missing(&provider.scopes, Some(&grant.scopes)).is_empty()
    }) else {
        return Ok(None);
    };
    let account = &request.account;
    print::words(&format!("{owner} is authorised already; trying that authorisation with {account}…"));
    let legs = Legs::of_configured(&installation.config)?;
    let token = {
        // A provider that rotates may have spent the old token: its answer must reach the disk.
        let _refreshing = Uninterrupted::begin();
        installation.tokens(&legs).access(&grant, &Mailbox::Own).await
    };
    let token = match token {
        Ok(token) => token,
        Err(TokenFailure::NeedsAuthorization { .. }) => {
            print::words(&format!("The authorisation of {owner} has ended; a new consent is needed."));
            return Ok(None);
        }
        Err(failure) => {
            return Err(Failure::new(
                failure.to_string().replace("{account}", &grant.command_target(account)),
            ));
        }
    };
    let folders = prove(&request.legs, account, &token.secret).await.map_err(|unproven| {
        Failure::new(format!(
            "the authorisation of {owner} does not open the mailbox {account}, so nothing is stored: {unproven}"
        ))
        .hint(format!("give {owner} full access to {account} at the provider, wait until that holds, and run this again"))
    })?;
    let password = first_password_name(&request.arguments);
    let mut stored = attach(installation, account, &request.arguments.alias, &grant, password).await?;
    stored.folders = Some(folders);
    Ok(Some(stored))
}
