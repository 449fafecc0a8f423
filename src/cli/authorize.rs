//! `authorize`: a person's consent becomes a grant that has proven itself.
//!
//! The order is the promise: consent, identity, a real sign-in with a count of the folders; only
//! then is anything stored, and only then is a mail program's set-up shown. Until that point Ctrl-C
//! leaves nothing behind.

mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use self::summary::Summary;
use super::failure::Failure;
use super::installation::{Installation, Legs, Options};
use super::proof::{Unproven, prove};
use super::{Done, accounts, passwords, print};
use crate::config::{Config, Provider};
use crate::oauth::identity::{self, Identity};
use crate::oauth::{Callback, Tokens};
use crate::secret::Secret;
use crate::store::{self, Account, Grant, fold};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The mailbox's address
    account: String,
    /// The provider, where the address does not tell
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Another login name for mail programs
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Print the address to open instead of starting a browser
    #[arg(long)]
    no_browser: bool,
    /// The name of the app password that is made
    #[arg(long, value_name = "NAME", default_value = "default")]
    app_password_name: String,
    /// Make no app password
    #[arg(long, conflicts_with = "app_password_name")]
    no_app_password: bool,
    /// How long to wait for the consent
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print the result as a JSON object on one line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    accounts::check_login_name(&arguments.account)?;
    for alias in &arguments.alias {
        accounts::check_login_name(alias)?;
    }
    passwords::check_name(&arguments.app_password_name)?;
    let config = options.load()?;
    let provider = provider(&config, &arguments.account, arguments.provider.as_deref())?;
    let installation = Installation::open(config).await?;
    let ca_file = installation.ca_file()?;
    let account = canonical_name(&installation, &arguments.account).await?;
    let legs = Legs::of(&provider)?;

    let tokens = consent(&legs, &account, &arguments).await?;
    let certainty = judge(&legs, &account, &tokens).await?;
    let granted = Granted { account: &account, owner: &account, aliases: &arguments.alias, tokens };
    let stored = prove_and_store(&installation, &legs, granted, certainty).await?;

    let password = first_password(&installation, &stored, &arguments).await?;
    finish(&installation, &legs, &stored, password.as_ref(), ca_file, arguments.json)?;
    Ok(Done::Well)
}

/// The provider of `account`: the one named, else the one whose domain it is. With a client.
fn provider(config: &Config, account: &str, name: Option<&str>) -> Result<Arc<Provider>, Failure> {
    let provider = match name {
        Some(name) => return named_provider(config, name),
        None => config.provider_of(account),
    };
    match provider {
        Some(provider) => with_client(provider),
        None => Err(match config.unsupported(account) {
            Some(unsupported) => Failure::new(&unsupported.reason),
            None => Failure::new(format!("no provider is known for the domain of {account}"))
                .hint(format!("name it: imap-oauth-proxy authorize {account} --provider NAME"))
                .hint(format!("NAME is one of {}", names(config))),
        }),
    }
}

/// The provider called `name`, which must have a client.
pub(super) fn named_provider(config: &Config, name: &str) -> Result<Arc<Provider>, Failure> {
    if let Some(unsupported) = config.unsupported.iter().find(|entry| entry.name == name) {
        return Err(Failure::new(&unsupported.reason));
    }
    match config.providers.get(name) {
        Some(provider) => with_client(provider),
        None => Err(Failure::new(format!("there is no provider {name:?}"))
            .hint(format!("there are {}", names(config)))),
    }
}

fn names(config: &Config) -> String {
    config.providers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn with_client(provider: &Arc<Provider>) -> Result<Arc<Provider>, Failure> {
    match provider.client_id {
        Some(_) => Ok(provider.clone()),
        None => Err(Failure::new(format!(
            "{} needs an OAuth client of your own before anybody can authorise: [providers.{}] client_id is not set",
            provider.title, provider.name
        ))
        .hint(format!("how to get one:\n\n{}", provider.registration.trim()))),
    }
}

/// The account's name as it is stored, where `name` is an account or an alias.
pub(super) async fn canonical_name(installation: &Installation, name: &str) -> Result<String, Failure> {
    let known = installation.store.login(name).await?;
    Ok(known.map_or_else(|| name.to_owned(), |known| known.account.name))
}

/// The authorisation code flow through a browser.
async fn consent(legs: &Legs, account: &str, arguments: &Arguments) -> Result<Tokens, Failure> {
    let callback = Callback::bind(&legs.provider.redirect_uri).await?;
    let authorization = legs
        .client
        .authorization(&callback.redirect_uri(), Some(account))
        .await
        .map_err(|error| Failure::new(error.one_line(account)))?;
    let url = authorization.url().as_str();
    if arguments.no_browser {
        print::words(&format!("Open this address in a browser on this machine and sign in as {account}:"));
        print::data(url);
    } else {
        print::words(&format!("A browser opens; sign in as {account}. If none does, open this address:"));
        print::words(url);
        if let Err(error) = open::that_detached(url) {
            print::words(&format!("No browser could be started: {error}"));
        }
    }
    let waited =
        tokio::time::timeout(Duration::from_secs(arguments.timeout), callback.wait(&authorization)).await;
    let code = waited.map_err(|_| {
        Failure::new(format!("nobody consented within {} s", arguments.timeout))
            .hint("run the command again; --timeout SECONDS waits longer")
    })??;
    legs.client.exchange(authorization, code).await.map_err(|error| match &error {
        crate::oauth::AuthorizeError::Token(token) => Failure::new(token.one_line(account)),
        _ => Failure::from(error),
    })
}

/// How sure it is that the person who consented is the one who was meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The provider said so.
    Known,
    /// The provider tells no names: the sign-in has to prove it.
    Unknown,
}

