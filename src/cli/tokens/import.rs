//! `tokens import`: proves a refresh token from elsewhere and stores it.

use crate::cli::authorize::warn;
use crate::cli::failure::{Done, Failure};
use crate::cli::{print, terminal};
use crate::command;
use crate::config::Door;
use crate::control::{Installation, authorize, providers};
use crate::secret::Secret;

/// Far above the length of any provider's refresh tokens; Microsoft's come near two kilobytes.
const LONGEST_REFRESH_TOKEN: u64 = 16 * 1024;

pub(super) async fn import(
    installation: &Installation,
    account: &str,
    provider: &str,
    protocols: Option<Vec<Door>>,
) -> Result<Done, Failure> {
    let provider = providers::named(&installation.config, provider)?;
    let protocols = protocols.as_deref();
    authorize::check_import(installation, &provider, account, protocols).await?;
    let refresh_token = read_refresh_token().await?;
    let stored =
        authorize::import(installation, &provider, account, protocols, refresh_token, &mut |_| ()).await?;
    warn(&stored);
    let account = stored.account;
    print::words(&format!(
        "{account} is authorised with the imported token. Mail programs need an app password:"
    ));
    print::words(&format!("  {}", command::create_password(&account)));
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
