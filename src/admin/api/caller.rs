//! Whether a request may read, or change.
//!
//! A bearer token is sent by a program on purpose, so it needs no further proof. A browser sends the cookie of the
//! page's session by itself: to change something, such a request also needs the session's token in `X-CSRF-Token`, and
//! a page of ours as its origin. A request with both is judged by its token alone.
//! Only `Bearer` is a token; a request with another scheme counts as one without.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::admin::visitors::{NotKnown, Visitor};
use crate::admin::{guard, site::Site, visit};
use crate::control::api_tokens::Recognised;
use crate::control::{Installation, audit};
use crate::store::{Actor, ApiToken};

/// The session's token, in a request that changes something.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// A request that may read.
pub(super) struct Reader {
    pub(super) site: Arc<Site>,
    pub(super) installation: Installation,
}

/// A request that may change something.
pub(super) struct Writer {
    pub(super) site: Arc<Site>,
    pub(super) installation: Installation,
}

impl Writer {
    /// Who changes something.
    pub(super) fn actor(&self) -> Actor {
        self.installation.actor.clone()
    }
}

enum Caller {
    Program(Box<ApiToken>),
    Person(Visitor),
}

impl Caller {
    fn actor(&self) -> Actor {
        match self {
            Self::Program(token) => audit::by_token(&token.name),
            Self::Person(visitor) => visitor.actor(),
        }
    }
}

impl FromRequestParts<Arc<Site>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = caller(site, &parts.headers).await?;
        Ok(Self { site: site.clone(), installation: site.running.installation(caller.actor()) })
    }
}

impl FromRequestParts<Arc<Site>> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = caller(site, &parts.headers).await?;
        match &caller {
            Caller::Program(token) if token.read_only => return Err(Problem::read_only(&token.name)),
            Caller::Program(_) => {}
            Caller::Person(visitor) => {
                let sent = parts.headers.get(CSRF).and_then(|token| token.to_str().ok());
                let is_ours = guard::comes_from_here(&site.names(), &parts.headers);
                if !is_ours || !sent.is_some_and(|token| visitor.sent(token)) {
                    return Err(Problem::cross_site());
                }
            }
        }
        Ok(Self { site: site.clone(), installation: site.running.installation(caller.actor()) })
    }
}

async fn caller(site: &Site, headers: &HeaderMap) -> Result<Caller, Problem> {
    let lines = headers.get_all(AUTHORIZATION).into_iter();
    // Another scheme is no token: a web server in front may pass its own password on.
    let mut sent = lines.filter_map(|line| bearer(line.as_bytes()));
    let Some(token) = sent.next() else {
        return match visit::find(site, headers).await {
            Ok(visitor) => visitor.map(Caller::Person).ok_or_else(Problem::no_right),
            Err(why) => Err(Problem::not_known(&why)),
        };
    };
    let Some(token) = std::str::from_utf8(token).ok().filter(|_| sent.next().is_none()) else {
        return Err(Problem::wrong_token());
    };
    let store = &site.running.installation(audit::by_token("unknown")).store;
    match site.recogniser.recognise(&**store, &site.running.marks(), token.trim()).await? {
        Recognised::Token(token) => Ok(Caller::Program(token)),
        Recognised::None => Err(Problem::wrong_token()),
        Recognised::TooMany => Err(Problem::not_known(&NotKnown::TooMany)),
    }
}

/// What follows the scheme, if the scheme is ours.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = line.split_at_checked(SCHEME.len())?;
    let is_ours = scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(|&byte| byte == b' ');
    is_ours.then_some(rest)
}
