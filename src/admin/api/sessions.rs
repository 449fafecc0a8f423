//! `/sessions`: the live sessions of every instance of this installation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::caller::{Reader, Writer};
use super::input::{InPath, InQuery};
use super::problem::Problem;
use crate::admin::SessionRow;
use crate::admin::page::sessions::{self, Ended};
use crate::admin::site::Site;
use crate::store::Actor;
use crate::text::one_line;

/// The filter of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    account: Option<String>,
}

pub(super) async fn list(
    State(site): State<Arc<Site>>,
    _reader: Reader,
    InQuery(Query { account }): InQuery<Query>,
) -> Json<Vec<SessionRow>> {
    let mut rows = sessions::live(&site).await.rows;
    rows.retain(|row| account.as_ref().is_none_or(|account| row.account == *account));
    rows.sort_by(|one, other| one.since.cmp(&other.since));
    Json(rows)
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

pub(super) async fn close_all(
    State(site): State<Arc<Site>>,
    Writer { actor, .. }: Writer,
    InQuery(Of { account }): InQuery<Of>,
) -> Result<Json<Closed>, Problem> {
    end(&site, &account, actor).await
}

pub(super) async fn close(
    State(site): State<Arc<Site>>,
    Writer { actor, .. }: Writer,
    InPath(id): InPath<String>,
) -> Result<Json<Closed>, Problem> {
    end(&site, &id, actor).await
}

async fn end(site: &Site, of: &str, actor: Actor) -> Result<Json<Closed>, Problem> {
    let Ended { closed, silent } = sessions::end(site, of, actor).await;
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
