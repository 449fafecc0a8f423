//! `/accounts`: the accounts that mail programs log in to.

use axum::Json;
use axum::response::Response;
use serde::Deserialize;

use super::caller::{Reader, Writer};
use super::input::{InBody, InPath, InQuery, page, rows};
use super::problem::Problem;
use crate::control::{Error, Installation, accounts};
use crate::surface::accounts::Account;

/// The cut of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    limit: Option<u32>,
    after: Option<String>,
}

pub(super) async fn list(
    Reader(installation): Reader,
    InQuery(Cut { limit, after }): InQuery<Cut>,
) -> Result<Response, Problem> {
    let limit = rows(limit)?;
    let found = accounts::page(&installation, after.as_deref(), limit).await?;
    let last = found.last().filter(|_| found.len() == limit).map(|row| row.account.name.clone());
    let rows: Vec<Account> = found.into_iter().map(Account::from).collect();
    let limit = limit.to_string();
    let next = last.as_ref().map(|last| [("limit", limit.as_str()), ("after", last)]);
    Ok(page(&rows, "/accounts", next.as_ref().map(|next| &next[..])))
}

pub(super) async fn one(
    Reader(installation): Reader,
    InPath(name): InPath<String>,
) -> Result<Json<Account>, Problem> {
    shown(&installation, &name).await
}

async fn shown(installation: &Installation, name: &str) -> Result<Json<Account>, Problem> {
    Ok(Json(Account::from(accounts::one(installation, name).await?)))
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
) -> Result<Json<Account>, Problem> {
    accounts::set_disabled(&installation, &name, disabled).await?;
    shown(&installation, &name).await
}

pub(super) async fn remove(
    Writer { installation, .. }: Writer,
    InPath(name): InPath<String>,
) -> Result<Json<Account>, Problem> {
    let row = accounts::one(&installation, &name).await?;
    accounts::remove(&installation, &name).await?;
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
) -> Result<Json<Account>, Problem> {
    match accounts::alias(&installation, &name, &alias, yes).await {
        Err(error @ Error::ForeignAliases { .. }) => {
            return Err(Problem::from(error).confirmed_by("send \"yes\": true where that is meant"));
        }
        other => other?,
    };
    shown(&installation, &name).await
}

pub(super) async fn unalias(
    Writer { installation, .. }: Writer,
    InPath((name, alias)): InPath<(String, String)>,
) -> Result<Json<Account>, Problem> {
    accounts::unalias(&installation, &name, &alias).await?;
    shown(&installation, &name).await
}
