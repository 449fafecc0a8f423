//! `authorize`: a consent, or an application's own right, becomes a grant that has proven itself.
//!
//! The order is the promise: consent, identity, a real sign-in with a count of the folders; only
//! then is anything stored, and only then is a mail program's set-up shown. Until that point Ctrl-C
//! leaves nothing behind. Each way to a consent is a file: a browser, a pasted address, the daemon's
//! callback, a code on another device, the application itself, or the grant that the owner gave already.

mod app;
mod consent;
mod device;
mod owner;
mod paste;
mod shared_callback;
mod storing;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use self::storing::first_password_name;
use self::summary::Summary;
use super::failure::Failure;
use super::installation::{Installation, Legs, Options};
use super::{Done, names, passwords, print};
use crate::config::{Config, Provider};
use crate::oauth::Tokens;
use crate::oauth::identity::{self, Identity};
use crate::secret::Secret;
use crate::store::fold;
use crate::text::quoted;

pub(super) use storing::{Certainty, NewGrant, prove_and_store};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The mailbox's address; with --app also @DOMAIN, for all mailboxes of a domain
    account: String,
    /// The provider, where the address does not tell
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Who consents, where the mailbox is shared or the sign-in has another name
    #[arg(long, value_name = "ADDRESS", conflicts_with = "app")]
    owner: Option<String>,
    /// Another login name for mail programs
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Take an alias that is another address than the account's without asking
    #[arg(long)]
    yes: bool,
    /// Print the address to open instead of starting a browser
    #[arg(long, conflicts_with_all = ["paste", "device", "app"])]
    no_browser: bool,
    /// Sign in with a browser anywhere, and paste the address that it ends at
    #[arg(long, conflicts_with_all = ["device", "app"])]
    paste: bool,
    /// Sign in on another device with a code that is shown here
    #[arg(long, conflicts_with = "app")]
    device: bool,
    /// Sign in as the application itself, without a person
    #[arg(long)]
    app: bool,
    /// With --app @DOMAIN: the mailbox to try it with
    #[arg(long, value_name = "ADDRESS", requires = "app")]
    probe: Option<String>,
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
    check_arguments(&arguments)?;
    let config = options.load()?;
    let provider = provider(&config, &arguments)?;
    let installation = Installation::open(config).await?;
    installation.verify_key().await?;
    let ca_file = installation.ca_file()?;
    let account = canonical_name(&installation, &arguments.account).await?;
    names::check_account(&installation, &account, arguments.app).await?;
    if let Some(owner) = &arguments.owner {
        names::check_owner(&installation, owner).await?;
    }
    // Before anybody consents in vain.
    names::check_aliases(&installation, &account, &arguments.alias, arguments.yes).await?;
    let request = Request { installation, legs: Legs::of(&provider)?, account, arguments };
    let stored = match (request.arguments.app, &request.arguments.owner) {
        (true, _) => app::authorize(&request).await?,
        (false, None) => by_consent(&request, &request.account).await?,
        (false, Some(owner)) if fold(owner) == fold(&request.account) => {
            by_consent(&request, &request.account).await?
        }
        (false, Some(owner)) => match owner::reuse(&request, owner).await? {
            Some(stored) => stored,
            None => by_consent(&request, owner).await?,
        },
    };
    finish(&request, &stored, ca_file)?;
    Ok(Done::Well)
}

/// What is asked for, and with what.
struct Request {
    installation: Installation,
    legs: Legs,
    /// As it is stored, where it is.
    account: String,
    arguments: Arguments,
}

/// A stored grant's account.
pub(super) struct Stored {
    account: String,
    owner: String,
    /// How many folders the mailbox has, where that could be asked.
    folders: Option<usize>,
    /// The app password that was made, where the account had none.
    password: Option<Secret>,
}

fn check_arguments(arguments: &Arguments) -> Result<(), Failure> {
    let names = [Some(&arguments.account), arguments.owner.as_ref(), arguments.probe.as_ref()];
    for name in names.into_iter().flatten().chain(&arguments.alias) {
        names::check_login_name(name)?;
    }
    passwords::check_name(&arguments.app_password_name)?;
    if arguments.account.starts_with('@') && !arguments.app {
        return Err(Failure::new("an account for a whole domain needs the application's own sign-in")
            .hint(format!("imap-oauth-proxy authorize {} --app", quoted(&arguments.account))));
    }
    if arguments.app && arguments.no_app_password {
        return Err(Failure::new(
            "--app needs an app password: an application's sign-in opens mailboxes without their owners, so only the app password guards them",
        )
        .hint("leave --no-app-password out"));
    }
    Ok(())
}