async fn judge(legs: &Legs, owner: &str, tokens: &Tokens) -> Result<Certainty, Failure> {
    let names = legs.client.names(tokens).await.map_err(|error| Failure::new(error.one_line(owner)))?;
    match identity::judge(owner, &names) {
        Identity::Match => Ok(Certainty::Known),
        Identity::Unknown => Ok(Certainty::Unknown),
        Identity::Mismatch { names } => {
            let signed_in = names.join(" or ");
            Err(Failure::new(format!("{signed_in} consented, but the account is {owner}; nothing is stored"))
                .hint(format!("sign in as {owner} (a private browser window forgets the other sign-in)"))
                .hint(format!(
                    "if {signed_in} may open that mailbox: imap-oauth-proxy authorize {owner} --owner {}",
                    names.first().map_or("ADDRESS", String::as_str)
                )))
        }
    }
}

/// A consent's result, to be proven and stored.
pub(super) struct Granted<'a> {
    pub(super) account: &'a str,
    pub(super) owner: &'a str,
    pub(super) aliases: &'a [String],
    pub(super) tokens: Tokens,
}

/// A stored grant's account, and how many folders its mailbox has where that could be asked.
pub(super) struct Stored {
    pub(super) account: Account,
    pub(super) owner: String,
    pub(super) folders: Option<usize>,
}

/// Signs in with the new token, then stores. A provider that cannot be reached right now costs no
/// consent where it is known who consented.
pub(super) async fn prove_and_store(
    installation: &Installation,
    legs: &Legs,
    granted: Granted<'_>,
    certainty: Certainty,
) -> Result<Stored, Failure> {
    let proven = prove(legs, granted.account, &granted.tokens.access_token).await;
    let folders = match proven {
        Ok(folders) => Some(folders),
        Err(unproven) if certainty == Certainty::Known && unproven.is_passing() => {
            print::words(&format!("warning: the sign-in could not be tried yet: {unproven}"));
            None
        }
        Err(unproven) => return Err(unproven_failure(&unproven, granted.account)),
    };
    let owner = granted.owner.to_owned();
    let account = store(installation, legs, granted).await?;
    Ok(Stored { account, owner, folders })
}

fn unproven_failure(unproven: &Unproven, account: &str) -> Failure {
    Failure::new(format!(
        "the new authorisation did not open the mailbox {account}, so nothing is stored: {unproven}"
    ))
}

async fn store(installation: &Installation, legs: &Legs, granted: Granted<'_>) -> Result<Account, Failure> {
    let now = OffsetDateTime::now_utc();
    let Granted { account, owner, aliases, tokens } = granted;
    let known = installation.store.grant_of(&legs.provider.name, owner).await?;
    let id = known.map(|grant| grant.id);
    let mut grant = Grant::new(&legs.provider.name, owner, now);
    if let Some(id) = id {
        grant.id = id;
    }
    let seal =
        |context: String, secret: &Secret| installation.sealer.seal(&context, secret.expose().as_bytes());
    grant.access_token = Some(seal(Grant::access_context(&grant.id), &tokens.access_token)?);
    grant.access_expires_at = Some(tokens.expires_at);
    if let Some(refresh_token) = &tokens.refresh_token {
        grant.refresh_token = Some(seal(Grant::refresh_context(&grant.id), refresh_token)?);
    }
    grant.scopes = tokens.scopes.unwrap_or_else(|| legs.provider.scopes.clone());
    grant.refreshed_at = Some(now);
    grant.refresh_expires_at = tokens.refresh_expires_at;
    let aliases: Vec<String> = aliases.iter().filter(|alias| fold(alias) != fold(account)).cloned().collect();
    let authorization = store::Authorization { account: account.to_owned(), aliases, grant };
    Ok(installation.store.authorize(&authorization).await?)
}

/// A password for an account that has none yet.
async fn first_password(
    installation: &Installation,
    stored: &Stored,
    arguments: &Arguments,
) -> Result<Option<Secret>, Failure> {
    if arguments.no_app_password || !installation.store.passwords(&stored.account.id).await?.is_empty() {
        return Ok(None);
    }
    let password = passwords::add(installation, &stored.account, &arguments.app_password_name, None).await?;
    Ok(Some(password))
}

fn finish(
    installation: &Installation,
    legs: &Legs,
    stored: &Stored,
    password: Option<&Secret>,
    ca_file: Option<PathBuf>,
    json: bool,
) -> Result<(), Failure> {
    let summary = Summary::new(&installation.config, &legs.provider, stored, password, ca_file)?;
    match json {
        true => print::json(&summary)?,
        false => summary.show(stored.folders),
    }
    Ok(())
}
