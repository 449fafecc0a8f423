//! How the answer to a consent that began in a browser comes back.
//!
//! A provider sends the browser to the registered redirect URI only. If that is https, the user's web server passes it
//! to the page. If it is a loopback address, it reaches this machine only from a browser that runs here; a person at
//! another machine pastes the address at which the browser ended.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use crate::control::error::Error;
use crate::mutex::lock;
use crate::oauth::{Callback, redirect_text};
use crate::secret::{Secret, same_bytes};

/// The browser in which a consent begins.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// Scheme, host and port of the page as the browser sees them, without a slash at the end.
    pub(crate) origin: String,
    pub(crate) is_local: bool,
}

/// The way of an answer, with the redirect URI that it comes to.
pub(super) enum Way {
    Page(String),
    /// A listener at this address, which has a port or a host of its own, or no port.
    Listener(Url),
    Pasted(String),
}

/// The way for the answer to the consent of `visitor`. `page` is the address of the page.
pub(super) fn way(configured: &Url, visitor: &Visitor, page: Option<SocketAddr>) -> Way {
    if configured.scheme() != "http" {
        return Way::Page(redirect_text(configured));
    }
    if !visitor.is_local {
        return Way::Pasted(redirect_text(configured));
    }
    let Some(page) = page.filter(|page| reaches(configured, *page)) else {
        return Way::Listener(configured.clone());
    };
    let mut there = configured.clone();
    // Cannot fail: there is a host.
    let _ = there.set_port(Some(page.port()));
    Way::Page(redirect_text(&there))
}

/// Whether a browser here that is sent to `configured` comes to `page`. A loopback redirect URI without a port may have
/// any (RFC 8252 §7.3).
fn reaches(configured: &Url, page: SocketAddr) -> bool {
    let is_host = match configured.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip) == page.ip(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip) == page.ip(),
        // A browser tries both addresses that this name stands for.
        Some(Host::Domain(_)) => ["127.0.0.1", "::1"].contains(&page.ip().to_string().as_str()),
        None => false,
    };
    is_host && configured.port().is_none_or(|port| port == page.port())
}

/// A listener for the answers that come to one redirect URI; it ends with its last consent.
pub(super) struct Listener {
    pub(super) redirect_uri: String,
    _task: AbortOnDropHandle<()>,
}

/// The listeners of this process, for the consents that began here.
#[derive(Default)]
pub(super) struct Listeners {
    /// By their redirect URIs.
    open: AsyncMutex<HashMap<String, Weak<Listener>>>,
    held: Arc<Mutex<Vec<Held>>>,
}

/// A consent that waits at a listener, which is open until the answer is there.
struct Held {
    state: Secret,
    place: String,
    until: Instant,
    _listener: Arc<Listener>,
}

impl Listeners {
    /// A listener for answers at `configured`: that of another consent, if that address has a port of its own. Two
    /// consents that begin at the same moment, as by a double click, must not both bind it.
    pub(super) async fn at(&self, configured: &Url) -> Result<Arc<Listener>, Error> {
        let mut open = self.open.lock().await;
        open.retain(|_, known| known.strong_count() > 0);
        drop(held(&self.held));
        if let Some(known) = open.get(&redirect_text(configured)).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let callback = Callback::bind(configured).await?;
        let redirect_uri = callback.redirect_uri();
        let waiting = Arc::downgrade(&self.held);
        // A browser with an answer is sent on to the page of the consent with that `state`.
        let onwards = move |state: &str| {
            let waiting = waiting.upgrade()?;
            let waiting = held(&waiting);
            let found =
                waiting.iter().find(|held| same_bytes(held.state.expose().as_bytes(), state.as_bytes()))?;
            Some(found.place.clone())
        };
        let task = AbortOnDropHandle::new(tokio::spawn(callback.forward(onwards)));
        let listener = Arc::new(Listener { redirect_uri: redirect_uri.clone(), _task: task });
        open.insert(redirect_uri, Arc::downgrade(&listener));
        Ok(listener)
    }

    /// Holds `listener` open for the answer with `state`, which its browser takes on to `place`.
    pub(super) fn hold(&self, listener: Arc<Listener>, state: Secret, place: String, until: Instant) {
        held(&self.held).push(Held { state, place, until, _listener: listener });
    }

    /// The answer with `state` is there.
    pub(super) fn let_go(&self, state: &str) {
        held(&self.held).retain(|held| held.state.expose() != state);
    }
}

/// Locks the held answers, after removing those whose time is over.
fn held(all: &Mutex<Vec<Held>>) -> MutexGuard<'_, Vec<Held>> {
    let mut all = lock(all);
    let now = Instant::now();
    all.retain(|held| now < held.until);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_to_the_page_where_the_registration_lets_it() {
        let page = Some("127.0.0.1:8993");
        let https = "https://mail.corp.example/callback";
        for (redirect_uri, is_local, page, expected) in [
            (https, false, page, "page https://mail.corp.example/callback"),
            (https, true, None, "page https://mail.corp.example/callback"),
            ("http://127.0.0.1/callback", true, page, "page http://127.0.0.1:8993/callback"),
            ("http://localhost", true, page, "page http://localhost:8993"),
            ("http://localhost:8993/x", true, page, "page http://localhost:8993/x"),
            ("http://127.0.0.1/callback", false, page, "pasted http://127.0.0.1/callback"),
            ("http://localhost:4711", false, page, "pasted http://localhost:4711"),
            ("http://127.0.0.1/callback", true, None, "listener http://127.0.0.1/callback"),
            ("http://127.0.0.1/x", true, Some("127.0.0.2:8993"), "listener http://127.0.0.1/x"),
            ("http://localhost:4711/", true, page, "listener http://localhost:4711/"),
            ("http://[::1]/x", true, page, "listener http://[::1]/x"),
        ] {
            let page = page.map(|page| page.parse().unwrap());
            let visitor = Visitor { origin: "http://localhost:8993".to_owned(), is_local };
            let way = match way(&Url::parse(redirect_uri).unwrap(), &visitor, page) {
                Way::Page(text) => format!("page {text}"),
                Way::Listener(url) => format!("listener {url}"),
                Way::Pasted(text) => format!("pasted {text}"),
            };
            assert_eq!(way, expected);
        }
    }
}
