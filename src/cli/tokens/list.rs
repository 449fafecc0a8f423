//! `tokens list`: each grant's state, and what would end it.

use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::failure::{Done, Failure};
use crate::cli::print::{self, rfc3339};
use crate::control::Installation;
use crate::control::grants::{self, Fault, Overview};
use crate::forecast::{self, Cause};
use crate::store::{Grant, GrantKind, GrantState};
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

/// One way in which a grant may end.
#[derive(Serialize)]
struct End {
    /// The day, where it is known.
    at: Option<String>,
    /// One clause.
    text: String,
}

impl Listed {
    fn new(overview: Overview, now: OffsetDateTime) -> Self {
        let end = |end: &forecast::End| End { at: rfc3339(end.at), text: clause(end, now) };
        let ends: Vec<End> = overview.ends.iter().map(end).collect();
        let whole: Vec<&str> = ends.iter().map(|end| end.text.as_str()).collect();
        let grant = overview.grant.as_ref();
        Self {
            state: overview.state,
            last_error: overview.fault.as_ref().map(|fault| last_error(fault, &overview)),
            last_error_at: rfc3339(overview.failed_at()),
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            kind: grant.map(Grant::kind),
            scopes: grant.map(|grant| grant.scopes.clone()).unwrap_or_default(),
            authorized_at: rfc3339(grant.map(|grant| grant.authorized_at)),
            access_expires_at: rfc3339(grant.and_then(|grant| grant.access_expires_at)),
            refreshed_at: rfc3339(grant.and_then(|grant| grant.refreshed_at)),
            scopes_missing: overview.scopes_missing,
            last_login_at: rfc3339(overview.account.last_login_at),
            last_login_from: overview.account.last_login_from,
            forecast: (!whole.is_empty()).then(|| whole.join("; ")),
            ends,
            account: overview.account.name,
            aliases: overview.account.aliases,
        }
    }
}

/// What is wrong, and the command that cures it.
fn last_error(fault: &Fault, Overview { account, grant, scopes_missing, .. }: &Overview) -> String {
    let name = &account.name;
    let grant = grant.as_ref();
    let target = grant.map_or_else(|| quoted(name), |grant| grant.command_target(name));
    match fault {
        Fault::NoGrant => format!("there is no authorisation; run: imap-oauth-proxy authorize {target}"),
        Fault::Recorded(line) => line.clone(),
        Fault::NotConfigured => {
            let provider = grant.map_or("", |grant| grant.provider.as_str());
            format!("the configuration has no [providers.{provider}] any more")
        }
        Fault::ScopesMissing => format!(
            "the scope {} was not granted; run: imap-oauth-proxy authorize {target}",
            scopes_missing.join(" ")
        ),
    }
}

/// What ends a grant, in one clause.
fn clause(end: &forecast::End, now: OffsetDateTime) -> String {
    let day = end.at.map(|at| at.date().to_string()).unwrap_or_default();
    match &end.cause {
        Cause::ClientSecret => {
            let when = if end.at.is_some_and(|at| at < now) { "ended" } else { "ends" };
            format!("the client secret {when} on {day}; a new one keeps the grant alive")
        }
        Cause::Granted => format!("ends on {day}: the provider granted it until then"),
        Cause::Testing => {
            format!("ends on {day} if the Google Cloud project's publishing status is Testing")
        }
        Cause::Disuse => format!("ends on {day} if it is not refreshed until then"),
        Cause::Withdrawal => "the application's key or its permission is withdrawn".to_owned(),
        Cause::Stated(sentence) => sentence.trim_end_matches('.').to_owned(),
    }
}

pub(super) async fn list(installation: &Installation, json: bool) -> Result<Done, Failure> {
    let now = OffsetDateTime::now_utc();
    let overviews = grants::list(installation).await?;
    let listed: Vec<Listed> = overviews.into_iter().map(|overview| Listed::new(overview, now)).collect();
    let done = match listed.iter().any(|grant| grant.state.needs_person()) {
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
