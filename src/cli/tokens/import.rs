//! `tokens import`: a refresh token that was got elsewhere proves itself and is stored.

use crate::cli::authorize::{Certainty, NewGrant, canonical_name, named_provider, prove_and_store};
use crate::cli::failure::Failure;
use crate::cli::installation::{Installation, Legs};
use crate::cli::interrupt::Uninterrupted;
use crate::cli::{Done, names, print, terminal};
use crate::secret::Secret;
use crate::text::quoted;

/// Far above any provider's; Microsoft's come near two kilobytes.
const LONGEST_REFRESH_TOKEN: u64 = 16 * 1024;

pub(super) async fn import(
    installation: &Installation,
    account: &str,
    provider: &str,
) -> Result<Done, Failure> {
    names::check_login_name(account)?;
    names::check_account(installation, account, false).await?;
    let provider = named_provider(&installation.config, provider)?;
    let refresh_token = read_refresh_token().await?;
    let legs = Legs::of(&provider)?;
    // A provider that rotates spends the token that was given: from here on there is no way back.
    let _importing = Uninterrupted::begin();
    let mut tokens = legs.client.refresh(&refresh_token, &provider.scopes).await.map_err(|error| {
        Failure::new(format!(
            "{} does not accept that refresh token: {}",
            provider.title,
            error.one_line(&quoted(account))
        ))
    })?;
    // Most providers keep the old one valid and do not repeat it.
    tokens.refresh_token.get_or_insert(refresh_token);
    let account = canonical_name(installation, account).await?;
    let granted = NewGrant { account: &account, owner: &account, aliases: &[], tokens };
    prove_and_store(installation, &legs, granted, Certainty::Unknown, None).await?;
    print::words(&format!(
        "{account} is authorised with the imported token. Mail programs need an app password:"
    ));
    print::words(&format!("  imap-oauth-proxy passwords create {} --name NAME", quoted(&account)));
    Ok(Done::Well)
}

async fn read_refresh_token() -> Result<Secret, Failure> {
    let text = terminal::read_stdin(LONGEST_REFRESH_TOKEN).await?;
    let token = text.trim();
    let is_token = !token.is_empty()
        && token.len() as u64 <= LONGEST_REFRESH_TOKEN
        && token.bytes().all(|b| b.is_ascii_graphic());
    match is_token {
        true => Ok(Secret::new(token)),
        false => Err(Failure::new("standard input does not hold a refresh token")
            .hint("give the token alone on one line, as in: imap-oauth-proxy tokens import ACCOUNT --provider NAME < token.txt")),
    }
}
