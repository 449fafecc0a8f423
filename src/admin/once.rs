//! What a button does is done once, although its form is sent twice: by a second click, or by a browser that sends a form
//! again after its connection broke.
//!
//! Each form has a random `once`. The first request with it does the act; a second one with the same fields, also one
//! that comes meanwhile, waits for that and is led to the same place with the same words. Otherwise the passwords of new
//! accounts, which are shown once, would stand in an answer that no browser shows, and the second request would say
//! that nothing was done. What was answered is kept in the memory of this process for some minutes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;

use super::page;
use super::site::Site;
use super::visit::{self, FORM_TOKEN, Fields};
use super::visitors::Visitor;
use crate::mutex::lock;
use crate::secret::Secret;
use crate::store::ShortLived;

/// The field of each form.
pub(super) const ONCE: &str = "once";
/// A person whose connection broke tries again within this time.
const KEPT: Duration = Duration::from_secs(300);
/// More than people do in that time.
const MOST: usize = 64;

/// Where an act leads, and what the page there says: the mark of an answer that can be given again.
#[derive(Clone)]
pub(super) struct Led {
    pub(super) path: String,
    pub(super) said: Secret,
}

/// The answer to an act.
struct Done {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    led: Option<Led>,
}

/// The acts that were done lately, or are being done.
#[derive(Default)]
pub(super) struct Acts(Mutex<VecDeque<(String, Arc<OnceCell<Done>>)>>);

impl Acts {
    fn of(&self, key: &str) -> Arc<OnceCell<Done>> {
        let mut acts = self.lock();
        if let Some((_, act)) = acts.iter().find(|(other, _)| other == key) {
            return act.clone();
        }
        if acts.len() >= MOST {
            acts.pop_front();
        }
        let act = Arc::default();
        acts.push_back((key.to_owned(), Arc::clone(&act)));
        act
    }

    fn forget(&self, key: &str) {
        self.lock().retain(|(other, _)| other != key);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, Arc<OnceCell<Done>>)>> {
        lock(&self.0)
    }
}

/// Lets the first request with a form through, and answers others with its answer.
pub(super) async fn judge(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    // The server has read it whole, within its bounds.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return visit::foreign_form() };
    let request = || Request::from_parts(head.clone(), Body::from(body.clone()));
    let fields = visit::fields(request(), &site).await;
    let Some((visitor, key)) = known(&site, &head, &fields).await else { return next.run(request()).await };
    let (act, mut is_first) = (site.acts.of(&key), false);
    let doing = || {
        is_first = true;
        let request = request();
        async move { Done::of(next.run(request).await).await }
    };
    let done = act.get_or_init(doing).await;
    if !is_first {
        return done.again(&site, &visitor).await;
    }
    let keeping = site.clone();
    tokio::spawn(async move {
        tokio::time::sleep(KEPT).await;
        keeping.acts.forget(&key);
    });
    done.response()
}

/// The visitor of a form that has a `once`, and what the form is known by.
async fn known(site: &Site, head: &Parts, fields: &Fields) -> Option<(Visitor, String)> {
    if fields.one(ONCE).is_empty() {
        return None;
    }
    let visitor = visit::find(site, &head.headers).await.ok()??;
    if !visitor.sent(fields.one(FORM_TOKEN)) {
        return None;
    }
    let text = format!("{} {} {:?}", visitor.session, head.uri.path(), fields.0);
    Some((visitor, ShortLived::key_of(&text)))
}

impl Done {
    async fn of(response: Response) -> Self {
        let (mut head, body) = response.into_parts();
        let led = head.extensions.remove();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Self { status: head.status, headers: head.headers, body, led }
    }

    fn response(&self) -> Response {
        (self.status, self.headers.clone(), self.body.clone()).into_response()
    }

    /// The same for a second request. What the next page says is said once, so it is kept for that page once more.
    async fn again(&self, site: &Site, visitor: &Visitor) -> Response {
        match &self.led {
            Some(Led { path, said }) => page::show_at(site, visitor, path, said).await,
            None => self.response(),
        }
    }
}
