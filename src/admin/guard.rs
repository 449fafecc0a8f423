//! The checks that a request to the page must pass before it is answered, and the headers of every answer.
//!
//! A web page that rebinds its name to this machine still sends its own name in Host; a form of another page sends
//! its own origin. Both are refused before a cookie is looked at. The cookie is SameSite=Strict, and each form holds
//! a token besides, so that each of the three stops a cross-site post on its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tracing::warn;
use url::Url;

use super::page;
use super::site::Site;
use crate::control::consents::Visitor;

/// Style and script are files of this server. A form may be sent to this server alone, and browsers apply that to
/// the redirect of its answer as well: the way to a provider is a link.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// For the pages of sign-in links: a provider may redirect the browser to further hosts, which cannot be listed here,
/// and some browsers apply this policy to all of these redirects.
const LINK_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                           base-uri 'none'; form-action *; frame-ancestors 'none'";

/// A browser says here whether a request comes from a page of the same origin.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Set by web servers that pass requests on.
const FORWARDED: [&str; 5] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// The names under which the page answers.
pub(super) struct Names {
    /// `admin.url`, if it is written.
    pub(super) url: Option<Url>,
    /// The bound address; `None` for a Unix socket.
    pub(super) bound: Option<SocketAddr>,
}

impl Names {
    /// Whether a request with that Host is meant for the page.
    fn has_host(&self, host: &str) -> bool {
        let is_public = self.url.as_ref().is_some_and(|url| {
            let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
            let with_port = || Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?));
            host.eq_ignore_ascii_case(authority)
                || with_port().is_some_and(|name| host.eq_ignore_ascii_case(&name))
        });
        is_public || self.is_local(host)
    }

    /// Whether `host` is this machine's own name for itself, with the page's port.
    fn is_local(&self, host: &str) -> bool {
        let (name, port) = split(host);
        let Some(ip) = loopback(name) else { return false };
        match self.bound {
            // A web server may write any Host; a browser cannot open a socket.
            None => true,
            Some(bound) => {
                let port = port.map_or(Some(80), |port| port.parse().ok());
                let is_bound = ip.is_none_or(|ip| {
                    ip == bound.ip()
                        || [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&ip)
                });
                port == Some(bound.port()) && is_bound
            }
        }
    }

    /// The browser of a request with this Host. A request over a Unix socket always comes through a web server, with
    /// any Host, because no browser can open a socket.
    fn browser(&self, host: &str, is_passed_on: bool) -> Visitor {
        let is_direct = !is_passed_on && self.bound.is_some() && self.is_local(host);
        match self.url.as_ref().filter(|_| !is_direct) {
            Some(url) => Visitor {
                origin: url.origin().ascii_serialization(),
                is_local: !is_passed_on && url.host_str().is_some_and(|host| loopback(host).is_some()),
            },
            None => Visitor { origin: format!("http://{host}"), is_local: is_direct },
        }
    }

    /// Whether a page of that origin is ours.
    fn has_origin(&self, origin: &str) -> bool {
        if self.url.as_ref().is_some_and(|url| url.origin().ascii_serialization() == origin) {
            return true;
        }
        self.bound.is_some() && origin.strip_prefix("http://").is_some_and(|host| self.is_local(host))
    }
}

/// Name and port of an authority.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// `Some(None)` for `localhost`, `Some(address)` for a loopback address.
fn loopback(name: &str) -> Option<Option<IpAddr>> {
    if name.eq_ignore_ascii_case("localhost") {
        return Some(None);
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().ok().filter(IpAddr::is_loopback).map(Some)
}

/// The one Host of a request; two are no request of a browser.
fn host(request: &Request) -> Option<&str> {
    host_in(request.headers(), request.uri())
}

fn host_in<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).into_iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let named = uri.authority().map(Authority::as_str);
    match (hosts.next(), named) {
        (None, None) => host,
        (None, Some(named)) if host.is_none_or(|host| host.eq_ignore_ascii_case(named)) => Some(named),
        _ => None,
    }
}

