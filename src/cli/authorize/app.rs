//! `--app`: the application itself may open the mailbox; no person consents, and no refresh token comes.
//!
//! What guards such a mailbox is the app password alone, so the account and its first password are
//! stored in one moment, or not at all.

use time::OffsetDateTime;

use super::storing::{AppGranted, store_app};
use super::{Request, Stored};
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::proof::prove;
use crate::config::AppGrant;
use crate::text::quoted;

const GOOGLE: &str = "https://accounts.google.com";

pub(super) async fn authorize(request: &Request) -> Result<Stored, Failure> {
    let provider = &request.legs.provider;
    let account = &request.account;
    check_configuration(request)?;
    let is_domain = account.starts_with('@');
    let probe = match (is_domain, &request.arguments.probe) {
        (false, _) => Some(account),
        (true, probe) => probe.as_ref(),
    };
    // A token that opens one mailbox alone needs one to be asked for.
    let subject = probe.or((!provider.app_tokens_are_per_mailbox()).then_some(account));
    let tokens = match subject {
        None => None,
        Some(subject) => {
            print::words(&format!("Signing in as the application at {}…", provider.title));
            let tokens = request.legs.client.app_token(subject).await;
            Some(tokens.map_err(|error| Failure::new(error.one_line(&quoted(account))))?)
        }
    };
    let mut folders = None;
    match (&tokens, probe) {
        (Some(tokens), Some(mailbox)) => {
            print::words(&format!("Trying the sign-in to {mailbox} at the mail server…"));
            let proven = prove(&request.legs, mailbox, &tokens.access_token).await;
            folders = Some(proven.map_err(|unproven| {
                Failure::new(format!(
                    "the application's token did not open the mailbox {mailbox}, so nothing is stored: {unproven}"
                ))
            })?);
        }
        _ => print::words(&format!(
            "warning: no mailbox of {account} was tried; name one with --probe ADDRESS to have the proof now"
        )),
    }
    let granted = AppGranted {
        account,
        aliases: &request.arguments.alias,
        scopes: scopes(provider.app.as_ref()),
        // The row holds a token that opens whatever the account stands for.
        tokens: tokens.filter(|_| !(is_domain && provider.app_tokens_are_per_mailbox())),
        now: OffsetDateTime::now_utc(),
    };
    let password = &request.arguments.app_password_name;
    let mut stored = store_app(&request.installation, provider, granted, password).await?;
    stored.folders = folders;
    Ok(stored)
}

fn check_configuration(request: &Request) -> Result<(), Failure> {
    let provider = &request.legs.provider;
    let table = format!("[providers.{}]", provider.name);
    let is_google = provider.issuer.as_deref() == Some(GOOGLE);
    match &provider.app {
        Some(AppGrant::ClientSecret { .. }) if is_google => Err(Failure::new(format!(
            "{} gives an application mail access through a service account only",
            provider.title
        ))
        .hint(format!("set service_account_file in {table}; docs/google.md tells how to get one"))),
        Some(_) => Ok(()),
        None => Err(Failure::new(format!("no application sign-in is configured for {}", provider.title))
            .hint(format!(
                "Microsoft: client_secret_file, or app_certificate and app_key, in {table}; docs/microsoft.md tells the rest"
            ))
            .hint(format!("Google: service_account_file in {table}; docs/google.md tells the rest"))
            .hint(format!("others: client_secret and app_scopes in {table}"))),
    }
}

fn scopes(app: Option<&AppGrant>) -> Vec<String> {
    match app {
        Some(
            AppGrant::ClientSecret { scopes }
            | AppGrant::Certificate { scopes, .. }
            | AppGrant::ServiceAccount { scopes, .. },
        ) => scopes.clone(),
        None => Vec::new(),
    }
}
