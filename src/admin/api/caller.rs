//! Whether a request may read, or change.
//!
//! A bearer token is sent by a program on purpose, so it needs no further proof. A browser sends the cookie of the
//! page's session by itself: to change something, such a request also needs the session's token in `X-CSRF-Token`, and
//! a page of ours as its origin. A request with both is judged by its token alone.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::admin::visitors::Visitor;
use crate::admin::{guard, site::Site, visit};
use crate::control::{Installation, api_tokens, audit};
use crate::store::{Actor, ApiToken};

/// The session's token, in a request that changes something.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// A request that may read.
pub(super) struct Reader(pub(super) Installation);

/// A request that may change something.
pub(super) struct Writer {
    pub(super) installation: Installation,
    pub(super) actor: Actor,
}

enum Caller {
    Program(ApiToken),
    Person(Visitor),
}

impl Caller {
    fn actor(&self) -> Actor {
        match self {
            Self::Program(token) => audit::by_token(&token.name),
            Self::Person(visitor) => audit::on_the_page(&visitor.opened_by, &visitor.session),
        }
    }
}

impl FromRequestParts<Arc<Site>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let caller = caller(site, &parts.headers).await?;
        Ok(Self(site.running.installation(caller.actor())))
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
        let actor = caller.actor();
        Ok(Self { installation: site.running.installation(actor.clone()), actor })
    }
}

async fn caller(site: &Site, headers: &HeaderMap) -> Result<Caller, Problem> {
    let mut lines = headers.get_all(AUTHORIZATION).into_iter();
    let Some(line) = lines.next() else {
        return match visit::find(site, headers).await {
            Ok(visitor) => visitor.map(Caller::Person).ok_or_else(Problem::no_right),
            Err(why) => Err(Problem::not_known(&why)),
        };
    };
    let text = line.to_str().ok().filter(|_| lines.next().is_none());
    let token = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| is_bearer(scheme));
    let Some((_, token)) = token else { return Err(Problem::wrong_token()) };
    let store = &site.running.installation(audit::by_token("unknown")).store;
    match api_tokens::recognise(&**store, token.trim()).await? {
        Some(token) => Ok(Caller::Program(token)),
        None => Err(Problem::wrong_token()),
    }
}

fn is_bearer(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("bearer")
}
