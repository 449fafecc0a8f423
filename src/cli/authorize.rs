//! `authorize`: shows a person the steps to a grant, and the settings for the mail program.
//!
//! Ctrl-C leaves nothing behind until something is stored.

pub(super) mod browser;
mod device;
mod paste;
mod summary;
mod warnings;

use std::time::Duration;

use url::Url;

use self::summary::SetUp;
pub(super) use self::warnings::warn;
use super::failure::{Done, Failure};
use super::options::{Options, door};
use super::{agreement, print};
use crate::admin::ask::is_any_running;
use crate::config::Door;
use crate::control::authorize::{
    Answer, AuthorizeRequest, Consent, ConsentWay, Pending, Plan, Progress, Todo, begin,
};
use crate::control::{Error, Installation};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The mailbox's address; with --app also @DOMAIN, for all mailboxes of a domain
    account: String,
    /// The provider, if the address does not determine it
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The person who consents, if the mailbox is shared or the sign-in has another name
    #[arg(long, value_name = "ADDRESS", conflicts_with = "app")]
    owner: Option<String>,
    /// Another login name for mail programs
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Accept an alias that is another address than the account's without asking
    #[arg(long)]
    yes: bool,
    /// The protocols that must work, separated by commas [default: those that do]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = door)]
    protocols: Option<Vec<Door>>,
    /// Print the address to open instead of starting a browser
    #[arg(long, conflicts_with_all = ["paste", "device", "app"])]
    no_browser: bool,
    /// Sign in with a browser on any machine, and paste the address at which it ends
    #[arg(long, conflicts_with_all = ["device", "app"])]
    paste: bool,
    /// Sign in on another device with a code that is shown here
    #[arg(long, conflicts_with = "app")]
    device: bool,
    /// Sign in as the application itself, without a person
    #[arg(long)]
    app: bool,
    /// With --app @DOMAIN: the mailbox for the test
    #[arg(long, value_name = "ADDRESS", requires = "app")]
    probe: Option<String>,
    /// The name of the new app password
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
    /// Also print the address to open as a JSON object
    #[arg(long, conflicts_with = "json")]
    json_lines: bool,
}

impl Arguments {
    fn request(&self) -> AuthorizeRequest {
        let way = match (self.app, self.device, self.paste) {
            (true, ..) => ConsentWay::App { probe: self.probe.clone() },
            (_, true, _) => ConsentWay::Device,
            (.., true) => ConsentWay::Paste,
            _ => ConsentWay::Redirect,
        };
        AuthorizeRequest {
            account: self.account.clone(),
            provider: self.provider.clone(),
            owner: self.owner.clone(),
            aliases: self.alias.clone(),
            protocols: self.protocols.clone(),
            way,
            password: (!self.no_app_password).then(|| self.app_password_name.clone()),
            seconds: self.timeout,
        }
    }
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let config = options.load()?;
    let plan = Plan::new(&config, arguments.request())?;
    let installation = Installation::open(config).await?;
    let ca_file = crate::control::certs::ca_file(&installation).await?;
    let judged =
        agreement::to_aliases(arguments.yes, async |yes| plan.judge(&installation, yes).await).await?;
    let provider = judged.provider.clone();
    let stored = match begin(&installation, judged, &mut progress).await? {
        Pending::Ready(ready) => ready.finish(&installation, &mut progress).await?,
        Pending::Consent(mut consent) => match answer(&mut consent, &installation, &arguments).await {
            Ok(answer) => consent.finish(&installation, answer, &mut progress).await?,
            Err(failure) => {
                consent.withdraw(&installation).await;
                return Err(failure);
            }
        },
    };
    warn(&stored);
    let summary = SetUp::new(&installation.config, &provider, &stored, ca_file)?;
    match arguments.json || arguments.json_lines {
        true => print::json(&summary)?,
        false => {
            summary.show(&stored.proofs);
            if !is_any_running(&installation.config.state_directory) {
                print::words(
                    "Nothing serves mail programs yet. Next: imap-oauth-proxy serve (as a service: systemctl start imap-oauth-proxy)",
                );
            }
        }
    }
    Ok(Done::Well)
}

/// The person's answer, while the consent is awaited.
async fn answer(
    consent: &mut Consent,
    installation: &Installation,
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    let seconds = consent.seconds();
    let answer = async {
        match consent.todo() {
            Todo::Paste { url, redirect_uri } => {
                paste::answer(consent, installation, url, redirect_uri, arguments.json_lines).await
            }
            Todo::Open { url, redirect_uri } => {
                match arguments.no_browser {
                    true => browser::announce(consent, url, redirect_uri, arguments.json_lines),
                    false => browser::open(url, consent.owner(), &installation.config.store.key),
                }
                announce_approval(consent);
                print::words(&format!(
                    "Waiting up to {} s for the sign-in; Ctrl-C stops.",
                    arguments.timeout
                ));
                Ok(consent.wait(installation).await?)
            }
            Todo::EnterCode(device) => {
                let end = device.expires_at;
                device::show(device, consent, arguments.json_lines);
                announce_approval(consent);
                device::counting_down(end, consent.wait(installation)).await
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(seconds), answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::NoConsent { seconds }.into()),
    }
}

/// Shows the link for an administrator, if there is one: the provider's page that asks for approval may never send the
/// browser back, so the person would learn nothing else. A message, because standard output holds only the address to open.
fn announce_approval(consent: &Consent) {
    let Some(link) = consent.approval() else { return };
    print::words(
        "If Microsoft says that an administrator has to approve this, an administrator opens this address once and accepts; then sign in here again:",
    );
    print::words(&format!("  {link}"));
}

fn progress(progress: Progress<'_>) {
    print::words(&match progress {
        Progress::TryingOwnersGrant { owner, account } => {
            format!("{owner} is authorised already; trying that authorisation with {account}…")
        }
        Progress::OwnersGrantEnded { owner } => {
            format!("The authorisation of {owner} has ended; a new consent is needed.")
        }
        Progress::SigningIn { title } => format!("Signing in as the application at {title}…"),
        Progress::FetchingTokens => "The sign-in is done; fetching the tokens…".to_owned(),
        Progress::Proving { door, mailbox } => {
            format!("Trying the sign-in to {mailbox} at the {} server…", door.title())
        }
    });
}

/// The address that a person has to open, for programs.
#[derive(serde::Serialize)]
struct ToOpen<'a> {
    url: &'a str,
    /// The code to enter on the page, if the page asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// The link that an administrator opens once, if the provider may require that.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_consent_url: Option<String>,
}

impl<'a> ToOpen<'a> {
    fn new(url: &'a Url, consent: &Consent) -> Self {
        Self { url: url.as_str(), code: None, admin_consent_url: consent.approval().map(String::from) }
    }

    fn show(&self, as_json: bool) {
        match as_json {
            true => drop(print::json(self)),
            false => print::data(self.url),
        }
    }
}
