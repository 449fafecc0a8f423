//! HTTP connections to a provider's endpoints.
//!
//! The caller supplies the trust roots. No redirect is followed, so a secret reaches only the configured endpoint. Like
//! mail connections, requests go through `network.proxy` and no other proxy, and directly to hosts on this machine. An
//! answer is read up to 64 KiB, uncompressed, within 30 seconds in all. An endpoint is https, or http on a loopback
//! host. Errors name the host and the cause, never a URL's query or a body.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{Body, Reply};
use super::exchange::{self, Exchange};
use super::request::{EndpointRequest, malformed};
use crate::config::{NetworkProxy, ProxyKind, is_loopback};
use crate::oauth::TokenError;
use crate::oauth::meaning::text;
use crate::secret::Secret;
use crate::trouble::Cure;

/// A provider that is slower to accept a connection will not answer in time for a login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the time of a login's sign-in (three quarters of `limits.login_seconds`, by default 45 s), so that the
/// login still gets its tagged answer.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Kept connections save handshakes in a burst of refreshes. Servers close connections that are idle for
/// longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Token answers are a few KiB, discovery documents under 10.
const LONGEST_BODY: usize = 64 * 1024;
const USER_AGENT: &str = concat!("imap-oauth-proxy/", env!("CARGO_PKG_VERSION"));

/// Sends requests and reads answers.
pub(in crate::oauth) struct Transport {
    way: Way,
    proxy: Option<Arc<NetworkProxy>>,
}

enum Way {
    Network(reqwest::Client),
    Given(Arc<dyn Exchange>),
}

impl Transport {
    pub(in crate::oauth) fn new(
        tls: rustls::ClientConfig,
        proxy: Option<&Arc<NetworkProxy>>,
    ) -> Result<Self, TokenError> {
        Self::within(tls, proxy, TOTAL_TIMEOUT)
    }

    pub(in crate::oauth) fn over(exchange: Arc<dyn Exchange>) -> Self {
        Self { way: Way::Given(exchange), proxy: None }
    }

    fn within(
        tls: rustls::ClientConfig,
        proxy: Option<&Arc<NetworkProxy>>,
        total: Duration,
    ) -> Result<Self, TokenError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(total)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(USER_AGENT);
        if let Some(proxy) = proxy {
            builder = builder.proxy(through(proxy)?);
        }
        let proxy = proxy.cloned();
        builder.build().map(|client| Self { way: Way::Network(client), proxy }).map_err(|error| {
            TokenError::local(
                "tls",
                format!("HTTPS cannot be set up: {}", root_cause(&error)),
                Cure::configure("extra_ca", "check extra_ca and the system's root certificates"),
            )
        })
    }

    pub(in crate::oauth) async fn send(&self, request: EndpointRequest) -> Result<Reply, TokenError> {
        if let Way::Given(given) = &self.way {
            return exchange::carry(&**given, &request).await;
        }
        let request = reqwest::Request::try_from(request.http).map_err(|_| malformed())?;
        self.execute(request).await
    }

    /// A GET, with an access token in the header if one is given.
    pub(in crate::oauth) async fn get(
        &self,
        url: &Url,
        bearer: Option<&Secret>,
    ) -> Result<Reply, TokenError> {
        let mut builder = self.network()?.get(url.clone()).header(ACCEPT, "application/json");
        if let Some(token) = bearer {
            builder = builder.bearer_auth(token.expose());
        }
        let request = builder.build().map_err(|_| malformed())?;
        self.execute(request).await
    }

    /// A POST of a JSON text.
    pub(in crate::oauth) async fn post_json(&self, url: &Url, json: String) -> Result<Reply, TokenError> {
        let builder = self.network()?.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json);
        let request = builder.build().map_err(|_| malformed())?;
        self.execute(request).await
    }

    fn network(&self) -> Result<&reqwest::Client, TokenError> {
        match &self.way {
            Way::Network(client) => Ok(client),
            Way::Given(_) => Err(TokenError::passing("network", "only forms are carried here", None)),
        }
    }

    async fn execute(&self, request: reqwest::Request) -> Result<Reply, TokenError> {
        let url = request.url().clone();
        if !is_safe(&url) {
            return Err(TokenError::local(
                "insecure_endpoint",
                format!("the endpoint at {} is not https", host_of(&url)),
                Cure::configure("token_url", "use an https address; http is for loopback hosts alone"),
            ));
        }
        let mut response =
            self.network()?.execute(request).await.map_err(|error| self.unreachable(&url, &error))?;
        let status = response.status().as_u16();
        tracing::debug!(host = %host_of(&url), status, "answered");
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = Zeroizing::new(Vec::new());
        let body = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > LONGEST_BODY => break Body::TooLong,
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break Body::Whole(bytes),
                Err(_) => break Body::Broken,
            }
        };
        Ok(Reply { status, retry_after, body })
    }

    fn unreachable(&self, url: &Url, error: &reqwest::Error) -> TokenError {
        let proxy = self.proxy.as_ref().filter(|_| !is_loopback(url));
        let way = proxy.map(|proxy| format!(" through network.proxy ({proxy})")).unwrap_or_default();
        let host = host_of(url);
        // Only a port that the URL names: the default port needs no mention.
        let port = url.port().map(|port| format!(" on port {port}")).unwrap_or_default();
        let mut meaning = match error.is_timeout() {
            true => format!("{host} did not answer in time{port}{way}"),
            false => format!("{host} cannot be reached{port}{way}: {}", text::plain(&root_cause(error), 200)),
        };
        if proxy.is_some() {
            meaning.push_str("; check that the proxy runs and allows it, and NAME:PASSWORD@ before its host");
        }
        TokenError::passing("network", meaning, None)
    }
}

