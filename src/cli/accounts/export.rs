//! `accounts export`: an authorisation moves to another installation.
//!
//! Two hosts that refresh one rotating token kill the grant, so the source gives it up: the bundle is
//! written out first, and then the token is taken from the row, all under the grant's lease, so that no
//! refresh comes between. App passwords do not travel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::cli::failure::Failure;
use crate::cli::installation::Installation;
use crate::cli::interrupt::Uninterrupted;
use crate::cli::{print, terminal, tokens};
use crate::config::Provider;
use crate::secret::{Secret, bundle};
use crate::store::{Grant, GrantKind, Id, LoginRecord};
use crate::text::{one_line, quoted};

/// Longer than a person takes to type a passphrase is not needed: it is asked for before.
const LEASE: time::Duration = time::Duration::seconds(60);
/// What is shorter is guessed; the bundle may be seen by anybody.
const SHORTEST_PASSPHRASE: usize = 12;
/// More than anybody types.
const LONGEST_PASSPHRASE: usize = 1024;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The account
    account: String,
    /// Seal it for the installation whose `keys recipient` printed this
    #[arg(long, value_name = "KEY", conflicts_with = "passphrase_file")]
    recipient: Option<String>,
    /// Read the passphrase from this file's first line; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Where it goes, to be shown in the list
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Go on using it here, too; only where the provider keeps refresh tokens as they are
    #[arg(long)]
    copy: bool,
}

/// What travels. The text of it exists in memory and in the seal only.
#[derive(Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) account: String,
    pub(super) aliases: Vec<String>,
    pub(super) provider: String,
    pub(super) client_id: Option<String>,
    pub(super) owner: String,
    pub(super) scopes: Vec<String>,
    pub(super) refresh_token: String,
    #[serde(with = "time::serde::timestamp")]
    pub(super) authorized_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::option")]
    pub(super) refreshed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::timestamp::option")]
    pub(super) refresh_expires_at: Option<OffsetDateTime>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.refresh_token);
    }
}

pub(super) async fn export(installation: &Installation, arguments: &Arguments) -> Result<(), Failure> {
    let LoginRecord { account, grant, .. } = installation.exact_account(&arguments.account).await?;
    let name = &account.name;
    let Some(grant) = grant.filter(|grant| grant.refresh_token.is_some()) else {
        return Err(Failure::new(format!("{name} has no authorisation here that could move")));
    };
    if grant.kind == GrantKind::App {
        return Err(Failure::new(format!(
            "{name} is opened by the application's own key, so there is nothing to move"
        ))
        .hint(format!(
            "there: imap-oauth-proxy authorize {} --provider {} --app",
            quoted(name),
            quoted(&grant.provider)
        )));
    }
    let provider = installation.config.providers.get(&grant.provider).ok_or_else(|| {
        Failure::new(format!("the configuration has no [providers.{}] any more", grant.provider))
    })?;
    if arguments.copy && provider.rotates {
        return Err(Failure::new(format!(
            "{} replaces the refresh token at each use, so two hosts with one grant would end it",
            provider.title
        ))
        .hint("leave --copy out to move it, or authorise the account on the other host by itself"));
    }
    let lock = Lock::of(arguments).await?;
    let accounts = installation.store.accounts().await?;
    let aliases = accounts.iter().find(|other| other.id == account.id).map(|own| own.aliases.clone());
    let _moving = Uninterrupted::begin();
    let holder = installation.store.holder().await?;
    let current = lease(installation, &grant.id, &holder).await?;
    let sent = send(installation, provider, name, aliases.unwrap_or_default(), &current, &lock).await;
    installation.store.release_lease(&grant.id, &holder).await?;
    sent?;
    if arguments.copy {
        print::words(&format!("{name} is copied; it goes on working here."));
    } else {
        let today = OffsetDateTime::now_utc().date();
        let to = match (&arguments.to, &arguments.recipient) {
            (Some(to), _) => to.clone(),
            (None, Some(key)) => format!("the installation with the key {}", one_line(key.trim())),
            (None, None) => "another installation".to_owned(),
        };
        let why = format!(
            "it was moved to {to} on {today}; remove it here with accounts remove, or get it back with: imap-oauth-proxy authorize {{account}}"
        );
        tokens::take(installation, &grant.id, &why).await?;
        print::words(&format!("{name} has moved: this installation no longer uses its authorisation."));
        let others: Vec<String> = accounts
            .into_iter()
            .filter(|other| other.grant.as_ref() == Some(&grant.id) && other.id != account.id)
            .map(|other| other.name)
            .collect();
        if !others.is_empty() {
            print::words(&format!("It also opened {}, which has none now.", others.join(", ")));
        }
    }
    print::words(
        "There: imap-oauth-proxy accounts import < FILE. App passwords do not travel; make new ones there.",
    );
    Ok(())
}

