//! `/events`: the audit trail, the oldest entry first.

use axum::response::Response;
use serde::Deserialize;

use super::caller::Reader;
use super::input::{InQuery, page, rows};
use super::problem::Problem;
use crate::surface::events::Event;
use crate::surface::times::since;

/// The filter and the cut of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    since: Option<String>,
    limit: Option<u32>,
    /// The number of the last entry of the page before.
    after: Option<i64>,
}

pub(super) async fn list(reader: Reader, InQuery(query): InQuery<Query>) -> Result<Response, Problem> {
    let limit = rows(query.limit)?;
    let from = query
        .since
        .as_deref()
        .map(since)
        .transpose()
        .map_err(|hint| Problem::malformed(format!("since is a time: {hint}")))?;
    let after = query.after.unwrap_or(i64::MIN);
    let count = u32::try_from(limit).unwrap_or(u32::MAX);
    let entries = reader.installation.store.trail(from, after, count).await?;
    let last = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.number.to_string());
    let rows: Vec<Event> = entries.into_iter().map(Event::from).collect();
    Ok(page(&rows, "/events", limit, &[("since", query.since.as_deref())], last.as_deref()))
}
