//! `/accounts`: the accounts that mail programs log in to.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::time::Instant;

use super::caller::{Reader, Writer};
use super::input::{InBody, InPath, InQuery, page, rows};
use super::problem::{Answer, CONFIRM, Problem};
use crate::control::enrol::{Enrolled, Fault, Made, Row, judge, make_all};
use crate::control::{Error, Installation, accounts};
use crate::surface::accounts::{Account, Added};

/// A body rarely has room for more.
const MOST_NEW: usize = 1000;
/// New accounts are made for so long. The server ends an answer after 75 seconds, and with it the only sight of the new
/// passwords.
const TIME: Duration = Duration::from_secs(50);
/// The faults of a list that an answer names.
const MOST_FAULTS: usize = 50;
/// The name of the new passwords, the same as on the command line.
const PASSWORD: &str = "default";

/// The cut of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    limit: Option<u32>,
    after: Option<String>,
}

pub(super) async fn list(
    reader: Reader,
    InQuery(Cut { limit, after }): InQuery<Cut>,
) -> Result<Response, Problem> {
    let limit = rows(limit)?;
    let found = accounts::page(&reader.installation, after.as_deref(), limit).await?;
    let rows: Vec<Account> = found.into_iter().map(Account::from).collect();
    let last = rows.last().filter(|_| rows.len() == limit).map(|row| row.account.as_str());
    Ok(page(&rows, "/accounts", limit, &[], last))
}

pub(super) async fn one(reader: Reader, InPath(name): InPath<String>) -> Answer<Account> {
    shown(&reader.installation, &name).await
}

async fn shown(installation: &Installation, name: &str) -> Answer<Account> {
    Ok(Json(Account::from(accounts::one(installation, name).await?)))
}

/// A new account, as a line of the table of `accounts add`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    account: String,
    provider: Option<String>,
    owner: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
}

/// New accounts, which are judged together: a mistake in the last one makes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    accounts: Vec<New>,
    /// Whether each gets an app password.
    #[serde(default)]
    passwords: bool,
    /// Whether an alias may be another address than the account's.
    #[serde(default)]
    yes: bool,
}

pub(super) async fn add(
    writer: Writer,
    InBody(Add { accounts, passwords, yes }): InBody<Add>,
) -> Result<(StatusCode, Json<Vec<Added>>), Problem> {
    if accounts.is_empty() || accounts.len() > MOST_NEW {
        return Err(Problem::invalid(format!("accounts has from 1 to {MOST_NEW} entries")));
    }
    let rows: Vec<Row> = (1..).zip(accounts).map(|(line, new)| new.row(line)).collect();
    let until = Instant::now() + TIME;
    let installation = &writer.installation;
    installation.verify_key().await?;
    let judged = judge(installation, &rows, yes).await.map_err(|faults| refused(&faults))?;
    let password = passwords.then_some(PASSWORD);
    let Made { accounts, failure } = make_all(installation, judged, password, until).await;
    let added = shown_once(&writer, &accounts).await;
    match failure {
        Some(error) => Err(Problem::from(error).after(added)),
        None => Ok((StatusCode::CREATED, Json(added))),
    }
}

/// New accounts with their passwords, and with the links of those that wait for an owner.
async fn shown_once(writer: &Writer, made: &[Enrolled]) -> Vec<Added> {
    let mut added = Vec::new();
    for enrolled in made {
        let link = writer.site.link_for(enrolled, writer.actor()).await;
        let password = enrolled.password.as_ref().map(|password| password.expose().to_owned());
        added.push(Added { password, ..Added::new(enrolled, link.as_ref()) });
    }
    added
}

impl New {
    fn row(self, line: u64) -> Row {
        let Self { account, provider, owner, aliases } = self;
        Row { line, account, provider, owner, aliases }
    }
}

/// All faults, with the places of their accounts in the list.
fn refused(faults: &[Fault]) -> Problem {
    let is_severe = |fault: &&Fault| !matches!(fault.error, Error::ForeignAliases { .. });
    let gravest = faults.iter().find(is_severe).or(faults.first());
    let lines = faults.iter().take(MOST_FAULTS).map(|Fault { line, error }| format!("line {line}: {error}"));
    let lines: Vec<String> = lines.collect();
    Problem::of_all(gravest.map(|fault| &fault.error), &lines.join("; "))
}

/// A change of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    disabled: bool,
}

pub(super) async fn change(
    Writer { installation, .. }: Writer,
    InPath(name): InPath<String>,
    InBody(Change { disabled }): InBody<Change>,
) -> Answer<Account> {
    accounts::set_disabled(&installation, &name, disabled).await?;
    shown(&installation, &name).await
}

pub(super) async fn remove(writer: Writer, InPath(name): InPath<String>) -> Answer<Account> {
    let row = accounts::one(&writer.installation, &name).await?;
    accounts::remove(&writer.installation, &name).await?;
    Ok(Json(Account::from(row)))
}

/// A new login name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alias {
    alias: String,
    /// Whether the name may be another address than the account's.
    #[serde(default)]
    yes: bool,
}

pub(super) async fn alias(
    Writer { installation, .. }: Writer,
    InPath(name): InPath<String>,
    InBody(Alias { alias, yes }): InBody<Alias>,
) -> Answer<Account> {
    match accounts::alias(&installation, &name, &alias, yes).await {
        Err(error @ Error::ForeignAliases { .. }) => return Err(Problem::from(error).cured_by(CONFIRM)),
        other => drop(other?),
    }
    shown(&installation, &name).await
}

pub(super) async fn unalias(
    Writer { installation, .. }: Writer,
    InPath((name, alias)): InPath<(String, String)>,
) -> Answer<Account> {
    accounts::unalias(&installation, &name, &alias).await?;
    shown(&installation, &name).await
}
