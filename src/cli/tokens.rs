//! `tokens`: every grant, what threatens it, and what a person does to it.

mod import;
mod list;
mod refresh;
mod revoke;

pub(super) use revoke::take;

use time::OffsetDateTime;

use super::Done;
use super::failure::Failure;
use super::installation::{Installation, Options};
use crate::config::Provider;
use crate::oauth::scope;
use crate::store::{Grant, StoreError};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List every grant with its state and what would end it; exit 3 when one needs a person
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Fetch a new access token now, whatever is waited for
    Refresh {
        /// The account
        account: String,
    },
    /// Store a refresh token that was got elsewhere, read from standard input
    Import {
        /// The account that it is for
        account: String,
        /// The provider that issued it
        #[arg(long, value_name = "NAME")]
        provider: String,
    },
    /// Take an authorisation back, at the provider too where that is possible
    Revoke {
        /// The account
        account: String,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let installation = Installation::open(options.load()?).await?;
    match command {
        Command::List { json } => list::list(&installation, json).await,
        Command::Refresh { account } => refresh::refresh(&installation, &account).await,
        Command::Import { account, provider } => {
            installation.verify_key().await?;
            import::import(&installation, &account, &provider).await
        }
        Command::Revoke { account } => revoke::revoke(&installation, &account).await,
    }
}

/// Forgets how long to wait before the provider is asked again; the grant as it then is.
pub(super) async fn clear_back_off(installation: &Installation, grant: &Grant) -> Result<Grant, Failure> {
    loop {
        let read = installation.store.grant(&grant.id).await?;
        let mut current = read.ok_or_else(|| Failure::new("the authorisation is gone"))?;
        if current.retry_at.is_none() {
            return Ok(current);
        }
        current.retry_at = None;
        match installation.store.update_grant(&current).await {
            Ok(revision) => return Ok(Grant { revision, ..current }),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The mail scopes of a grant, or those that are missing.
pub(super) fn scopes_in_words(provider: &Provider, grant: &Grant) -> String {
    let missing = missing_scopes(provider, grant);
    match missing.is_empty() {
        true => format!("scopes {}", grant.scopes.join(" ")),
        false => format!("the scope {} is missing", missing.join(" ")),
    }
}

/// What the configuration asks for and the grant lacks.
pub(super) fn missing_scopes(provider: &Provider, grant: &Grant) -> Vec<String> {
    match grant.kind() {
        crate::store::GrantKind::App => Vec::new(),
        crate::store::GrantKind::Person => scope::missing(&provider.scopes, Some(&grant.scopes)),
    }
}

/// When the last refresh was, for the forecast.
pub(super) fn last_refresh(grant: &Grant) -> OffsetDateTime {
    grant.refreshed_at.unwrap_or(grant.authorized_at)
}
