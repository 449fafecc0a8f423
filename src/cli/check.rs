//! `check`: everything on the way to the mail, step by step.
//!
//! The first step that fails is named with cause and cure, and what stands on it is not tried. What is
//! printed is safe to paste in public: no token and no password has a printable form here, only what kind
//! they are and when they end.

mod mail;
mod names;
mod report;

use super::Done;
use super::failure::Failure;
use super::installation::{Installation, Legs, Options};
use super::interrupt::Uninterrupted;
use crate::config::Config;
use crate::secret::SealError;
use crate::store::{Account, Grant, GrantState, LoginRecord};
use crate::text::quoted;

use self::report::{Outcome, Report};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this account
    account: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let mut report = Report::new(arguments.json);
    // A wrong configuration is a mistake of its own, with its own exit code.
    let config = options.load()?;
    let from = config.file.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
    report.done("config", None, &format!("read from {from}"));
    let checked = check(&mut report, config, arguments.account.as_deref()).await;
    report.finish()?;
    checked.map(|()| report.outcome()).and_then(|outcome| match outcome {
        Outcome::Well => Ok(Done::Well),
        Outcome::NeedsPerson => Ok(Done::NeedsPerson),
        Outcome::Failed => Err(Failure::silent()),
    })
}

async fn check(report: &mut Report, config: Config, account: Option<&str>) -> Result<(), Failure> {
    let Some(installation) = open(report, config).await else { return Ok(()) };
    let accounts = match account {
        Some(name) => match installation.account(name).await {
            Ok(record) => vec![record],
            Err(failure) => {
                let started = report.start();
                report.failed("account", started, &failure.chain(), &failure.hints().join("; "));
                return Ok(());
            }
        },
        None => all(&installation).await?,
    };
    if accounts.is_empty() {
        report.note("There is no account yet; imap-oauth-proxy authorize YOU@EXAMPLE.COM makes one.");
    }
    let legs = Legs::of_configured(&installation.config)?;
    let all_accounts = installation.store.accounts().await?;
    for LoginRecord { account, grant, passwords } in &accounts {
        report.account(&account.name);
        let aliases = all_accounts.iter().find(|known| known.id == account.id).map(|known| &known.aliases);
        names::look_at(report, account, aliases.map_or(&[], Vec::as_slice), grant.as_ref());
        if passwords.is_empty() {
            let cure = format!("imap-oauth-proxy passwords create {} --name NAME", quoted(&account.name));
            report.person("app password", "it has none, so no mail program can log in", &cure);
        }
        account_steps(report, &installation, account, grant.as_ref(), &legs).await;
    }
    Ok(())
}

async fn all(installation: &Installation) -> Result<Vec<LoginRecord>, Failure> {
    let mut records = Vec::new();
    for account in installation.store.accounts().await? {
        records.extend(installation.store.login(&account.name).await?);
    }
    Ok(records)
}

/// Store and key.
async fn open(report: &mut Report, config: Config) -> Option<Installation> {
    let started = report.start();
    let (directory, source) = (config.state_directory.clone(), config.store.key.to_string());
    let installation = match Installation::open(config).await {
        Ok(installation) => installation,
        Err(failure) => {
            let cure = failure.hints().join("; ");
            report.failed("store and key", started, &failure.chain(), &cure);
            return None;
        }
    };
    report.done("store", Some(started), &format!("SQLite in {}", directory.display()));
    let started = report.start();
    match opens_everything(&installation).await {
        Ok(count) => {
            let ids: Vec<String> = installation.sealer.key_ids().iter().map(u32::to_string).collect();
            let text = format!("{source}, key {}; it opens all {count} sealed values", ids.join(", "));
            report.done("key", Some(started), &text);
            Some(installation)
        }
        Err(why) => {
            report.failed("key", started, &why, "restore the key that this store was made with");
            None
        }
    }
}

async fn opens_everything(installation: &Installation) -> Result<usize, String> {
    let failed = |what: &str, error: &SealError| format!("{what} cannot be opened: {error}");
    let mut count = 0;
    let settings = installation.store.sealed_settings().await.map_err(|error| error.to_string())?;
    for setting in &settings {
        let opened = installation.sealer.open(&setting.key, &setting.value);
        opened.map_err(|error| failed(&setting.key, &error))?;
        count += 1;
    }
    for grant in installation.store.grants().await.map_err(|error| error.to_string())? {
        let what = format!("the grant of {}", grant.owner);
        let values = [
            (Grant::refresh_context(&grant.id), &grant.refresh_token),
            (Grant::access_context(&grant.id), &grant.access_token),
        ];
        for (context, sealed) in values {
            let Some(sealed) = sealed else { continue };
            installation.sealer.open(&context, sealed).map_err(|error| failed(&what, &error))?;
            count += 1;
        }
    }
    Ok(count)
}

async fn account_steps(
    report: &mut Report,
    installation: &Installation,
    account: &Account,
    grant: Option<&Grant>,
    legs: &std::collections::HashMap<String, Legs>,
) {
    let again = format!("imap-oauth-proxy authorize {}", quoted(&account.name));
    let Some(grant) = grant else {
        return report.person("grant", "there is no authorisation for this account", &again);
    };
    let Some(own) = legs.get(&grant.provider) else {
        let why = format!("the configuration has no provider {:?} with a client any more", grant.provider);
        return report.person("provider", &why, &format!("put [providers.{}] back", grant.provider));
    };
    if !mail::way_is_open(report, own).await {
        return;
    }
    let started = report.start();
    let token = {
        let _refreshing = Uninterrupted::begin();
        let tokens = installation.tokens(legs);
        // What is on record may have been cured; this command is how one finds out.
        match super::tokens::clear_back_off(installation, grant).await {
            Ok(grant) if grant.state == GrantState::Ok => tokens.access(&grant).await,
            Ok(grant) => tokens.renew(&grant).await,
            Err(failure) => return report.failed("token", started, &failure.chain(), ""),
        }
    };
    let target = grant.command_target(&account.name);
    match token {
        Ok(token) => {
            let left = (token.expires_at - time::OffsetDateTime::now_utc()).whole_minutes();
            let scopes = super::tokens::scopes_in_words(&own.provider, grant);
            report.done("token", Some(started), &format!("good for {left} min; {scopes}"));
            let mailbox = (!account.name.starts_with('@')).then_some(account.name.as_str());
            match mailbox {
                Some(mailbox) => {
                    if mail::opens(report, own, mailbox, &token.secret).await {
                        let _ = installation.store.set_trouble(&account.id, None).await;
                    }
                }
                None => {
                    report.note("A domain account is tried with one of its mailboxes: check NAME@DOMAIN.");
                }
            }
        }
        Err(failure) => report.token(started, &failure, &target),
    }
}

/// Without anything that moves a cursor, for the report.
fn plain(text: &str) -> String {
    crate::text::plain(text).replace('\n', " ")
}