/// The grant as it is once nobody refreshes it.
async fn lease(installation: &Installation, id: &Id, holder: &str) -> Result<Grant, Failure> {
    loop {
        let now = OffsetDateTime::now_utc();
        if installation.store.take_lease(id, holder, now, now.saturating_add(LEASE)).await? {
            let grant = installation.store.grant(id).await?;
            return grant.ok_or_else(|| Failure::new("the authorisation is gone already"));
        }
        if installation.store.grant(id).await?.is_none() {
            return Err(Failure::new("the authorisation is gone already"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn send(
    installation: &Installation,
    provider: &Provider,
    account: &str,
    aliases: Vec<String>,
    grant: &Grant,
    lock: &Lock,
) -> Result<(), Failure> {
    let sealed =
        grant.refresh_token.as_ref().ok_or_else(|| Failure::new("the authorisation is gone already"))?;
    let refresh_token = installation.sealer.open_text(&Grant::refresh_context(&grant.id), sealed)?;
    let parcel = Parcel {
        account: account.to_owned(),
        aliases,
        provider: grant.provider.clone(),
        client_id: provider.client_id.clone(),
        owner: grant.owner.clone(),
        scopes: grant.scopes.clone(),
        refresh_token: refresh_token.expose().to_owned(),
        authorized_at: grant.authorized_at,
        refreshed_at: grant.refreshed_at,
        refresh_expires_at: grant.refresh_expires_at,
    };
    let text = zeroize::Zeroizing::new(serde_json::to_vec(&parcel)?);
    let sealed = match lock {
        Lock::Recipient(key) => bundle::seal_for_recipient(&text, key)?,
        Lock::Passphrase(passphrase) => bundle::seal_with_passphrase(&text, passphrase)?,
    };
    print::data_or_error(&sealed).map_err(|error| {
        Failure::new(format!("the exported account could not be written, so it stays here: {error}"))
    })
}

/// What the bundle is sealed with.
enum Lock {
    Recipient(String),
    Passphrase(Secret),
}

impl Lock {
    async fn of(arguments: &Arguments) -> Result<Self, Failure> {
        if let Some(key) = &arguments.recipient {
            // Judged before anything is touched.
            bundle::seal_for_recipient(b"", key)?;
            return Ok(Self::Recipient(key.clone()));
        }
        let passphrase = match &arguments.passphrase_file {
            Some(file) => passphrase_in(file).await?,
            None => ask_twice().await?,
        };
        match passphrase.expose().chars().count() < SHORTEST_PASSPHRASE {
            true => Err(Failure::new(format!(
                "the passphrase must have {SHORTEST_PASSPHRASE} characters or more"
            ))
            .hint("several words, or the output of: openssl rand -base64 18")),
            false => Ok(Self::Passphrase(passphrase)),
        }
    }
}

async fn ask_twice() -> Result<Secret, Failure> {
    let none = || {
        Failure::new("there is no terminal to ask for a passphrase")
            .hint("give --passphrase-file FILE, or --recipient KEY with what `keys recipient` prints on the other host")
    };
    let first = terminal::ask("Passphrase for the exported account: ").await.ok_or_else(none)?;
    let second = terminal::ask("Once more: ").await.ok_or_else(none)?;
    match first == second {
        true => Ok(first),
        false => Err(Failure::new("the two passphrases differ; nothing was exported")),
    }
}

/// The first line of `file`; `-` is standard input.
pub(super) async fn passphrase_in(file: &std::path::Path) -> Result<Secret, Failure> {
    let text = match file == std::path::Path::new("-") {
        true => terminal::read_stdin(LONGEST_PASSPHRASE as u64).await?,
        false => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(format!("the passphrase file {} cannot be read: {error}", file.display()))
            })?;
            zeroize::Zeroizing::new(text)
        }
    };
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
