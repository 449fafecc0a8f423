//! `/passwords`: the app passwords of mail programs. A new one is in one answer, once.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::caller::{Reader, Writer};
use super::input::{InBody, InPath, InQuery, page, rows};
use super::problem::{Answer, Problem};
use crate::control::limits::Limiting;
use crate::control::{Error, Installation, passwords};
use crate::secret::Secret;
use crate::surface::passwords::{Created, Password};

/// The filter and the cut of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    account: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
}

/// The passwords of accounts, whole account by whole account: a page may hold a few more rows than its limit.
pub(super) async fn list(reader: Reader, InQuery(query): InQuery<Query>) -> Result<Response, Problem> {
    let limit = rows(query.limit)?;
    if let Some(account) = &query.account {
        return Ok(Json(of(&reader.installation, account).await?).into_response());
    }
    let (entries, last) = passwords::page(&reader.installation, query.after.as_deref(), limit).await?;
    let rows: Vec<Password> = entries.into_iter().map(Password::new).collect();
    Ok(page(&rows, "/passwords", limit, &[], last.as_deref()))
}

async fn of(installation: &Installation, account: &str) -> Result<Vec<Password>, Problem> {
    let entries = passwords::list(installation, Some(account)).await?;
    Ok(entries.into_iter().map(Password::new).collect())
}

pub(super) async fn one(
    reader: Reader,
    InPath((account, name)): InPath<(String, String)>,
) -> Answer<Password> {
    shown(&reader.installation, account, name).await
}

async fn shown(installation: &Installation, account: String, name: String) -> Answer<Password> {
    let found = of(installation, &account).await?.into_iter().find(|password| password.name == name);
    found.map(Json).ok_or_else(|| Error::NoPassword { account, name }.into())
}

/// Each limit that is given replaces the current one; null, or an empty list, removes it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    #[serde(default, deserialize_with = "given")]
    protocols: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    from: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    expires: Option<Option<String>>,
}

/// A field that is there, perhaps as null.
fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl From<Limits> for Limiting {
    fn from(limits: Limits) -> Self {
        // An empty text removes a limit, as on the command line.
        let networks = |list: Option<Vec<String>>| {
            list.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![String::new()])
        };
        Self {
            protocols: limits.protocols.map(|list| list.unwrap_or_default().join(",")),
            from: limits.from.map(networks).unwrap_or_default(),
            expires: limits.expires.map(Option::unwrap_or_default),
        }
    }
}

/// A new password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    account: String,
    name: String,
    /// A password of one's own, instead of one that is made.
    password: Option<Secret>,
    #[serde(default)]
    protocols: Option<Vec<String>>,
    #[serde(default)]
    from: Option<Vec<String>>,
    #[serde(default)]
    expires: Option<String>,
}

pub(super) async fn create(
    Writer { installation, .. }: Writer,
    InBody(create): InBody<Create>,
) -> Result<Response, Problem> {
    let Create { account, name, password, protocols, from, expires } = create;
    let account = installation.exact_account(&account).await?.account;
    passwords::check_name(&name)?;
    let given = Limits { protocols: Some(protocols), from: Some(from), expires: Some(expires) };
    let change = Limiting::from(given).judge()?;
    let chosen = password.map(|password| passwords::chosen(password.expose())).transpose()?;
    let password = passwords::create(&installation, &account, &name, chosen, change).await?;
    let created = Created { account: &account.name, name: &name, password: password.expose() };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

pub(super) async fn limit(
    Writer { installation, .. }: Writer,
    InPath((account, name)): InPath<(String, String)>,
    InBody(limits): InBody<Limits>,
) -> Answer<Password> {
    if limits.protocols.is_none() && limits.from.is_none() && limits.expires.is_none() {
        return Err(Problem::invalid("the body names no limit: protocols, from or expires"));
    }
    passwords::limit(&installation, &account, &name, Limiting::from(limits).judge()?).await?;
    shown(&installation, account, name).await
}

pub(super) async fn revoke(
    writer: Writer,
    InPath((account, name)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    passwords::revoke(&writer.installation, &account, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
