//! `tokens`: every grant, and what threatens it.

use std::io::Read as _;

use serde::Serialize;
use time::OffsetDateTime;

use super::authorize::{self, Granted};
use super::failure::Failure;
use super::installation::{Installation, Legs, Options};
use super::result::rfc3339;
use super::{Done, print};
use crate::oauth;
use crate::secret::Secret;
use crate::store::{Account, Grant, GrantState};

/// Far above any provider's; Microsoft's come near two kilobytes.
const LONGEST_REFRESH_TOKEN: u64 = 16 * 1024;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List every grant with its state and what would end it; exit 3 when one needs a person
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Store a refresh token that was got elsewhere, read from standard input
    Import {
        /// The account that it is for
        account: String,
        /// The provider that issued it
        #[arg(long, value_name = "NAME")]
        provider: String,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let installation = Installation::open(options.load()?).await?;
    match command {
        Command::List { json } => list(&installation, json).await,
        Command::Import { account, provider } => import(&installation, &account, &provider).await,
    }
}

#[derive(Serialize)]
struct Listed {
    account: String,
    aliases: Vec<String>,
    provider: Option<String>,
    owner: Option<String>,
    state: GrantState,
    scopes: Vec<String>,
    /// Mail scopes that were asked for and are not granted.
    scopes_missing: Vec<String>,
    access_expires_at: Option<String>,
    refreshed_at: Option<String>,
    last_login_at: Option<String>,
    forecast: Option<String>,
    last_error: Option<String>,
}

impl Listed {
    fn new(installation: &Installation, account: Account, grant: Option<&Grant>) -> Self {
        let provider = grant.and_then(|grant| installation.config.providers.get(&grant.provider));
        let trouble = account.trouble.as_ref();
        let state = match grant {
            None => GrantState::NeedsAuthorization,
            Some(grant) if grant.refresh_token.is_none() => GrantState::NeedsAuthorization,
            Some(grant)
                if grant.state == GrantState::Ok && trouble.is_some_and(|trouble| trouble.count > 0) =>
            {
                GrantState::Misconfigured
            }
            Some(grant) => grant.state,
        };
        let missing =
            || format!("there is no authorisation; run: imap-oauth-proxy authorize {}", account.name);
        Self {
            state,
            last_error: match grant {
                None => Some(missing()),
                Some(grant) => {
                    grant.error_for(&account.name).or_else(|| trouble.map(|trouble| trouble.reason.clone()))
                }
            },
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            scopes: grant.map(|grant| grant.scopes.clone()).unwrap_or_default(),
            scopes_missing: grant
                .zip(provider)
                .map(|(grant, provider)| oauth::scope::missing(&provider.scopes, Some(&grant.scopes)))
                .unwrap_or_default(),
            access_expires_at: rfc3339(grant.and_then(|grant| grant.access_expires_at)),
            refreshed_at: rfc3339(grant.and_then(|grant| grant.refreshed_at)),
            last_login_at: rfc3339(account.last_login_at),
            forecast: grant
                .zip(provider)
                .and_then(|(grant, provider)| super::forecast::forecast(grant, provider)),
            account: account.name,
            aliases: account.aliases,
        }
    }

    fn needs_a_person(&self) -> bool {
        matches!(self.state, GrantState::NeedsAuthorization | GrantState::Misconfigured)
    }
}

async fn list(installation: &Installation, json: bool) -> Result<Done, Failure> {
    let grants = installation.store.grants().await?;
    let accounts = installation.store.accounts().await?;
    let listed: Vec<Listed> = accounts
        .into_iter()
        .map(|account| {
            let grant = grants.iter().find(|grant| Some(&grant.id) == account.grant.as_ref());
            Listed::new(installation, account, grant)
        })
        .collect();
    let done = match listed.iter().any(Listed::needs_a_person) {
        true => Done::NeedsPerson,
        false => Done::Well,
    };
    if json {
        print::json(&listed)?;
        return Ok(done);
    }
    show(&listed);
    Ok(done)
}

fn show(listed: &[Listed]) {
    if listed.is_empty() {
        print::words("There is no account yet; imap-oauth-proxy authorize YOU@EXAMPLE.COM makes one.");
        return;
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|grant| {
            let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let threat = grant.last_error.as_ref().or(grant.forecast.as_ref());
            vec![
                grant.account.clone(),
                or_dash(&grant.provider),
                grant.state.name().to_owned(),
                or_dash(&grant.refreshed_at),
                or_dash(&grant.last_login_at),
                threat.cloned().unwrap_or_default(),
            ]
        })
        .collect();
    print::table(&["ACCOUNT", "PROVIDER", "STATE", "REFRESHED", "LAST LOGIN", "THREAT"], &rows);
}

async fn import(installation: &Installation, account: &str, provider: &str) -> Result<Done, Failure> {
    super::accounts::check_login_name(account)?;
    let provider = authorize::named_provider(&installation.config, provider)?;
    let refresh_token = read_refresh_token()?;
    let legs = Legs::of(&provider)?;
    let mut tokens = legs.client.refresh(&refresh_token, &provider.scopes).await.map_err(|error| {
        Failure::new(format!(
            "{} does not accept that refresh token: {}",
            provider.title,
            error.one_line(account)
        ))
    })?;
    // Most providers keep the old one valid and do not repeat it.
    tokens.refresh_token.get_or_insert(refresh_token);
    let account = authorize::canonical_name(installation, account).await?;
    let granted = Granted { account: &account, owner: &account, aliases: &[], tokens };
    authorize::prove_and_store(installation, &legs, granted, authorize::Certainty::Unknown).await?;
    print::words(&format!(
        "{account} is authorised with the imported token. Mail programs need an app password:"
    ));
    print::words(&format!("  imap-oauth-proxy passwords create {account} --name NAME"));
    Ok(Done::Well)
}

fn read_refresh_token() -> Result<Secret, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().lock().take(LONGEST_REFRESH_TOKEN + 1).read_to_string(&mut text)?;
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

/// When the last refresh was, for the forecast.
pub(super) fn last_refresh(grant: &Grant) -> OffsetDateTime {
    grant.refreshed_at.unwrap_or(grant.authorized_at)
}