/// Lets a request through to the page.
pub(super) async fn judge(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if !is_for_us(&site, &request) {
        return elsewhere(&site);
    }
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    if !comes_from_here(&site.names(), request.headers()) {
        let text = "This form is not one of this page's, so nothing was done. Open the page itself and use its buttons.";
        return page::notice(StatusCode::FORBIDDEN, "Not from here", text);
    }
    act(&site, request, next, ended).await
}

/// Whether a request names a host of ours.
pub(super) fn is_for_us(site: &Site, request: &Request) -> bool {
    host(request).is_some_and(|host| site.names().has_host(host))
}

/// Runs the request to its end even if the browser hangs up; a stop waits for it. `ended` is the answer, in the form of
/// its surface, to a request whose task ended without one.
pub(super) async fn act(site: &Site, request: Request, next: Next, ended: fn() -> Response) -> Response {
    let answering = site.running.answering();
    let done = tokio::spawn(async move {
        let _answering = answering;
        next.run(request).await
    });
    done.await.unwrap_or_else(|error| {
        warn!("a request to the page has ended by itself: {error}");
        ended()
    })
}

fn ended() -> Response {
    let text = "Something went wrong here; the log of serve has the reason.";
    page::notice(StatusCode::INTERNAL_SERVER_ERROR, "Not done", text)
}

/// Lets a request through to the page of a sign-in link or of a consent, which needs no session: its address or the
/// consent's key is the right to it. So a program without an origin may post as well; a page of another origin may not.
pub(super) async fn judge_link(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_from_no_page = !headers.contains_key(ORIGIN) && !headers.contains_key(FETCH_SITE);
    let mut response = match is_from_no_page && is_for_us(&site, &request) {
        true => act(&site, request, next, ended).await,
        false => judge(State(site), request, next).await,
    };
    let policy = HeaderValue::from_static(LINK_POLICY);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// The browser of a request with these headers, to one of the page's names.
pub(super) fn browser(site: &Site, headers: &HeaderMap, uri: &Uri) -> Visitor {
    let is_passed_on = FORWARDED.iter().any(|name| headers.contains_key(*name));
    site.names().browser(host_in(headers, uri).unwrap_or_default(), is_passed_on)
}

/// Whether a request came to this server's own names, or to a provider's redirect URI.
pub(super) fn comes_to_redirect(site: &Site, request: &Request) -> bool {
    let path = request.uri().path();
    host(request).is_some_and(|host| site.names().has_host(host) || site.running.is_redirected_at(host, path))
}

/// Whether a post comes from a page of this server. A browser says so in `Origin` or, where it hides the origin, in
/// `Sec-Fetch-Site`.
pub(super) fn comes_from_here(names: &Names, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text(&ORIGIN), text(&FETCH_SITE)) {
        (Some("null") | None, site) => site == Some("same-origin"),
        (Some(origin), None | Some("same-origin")) => names.has_origin(origin),
        (Some(_), Some(_)) => false,
    }
}

/// The page for a Host that is not ours.
pub(super) fn elsewhere(site: &Site) -> Response {
    let base = site.running.page_url().unwrap_or_default();
    let text = format!("This address is not served here. The page is at {base}/.");
    page::notice(StatusCode::MISDIRECTED_REQUEST, "Wrong address", &text)
}

/// Lets only requests of this machine through, and none that a web server passes on.
pub(super) async fn only_local(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is_passed_on = FORWARDED.iter().any(|name| request.headers().contains_key(*name));
    match host(&request).is_some_and(|host| site.names().is_local(host)) && !is_passed_on {
        true => next.run(request).await,
        false => page::notice(
            StatusCode::FORBIDDEN,
            "Only on this machine",
            "Metrics are shown to this machine alone; metrics.address shows them to others.",
        ),
    }
}

