//! `tokens list`: each grant's state, and what would end it.

use serde::Serialize;

use super::missing_scopes;
use crate::cli::failure::Failure;
use crate::cli::forecast::{End, forecast};
use crate::cli::installation::Installation;
use crate::cli::result::rfc3339;
use crate::cli::{Done, print};
use crate::store::{Account, Grant, GrantKind, GrantState};
use crate::text::quoted;

/// A table is read by eye: longer threats are cut at a word, and stand whole in the JSON.
const LONGEST_THREAT: usize = 100;

#[derive(Serialize)]
struct Listed {
    account: String,
    aliases: Vec<String>,
    provider: Option<String>,
    owner: Option<String>,
    kind: Option<GrantKind>,
    state: GrantState,
    scopes: Vec<String>,
    scopes_missing: Vec<String>,
    authorized_at: Option<String>,
    access_expires_at: Option<String>,
    refreshed_at: Option<String>,
    last_login_at: Option<String>,
    last_login_from: Option<String>,
    forecast: Option<String>,
    ends: Vec<End>,
    last_error: Option<String>,
    last_error_at: Option<String>,
}

impl Listed {
    fn new(installation: &Installation, account: Account, grant: Option<&Grant>) -> Self {
        let provider = grant.and_then(|grant| installation.config.providers.get(&grant.provider));
        let missing = grant.zip(provider).map(|(grant, provider)| missing_scopes(provider, grant));
        let scopes_missing = missing.unwrap_or_default();
        let ends: Vec<End> =
            grant.zip(provider).map(|(grant, provider)| forecast(grant, provider)).unwrap_or_default();
        let whole: Vec<&str> = ends.iter().map(|end| end.text.as_str()).collect();
        Self {
            state: state(&account, grant),
            last_error: last_error(&account, grant, provider.is_some(), &scopes_missing),
            last_error_at: rfc3339(
                grant
                    .and_then(|grant| grant.failed_at)
                    .or(account.trouble.as_ref().map(|trouble| trouble.at)),
            ),
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            kind: grant.map(|grant| grant.kind),
            scopes: grant.map(|grant| grant.scopes.clone()).unwrap_or_default(),
            scopes_missing,
            authorized_at: rfc3339(grant.map(|grant| grant.authorized_at)),
            access_expires_at: rfc3339(grant.and_then(|grant| grant.access_expires_at)),
            refreshed_at: rfc3339(grant.and_then(|grant| grant.refreshed_at)),
            last_login_at: rfc3339(account.last_login_at),
            last_login_from: account.last_login_from,
            forecast: (!whole.is_empty()).then(|| whole.join("; ")),
            ends,
            account: account.name,
            aliases: account.aliases,
        }
    }

    fn needs_a_person(&self) -> bool {
        matches!(self.state, GrantState::NeedsAuthorization | GrantState::Misconfigured)
    }
}

fn state(account: &Account, grant: Option<&Grant>) -> GrantState {
    let Some(grant) = grant.filter(|grant| grant.refresh_token.is_some()) else {
        return GrantState::NeedsAuthorization;
    };
    let refused = account.trouble.as_ref().is_some_and(|trouble| trouble.count > 0);
    match grant.state == GrantState::Ok && refused {
        true => GrantState::Misconfigured,
        false => grant.state,
    }
}

fn last_error(
    account: &Account,
    grant: Option<&Grant>,
    configured: bool,
    missing: &[String],
) -> Option<String> {
    let name = &account.name;
    let Some(grant) = grant else {
        return Some(format!("there is no authorisation; run: imap-oauth-proxy authorize {}", quoted(name)));
    };
    let again = || format!("imap-oauth-proxy authorize {}", grant.command_target(name));
    grant
        .error_for(name)
        .or_else(|| account.trouble.as_ref().map(|trouble| trouble.reason.clone()))
        .or_else(|| {
            (!configured).then(|| format!("the configuration has no [providers.{}] any more", grant.provider))
        })
        .or_else(|| {
            (!missing.is_empty())
                .then(|| format!("the scope {} was not granted; run: {}", missing.join(" "), again()))
        })
}

pub(super) async fn list(installation: &Installation, json: bool) -> Result<Done, Failure> {
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
    match json {
        true => print::json(&listed)?,
        false => show(&listed),
    }
    Ok(done)
}

fn show(listed: &[Listed]) {
    if listed.is_empty() {
        print::words("There is no account yet; imap-oauth-proxy authorize YOU@EXAMPLE.COM makes one.");
        return;
    }
    let day = |time: &Option<String>| match time {
        Some(time) => time.get(..16).unwrap_or(time).replace('T', " "),
        None => "never".to_owned(),
    };
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|grant| {
            let owner = grant.owner.clone().filter(|owner| *owner != grant.account);
            vec![
                grant.account.clone(),
                grant.provider.clone().unwrap_or_else(|| "-".to_owned()),
                owner.unwrap_or_else(|| "itself".to_owned()),
                grant.state.name().to_owned(),
                day(&grant.refreshed_at),
                day(&grant.last_login_at),
                match &grant.last_error {
                    // What a person has to do is not cut.
                    Some(error) => error.clone(),
                    None => grant.ends.first().map(|end| cut(&end.text)).unwrap_or_default(),
                },
            ]
        })
        .collect();
    print::table(
        &["ACCOUNT", "PROVIDER", "OWNER", "STATE", "REFRESHED (UTC)", "LAST LOGIN", "ERROR OR NEAREST END"],
        &rows,
    );
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_THREAT {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST_THREAT).collect();
    format!("{} …", head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words))
}
