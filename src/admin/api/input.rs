//! Reads the parts of a request: names in its path, its query, and its JSON. Each mistake becomes a [`Problem`].

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::text::one_line;

/// More than any request needs: the longest refresh token has 16 KiB.
const LONGEST_BODY: usize = 64 * 1024;
/// The rows of a list, if the request names no limit.
const ROWS: u32 = 100;
/// The most rows of a list.
const MOST_ROWS: u32 = 1000;

/// Names in the path.
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        without_nul(parts.uri.path(), "path")?;
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|_| Problem::malformed("a name in the path is not UTF-8"))
    }
}

/// The query.
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        without_nul(parts.uri.query().unwrap_or_default(), "query")?;
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            Problem::malformed(format!("the query cannot be used: {}", one_line(&error.body_text())))
        })
    }
}

/// No name has a NUL, and PostgreSQL takes none in a text: the store would seem to fail.
fn without_nul(encoded: &str, part: &str) -> Result<(), Problem> {
    match encoded.contains("%00") {
        true => Err(Problem::malformed(format!("the {part} has a NUL"))),
        false => Ok(()),
    }
}

/// The JSON of the body.
pub(super) struct InBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for InBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::not_json());
        }
        let body = Bytes::from_request(request, state).await.unwrap_or_default();
        if body.len() > LONGEST_BODY {
            return Err(Problem::too_large(LONGEST_BODY));
        }
        // An array would be taken as the values of an object's names, in their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::invalid("the body is no JSON object"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let cause = one_line(&error.to_string());
            match error.classify() {
                serde_json::error::Category::Data => Problem::invalid(cause),
                _ => Problem::malformed(format!("the body is not JSON: {cause}")),
            }
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A number of rows from a query.
pub(super) fn rows(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(ROWS) {
        limit @ 1..=MOST_ROWS => Ok(limit as usize),
        _ => Err(Problem::malformed(format!("limit is a number from 1 to {MOST_ROWS}"))),
    }
}

/// A page of a list. `after` is the last row of it, if there may be more: the header `Link` then names the next page
/// (RFC 8288), with the same `limit` and `filters`.
pub(super) fn page(
    rows: &impl Serialize,
    path: &str,
    limit: usize,
    filters: &[(&str, Option<&str>)],
    after: Option<&str>,
) -> Response {
    let mut response = axum::Json(rows).into_response();
    if after.is_some() {
        let last = [("after", after)];
        let pairs = filters.iter().chain(&last).filter_map(|(name, value)| Some((name, (*value)?)));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("limit", &limit.to_string()).extend_pairs(pairs).finish();
        let link = format!("<{}{path}?{query}>; rel=\"next\"", super::BASE);
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    response
}
