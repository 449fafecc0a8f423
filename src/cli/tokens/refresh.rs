//! `tokens refresh`: one refresh now, under the grant's lease like every other.

use super::clear_back_off;
use crate::cli::failure::Failure;
use crate::cli::installation::{Installation, Legs};
use crate::cli::interrupt::Uninterrupted;
use crate::cli::result::rfc3339;
use crate::cli::{Done, print};
use crate::text::quoted;

pub(super) async fn refresh(installation: &Installation, name: &str) -> Result<Done, Failure> {
    let record = installation.account(name).await?;
    let account = record.account.name;
    let Some(grant) = record.grant.filter(|grant| grant.refresh_token.is_some()) else {
        return Err(Failure::new(format!("there is no authorisation for {account} to refresh"))
            .hint(format!("imap-oauth-proxy authorize {}", quoted(&account))));
    };
    let provider = installation.config.providers.get(&grant.provider);
    let per_mailbox = provider.is_some_and(|provider| provider.app_tokens_are_per_mailbox());
    if account.starts_with('@') && per_mailbox {
        return Err(Failure::new(format!("{account} has a token for each mailbox, fetched when it logs in"))
            .hint(format!(
                "imap-oauth-proxy tokens refresh {} tries one of them",
                quoted(&format!("NAME{account}"))
            )));
    }
    let legs = Legs::of_configured(&installation.config)?;
    let target = grant.command_target(&account);
    let _refreshing = Uninterrupted::begin();
    let grant = clear_back_off(installation, &grant).await?;
    let renewed = installation.tokens(&legs).renew(&grant).await;
    let token = renewed.map_err(|failure| {
        Failure::new(format!(
            "no new token for {account}: {}",
            failure.to_string().replace("{account}", &target)
        ))
    })?;
    print::words(&format!("{account} has a new access token, which ends at:"));
    print::data(&rfc3339(Some(token.expires_at)).unwrap_or_default());
    Ok(Done::Well)
}
