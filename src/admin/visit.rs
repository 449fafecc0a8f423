//! Finds the visitor of a request, and reads the form that a visitor sends.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::page;
use super::site::Site;
use super::visitors::{NotKnown, Visitor, is_formed};
use crate::control::Installation;
use crate::control::misses::Judged;
use crate::store::{Actor, ShortLivedKind};

/// The field of each form with the session's token.
pub(super) const FORM_TOKEN: &str = "form_token";
/// The header of the requests that the page's script makes by itself, to bring the shown page up to date.
const BY_ITSELF: &str = "x-by-itself";
/// The most cookies of one request that are looked up.
const MOST_COOKIES: usize = 3;

/// A visitor's request for a page.
pub(super) struct Visit {
    pub(super) site: Arc<Site>,
    pub(super) visitor: Visitor,
    /// The fields of the address's query.
    pub(super) query: Fields,
}

impl Visit {
    /// The visitor whose cookie the request has, or the page that says why there is none.
    async fn of(site: &Arc<Site>, headers: &HeaderMap, uri: &Uri) -> Result<Self, Response> {
        match find(site, headers).await {
            Ok(Some(visitor)) => {
                Ok(Self { site: site.clone(), visitor, query: Fields::of_query(uri.query()) })
            }
            // The first page is where a person learns how to get a session.
            Ok(None) if uri.path() == "/" => Err(page::no_session(StatusCode::OK)),
            Ok(None) => Err(page::no_session(StatusCode::FORBIDDEN)),
            Err(why) => Err(page::not_known(&why)),
        }
    }

    /// The visitor as an actor of the audit trail.
    pub(super) fn actor(&self) -> Actor {
        self.visitor.actor()
    }

    /// The installation, for the operations of the visitor.
    pub(super) fn installation(&self) -> Installation {
        self.site.running.installation(self.actor())
    }
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        Self::of(site, &parts.headers, &parts.uri).await
    }
}

/// The visitor whose cookie the request has. A request without a right costs at most a look at the store, and nothing
/// while too many of them come.
pub(super) async fn find(site: &Site, headers: &HeaderMap) -> Result<Option<Visitor>, NotKnown> {
    let name = site.cookie();
    let is_of_person = !headers.contains_key(BY_ITSELF);
    // Another program on this host may have set a cookie of the same name before.
    let named = cookies(headers, &name).filter(|cookie| is_formed(cookie));
    // Those that were made here come first, however many others there are.
    let (ours, others): (Vec<&str>, Vec<&str>) =
        named.partition(|cookie| site.visitors.is_ours(ShortLivedKind::Session, cookie));
    let (mut looked_for, mut is_known) = (Vec::new(), true);
    for cookie in ours.into_iter().chain(others).take(MOST_COOKIES) {
        match site.visitors.judge(ShortLivedKind::Session, cookie) {
            Judged::Look => looked_for.push(cookie),
            Judged::Gone => {}
            Judged::TooMany => is_known = false,
        }
    }
    if looked_for.is_empty() {
        return if is_known { Ok(None) } else { Err(NotKnown::TooMany) };
    }
    let now = site.visitors.now().await?;
    for cookie in looked_for {
        match site.visitors.find(cookie, is_of_person, now).await {
            Ok(Some(visitor)) => return Ok(Some(visitor)),
            Ok(None) => {}
            Err(NotKnown::TooMany) => is_known = false,
            Err(NotKnown::Away) => return Err(NotKnown::Away),
        }
    }
    if is_known { Ok(None) } else { Err(NotKnown::TooMany) }
}

/// The cookies of that name.
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(other, _)| *other == name).map(|(_, cookie)| cookie)
}

/// A form that a visitor sent from a page of the session.
pub(super) struct Posted {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
}

/// The fields of a form, in their order.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// The fields of an address's query.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first field of that name, or an empty text.
    pub(super) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// All fields of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequest<Arc<Site>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Response> {
        let visit = Visit::of(site, request.headers(), request.uri()).await?;
        let fields = fields(request, site).await;
        match visit.visitor.sent(fields.one(FORM_TOKEN)) {
            true => Ok(Self { visit, fields }),
            false => Err(foreign_form()),
        }
    }
}

/// The fields of a form, which may hold a file. A body of another kind holds none.
pub(super) async fn fields(request: Request, site: &Arc<Site>) -> Fields {
    let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_owned()).unwrap_or_default();
    if kind.starts_with(b"application/x-www-form-urlencoded") {
        let body = Bytes::from_request(request, site).await.unwrap_or_default();
        return Fields(url::form_urlencoded::parse(&body).into_owned().collect());
    }
    let mut fields = Vec::new();
    if kind.starts_with(b"multipart/form-data")
        && let Ok(mut parts) = Multipart::from_request(request, site).await
    {
        while let Ok(Some(part)) = parts.next_field().await {
            let name = part.name().unwrap_or_default().to_owned();
            let Ok(content) = part.bytes().await else { break };
            fields.push((name, String::from_utf8_lossy(&content).into_owned()));
        }
    }
    Fields(fields)
}

/// The answer to a form without the session's token.
pub(super) fn foreign_form() -> Response {
    let text = "This form belongs to an earlier session, so nothing was done. Go back, reload the page and try again.";
    page::notice(StatusCode::FORBIDDEN, "Not this session", text)
}