/// The answer with the headers of every answer.
pub(super) fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not "no-referrer", with which browsers hide the origin of our own forms, too; browsers without `Sec-Fetch-Site`
        // could press no button then.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: Option<&str>, bound: Option<&str>) -> Names {
        Names { url: url.map(|url| url.parse().unwrap()), bound: bound.map(|bound| bound.parse().unwrap()) }
    }

    #[test]
    fn security_row_46_only_our_own_names_are_served() {
        let local = names(None, Some("127.0.0.1:8993"));
        for host in ["localhost:8993", "LocalHost:8993", "127.0.0.1:8993", "[::1]:8993"] {
            assert!(local.has_host(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8993",
            "localhost",
            "localhost:80",
            "localhost:8994",
            "127.0.0.1",
            "localhost.evil.example:8993",
            "127.0.0.1.nip.io:8993",
            "127.0.0.2:8993",
            "192.0.2.7:8993",
            "",
            "localhost:8993@evil.example",
            "[::1]",
            "localhost:",
            "mail-proxy.corp.example",
        ] {
            assert!(!local.has_host(host), "{host}");
        }
        let behind = names(Some("https://mail-proxy.corp.example"), Some("127.0.0.1:8993"));
        assert!(behind.has_host("mail-proxy.corp.example") && behind.has_host("mail-proxy.corp.example:443"));
        assert!(behind.has_host("127.0.0.1:8993") && !behind.has_host("mail-proxy.corp.example:8993"));
        let socket = names(Some("https://mail-proxy.corp.example:8443"), None);
        assert!(socket.has_host("mail-proxy.corp.example:8443") && socket.has_host("localhost"));
        assert!(!socket.has_host("evil.example"));
    }

    #[test]
    fn a_browser_is_local_only_where_it_connects_by_itself() {
        let url = Some("https://mail.corp.example");
        let tcp = Some("127.0.0.1:8993");
        for (url, bound, host, is_passed_on, origin, is_local) in [
            (None, tcp, "localhost:8993", false, "http://localhost:8993", true),
            (None, tcp, "localhost:8993", true, "http://localhost:8993", false),
            (url, tcp, "127.0.0.1:8993", false, "http://127.0.0.1:8993", true),
            (url, tcp, "127.0.0.1:8993", true, "https://mail.corp.example", false),
            (url, tcp, "mail.corp.example", false, "https://mail.corp.example", false),
            // As nginx writes it for a socket, unless it is told another Host.
            (url, None, "localhost", false, "https://mail.corp.example", false),
            (None, None, "localhost", false, "http://localhost", false),
            (Some("http://localhost:8080"), None, "localhost:8080", false, "http://localhost:8080", true),
        ] {
            let Visitor { origin: is, is_local: local } = names(url, bound).browser(host, is_passed_on);
            assert_eq!((is.as_str(), local), (origin, is_local), "{url:?} {bound:?} {host} {is_passed_on}");
        }
    }

    #[test]
    fn security_row_46_a_post_comes_from_a_page_of_ours() {
        let behind = names(Some("https://mail-proxy.corp.example"), Some("127.0.0.1:8993"));
        let judge = |origin: Option<&str>, site: Option<&str>| {
            let mut headers = HeaderMap::new();
            origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
            site.map(|site| headers.insert(FETCH_SITE, site.parse().unwrap()));
            comes_from_here(&behind, &headers)
        };
        for (origin, site) in [
            (Some("https://mail-proxy.corp.example"), None),
            (Some("http://localhost:8993"), Some("same-origin")),
            (Some("null"), Some("same-origin")),
            (None, Some("same-origin")),
        ] {
            assert!(judge(origin, site), "{origin:?} {site:?}");
        }
        for (origin, site) in [
            (None, None),
            (Some("null"), None),
            (Some("null"), Some("cross-site")),
            (None, Some("none")),
            (None, Some("same-site")),
            (Some("http://mail-proxy.corp.example"), None),
            (Some("https://mail-proxy.corp.example:444"), None),
            (Some("https://evil.example"), None),
            (Some("https://evil.example"), Some("same-origin")),
            (Some("https://mail-proxy.corp.example"), Some("cross-site")),
            (Some("http://localhost:8994"), None),
        ] {
            assert!(!judge(origin, site), "{origin:?} {site:?}");
        }
    }
}
