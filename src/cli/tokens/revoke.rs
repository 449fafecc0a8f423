//! `tokens revoke`: the one command that throws a refresh token away.
//!
//! Here it always does; at the provider where it can. What was and was not done is said either way.

use crate::cli::failure::Failure;
use crate::cli::installation::{Installation, Legs};
use crate::cli::interrupt::Uninterrupted;
use crate::cli::{Done, print};
use crate::oauth::Revocation;
use crate::secret::Secret;
use crate::store::{Grant, GrantKind, GrantState, StoreError};
use crate::text::quoted;

pub(super) async fn revoke(installation: &Installation, name: &str) -> Result<Done, Failure> {
    let record = installation.exact_account(name).await?;
    let account = record.account.name;
    let Some(grant) = record.grant.filter(|grant| grant.refresh_token.is_some()) else {
        return Err(Failure::new(format!("there is no authorisation for {account} to revoke")));
    };
    let _revoking = Uninterrupted::begin();
    let refresh_token = take(installation, &grant.id, REVOKED).await?;
    print::words(&format!("The authorisation of {} is removed from this machine.", grant.owner));
    let others = others(installation, &grant, &account).await?;
    if !others.is_empty() {
        print::words(&format!("It also opened {}, which is closed now, too.", others.join(", ")));
    }
    let said = at_the_provider(installation, &grant, refresh_token).await;
    print::words(&said);
    Ok(Done::Well)
}

/// Why a grant without a refresh token has none, for `tokens list`.
const REVOKED: &str = "the authorisation was revoked here; run: imap-oauth-proxy authorize {account}";

/// Takes the refresh token out of the row, and says why there. `None` where it does not open.
pub(in crate::cli) async fn take(
    installation: &Installation,
    id: &crate::store::Id,
    why: &str,
) -> Result<Option<Secret>, Failure> {
    loop {
        let grant = installation.store.grant(id).await?;
        let mut grant = grant.ok_or_else(|| Failure::new("the authorisation is gone already"))?;
        let context = Grant::refresh_context(id);
        let sealed = grant.refresh_token.take();
        let token = sealed.and_then(|sealed| installation.sealer.open_text(&context, &sealed).ok());
        grant.access_token = None;
        grant.access_expires_at = None;
        grant.state = GrantState::NeedsAuthorization;
        grant.last_error = Some(why.to_owned());
        grant.failed_at = Some(time::OffsetDateTime::now_utc());
        grant.retry_at = None;
        match installation.store.update_grant(&grant, None).await {
            Ok(_) => return Ok(token),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn others(installation: &Installation, grant: &Grant, account: &str) -> Result<Vec<String>, Failure> {
    let accounts = installation.store.accounts().await?;
    let others = accounts.into_iter().filter(|other| other.grant.as_ref() == Some(&grant.id));
    Ok(others.map(|other| other.name).filter(|name| name != account).collect())
}

/// What became of it there, as a sentence.
async fn at_the_provider(installation: &Installation, grant: &Grant, token: Option<Secret>) -> String {
    let configured = installation.config.providers.get(&grant.provider);
    let Some(provider) = configured else {
        return format!(
            "The provider {} is no longer configured, so nothing was done there: withdraw the access in its account settings.",
            grant.provider
        );
    };
    let title = &provider.title;
    if grant.kind == GrantKind::App {
        return format!(
            "At {title} the application keeps its permission: an administrator withdraws it, or its key, there."
        );
    }
    let by_hand = provider
        .revoke_page
        .as_ref()
        .map_or_else(|| format!("in the account settings of {title}"), |page| format!("at {page}"));
    let Some(token) = token else {
        return format!(
            "The stored token could not be opened, so nothing was done at {title}: withdraw the access {by_hand}."
        );
    };
    let revoked = match Legs::of(provider) {
        Ok(legs) => legs.client.revoke(&token).await.map_err(|error| error.one_line(&quoted(&grant.owner))),
        Err(failure) => Err(failure.chain()),
    };
    match revoked {
        Ok(Revocation::Revoked) => format!("{title} has revoked it, too."),
        Ok(Revocation::ByHand { instruction }) => {
            format!(
                "{title} has no way for a program to revoke it: {instruction}, signed in as {}.",
                grant.owner
            )
        }
        Err(why) => format!(
            "warning: {title} did not revoke it ({why}). The token is gone from here; withdraw the access {by_hand}, signed in as {}.",
            grant.owner
        ),
    }
}