/// The provider of the account: the one named, else the one whose domain it is. It must have a client.
fn provider(config: &Config, arguments: &Arguments) -> Result<Arc<Provider>, Failure> {
    let account = &arguments.account;
    let provider = match &arguments.provider {
        Some(name) => return named_provider(config, name),
        None => config.provider_of(account),
    };
    match provider {
        Some(provider) => with_client(provider),
        None => Err(match config.unsupported(account) {
            Some(unsupported) => Failure::new(&unsupported.reason),
            None => Failure::new(format!("no provider is known for the domain of {account}"))
                .hint(format!("name it: imap-oauth-proxy authorize {} --provider NAME", quoted(account)))
                .hint(format!("NAME is one of {}", provider_names(config))),
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
            .hint(format!("there are {}", provider_names(config)))),
    }
}

fn provider_names(config: &Config) -> String {
    config.providers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn with_client(provider: &Arc<Provider>) -> Result<Arc<Provider>, Failure> {
    match provider.is_usable() {
        true => Ok(provider.clone()),
        false => Err(Failure::new(format!(
            "{} needs an OAuth client of your own before anybody can authorise: [providers.{}] client_id is not set",
            provider.title, provider.name
        ))
        .hint(format!("how to get one:\n\n{}", provider.registration.trim()))),
    }
}

/// The account's name as it is stored, where `name` is an account or an alias.
pub(super) async fn canonical_name(installation: &Installation, name: &str) -> Result<String, Failure> {
    let known = installation.store.login(name).await?;
    // A domain account answers for `name` without being it.
    let own = known.filter(|known| known.grant.as_ref().is_none_or(|grant| grant.mailbox.is_none()));
    Ok(own.map_or_else(|| name.to_owned(), |known| known.account.name))
}

/// A new consent of `owner`, judged, proven and stored.
async fn by_consent(request: &Request, owner: &str) -> Result<Stored, Failure> {
    if request.legs.provider.client_id.is_none() {
        with_registered_client(&request.legs.provider)?;
    }
    let tokens = match request.arguments.device {
        true => device::consent(request, owner).await?,
        false => consent::consent(request, owner).await?,
    };
    let certainty = judge(request, owner, &tokens).await?;
    print::words("Trying the sign-in at the mail server…");
    let grant = NewGrant { account: &request.account, owner, aliases: &request.arguments.alias, tokens };
    let password = first_password_name(&request.arguments);
    prove_and_store(&request.installation, &request.legs, grant, certainty, password).await
}

fn with_registered_client(provider: &Provider) -> Result<(), Failure> {
    Err(Failure::new(format!(
        "{} has a service account here, but no client that a person can consent to",
        provider.title
    ))
    .hint(format!("set client_id in [providers.{}], or authorise with --app", provider.name)))
}

async fn judge(request: &Request, owner: &str, tokens: &Tokens) -> Result<Certainty, Failure> {
    let account = &request.account;
    let names = request
        .legs
        .client
        .names(tokens)
        .await
        .map_err(|error| Failure::new(error.one_line(&quoted(account))))?;
    let names = match identity::judge(owner, &names) {
        Identity::Match => return Ok(Certainty::Known),
        Identity::Unknown => return Ok(Certainty::Unknown),
        Identity::Mismatch { names } => names,
    };
    let signed_in = names.join(" or ");
    let mut command = format!("imap-oauth-proxy authorize {}", quoted(account));
    if let Some(provider) = &request.arguments.provider {
        command.push_str(&format!(" --provider {}", quoted(provider)));
    }
    command
        .push_str(&format!(" --owner {}", names.first().map_or("ADDRESS".to_owned(), |name| quoted(name))));
    Err(Failure::new(format!("{signed_in} consented, but {owner} was expected; nothing is stored"))
        .hint(format!("sign in as {owner} (a private browser window forgets the other sign-in)"))
        .hint(format!("if {signed_in} may open {account}: {command}")))
}

fn finish(request: &Request, stored: &Stored, ca_file: Option<PathBuf>) -> Result<(), Failure> {
    let summary = Summary::new(&request.installation.config, &request.legs.provider, stored, ca_file)?;
    match request.arguments.json {
        true => print::json(&summary)?,
        false => summary.show(stored.folders),
    }
    Ok(())
}
