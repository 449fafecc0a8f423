//! `/sessions`: the live sessions of every instance of this installation.

use axum::Json;
use serde::{Deserialize, Serialize};

use super::caller::{Reader, Writer};
use super::input::{InPath, InQuery};
use super::problem::{Answer, Problem};
use crate::admin::SessionRow;
use crate::admin::sessions;
use crate::control::sessions::Heard;
use crate::control::{Error, Installation};
use crate::store::fold;
use crate::text::one_line;

/// The filter of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    account: Option<String>,
}

pub(super) async fn list(
    Reader { site, installation }: Reader,
    InQuery(Query { account }): InQuery<Query>,
) -> Answer<Vec<SessionRow>> {
    let account = match account {
        Some(name) => Some(fold(&named(&installation, name).await?)),
        None => None,
    };
    let mut rows = sessions::live(&site).await.sessions;
    rows.retain(|row| account.as_ref().is_none_or(|account| fold(&row.account) == *account));
    rows.sort_by(|one, other| one.since.cmp(&other.since));
    Ok(Json(rows))
}

/// The name of the account that `name` or an alias stands for; `name` itself where there is none: a session may be of an
/// address that a domain's account opens, or outlive its account for seconds.
async fn named(installation: &Installation, name: String) -> Result<String, Error> {
    let known = installation.known_account(&name).await?;
    Ok(known.map_or(name, |known| known.account.name))
}

/// The number of sessions that are told to end.
#[derive(Serialize)]
pub(super) struct Closed {
    closed: usize,
}

/// All sessions of one account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    account: String,
}

pub(super) async fn close_all(writer: Writer, InQuery(Of { account }): InQuery<Of>) -> Answer<Closed> {
    end(&writer, &named(&writer.installation, account).await?).await
}

pub(super) async fn close(writer: Writer, InPath(id): InPath<String>) -> Answer<Closed> {
    end(&writer, &id).await
}

async fn end(writer: &Writer, of: &str) -> Answer<Closed> {
    let Heard { closed, silent, .. } = sessions::end(&writer.site, of, writer.actor()).await;
    match closed {
        0 if !silent.is_empty() => Err(Problem::away(format!(
            "no answer came from {}, which may have such a session and may still end it",
            one_line(&silent.join(", "))
        ))),
        0 => Err(Problem::not_found(format!(
            "no session has the id {of:?}, and none is of an account of that name"
        ))),
        closed => Ok(Json(Closed { closed })),
    }
}