/// Whether a secret may be sent to `url`: https, or http to this machine.
pub(in crate::oauth) fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// The proxy for all requests that leave this machine.
fn through(proxy: &NetworkProxy) -> Result<reqwest::Proxy, TokenError> {
    // With "h" the proxy resolves the host's name, instead of this machine's DNS.
    let scheme = match proxy.kind {
        ProxyKind::Socks5 => "socks5h",
        ProxyKind::Http => "http",
    };
    let url = Url::parse(&format!("{scheme}://{}", proxy.endpoint)).map_err(|_| ()).and_then(|mut url| {
        if let Some((user, password)) = &proxy.credentials {
            url.set_username(user)?;
            url.set_password(Some(password.expose()))?;
        }
        Ok(url)
    });
    let url = url.map_err(|()| {
        TokenError::local(
            "proxy",
            format!("{proxy} cannot be used for HTTPS"),
            Cure::configure("network.proxy", "correct network.proxy"),
        )
    })?;
    Ok(reqwest::Proxy::custom(move |target| (!is_loopback(target)).then(|| url.clone())))
}

/// The innermost cause ("Connection refused", "invalid peer certificate: …"); the outer errors only repeat
/// the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.source() {
        Some(_) => cause.to_string(),
        None => "the request failed".to_owned(),
    }
}

fn host_of(url: &Url) -> String {
    text::plain(url.host_str().unwrap_or("the endpoint"), 253)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_https_or_stay_on_this_machine() {
        for (url, safe) in [
            ("https://login.example/token", true),
            ("http://login.example/token", false),
            ("http://localhost:8080/token", true),
            ("http://127.0.0.1/token", true),
            ("http://[::1]:1/token", true),
            ("http://127.0.0.1.example/token", false),
            ("http://localhost.example/token", false),
            ("ftp://127.0.0.1/token", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_safe(&Url::parse(url).unwrap()), safe, "{url}");
        }
    }

    fn trusts_no_root() -> rustls::ClientConfig {
        rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    }

    #[tokio::test]
    async fn a_proxy_that_gives_no_connection_is_named_without_its_password() {
        use sandbox::proxy::{Answers, ELSEWHERE, Proxy, Speaks};
        let garbage = || Answers::With(b"SSH-2.0-canary\r\n".to_vec());
        let url = Url::parse(&format!("https://{ELSEWHERE}:8443/token?canary")).unwrap();
        for (scheme, speaks, refusal) in [("socks5", Speaks::Socks5, 2), ("http", Speaks::Http, 403)] {
            for (answers, total) in [
                (Answers::No(refusal), TOTAL_TIMEOUT),
                (Answers::To("anna", "right"), TOTAL_TIMEOUT),
                (garbage(), TOTAL_TIMEOUT),
                (Answers::Nothing, Duration::from_millis(50)),
            ] {
                let proxy = Proxy::start(speaks, answers.clone()).await;
                let text = format!(
                    "state_directory = \"/x\"\n[network]\nproxy = \"{scheme}://anna:canary@{}\"\n",
                    proxy.address
                );
                let config = crate::config::Config::parse(&text, None).unwrap();
                let transport =
                    Transport::within(trusts_no_root(), config.network_proxy.as_ref(), total).unwrap();
                let error = transport.get(&url, None).await.err().unwrap();
                let said = error.to_string();
                assert!(error.is_passing());
                let named = format!("through network.proxy ({scheme}://{})", proxy.address);
                assert!(said.contains(&named) && said.contains("check that the proxy runs"), "{said}");
                assert!(!format!("{error:?}{said}").contains("canary"), "{answers:?}: {said}");
            }
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_is_silent_or_stalls_is_given_up_in_time() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::net::TcpListener;

        let transport = Transport::within(trusts_no_root(), None, Duration::from_millis(50)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/token?canary", listener.local_addr().unwrap())).unwrap();

        let silent = transport.get(&url, None).await.err().unwrap();
        assert!(silent.is_passing());
        let port = listener.local_addr().unwrap().port();
        let said = format!("127.0.0.1 did not answer in time on port {port}");
        assert!(silent.to_string().contains(&said), "{silent}");
        assert!(!format!("{silent:?}").contains("canary"));

        let (mut unanswered, _) = listener.accept().await.unwrap();
        let (stalled, _) = tokio::join!(transport.get(&url, None), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await.unwrap();
            // Keeps the connection open until the client gives up.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        });
        assert!(matches!(stalled.unwrap().body, Body::Broken));
        let _ = unanswered.shutdown().await;
    }
}
