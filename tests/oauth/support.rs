//! An HTTP server that records requests and sends a test's answers byte for byte, and a provider with its
//! endpoints there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use imap_oauth_proxy::config::{ClientAuthentication, Provider, Quirks};
use imap_oauth_proxy::oauth::{AuthorizationRequest, Client, TokenError};
use imap_oauth_proxy::secret::{Secret, random_text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::{Url, form_urlencoded};

/// One request as received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) form: BTreeMap<String, String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Each connection is one request; `answer` returns the bytes to send before it is closed.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut stream).await else { continue };
                let bytes = answer(&request);
                record.lock().unwrap().push(request);
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, seen, task }
    }

    /// Answers everything with one JSON text.
    pub(crate) async fn json(status: u16, body: impl ToString) -> Self {
        let bytes = reply(status, &[("content-type", "application/json")], body.to_string().as_bytes());
        Self::start(move |_| bytes.clone()).await
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.base())).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut request = head.split_whitespace();
    let (method, path) = (request.next()?.to_owned(), request.next()?.to_owned());
    let mut seen = Seen { method, path, head, form: BTreeMap::new() };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    seen.form = form_urlencoded::parse(&bytes[head_end..]).into_owned().collect();
    Some(seen)
}

/// A whole HTTP answer.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A public client at `base`.
pub(crate) fn provider(base: &str) -> Provider {
    let url = |path: &str| Some(Url::parse(&format!("{base}{path}")).unwrap());
    Provider {
        name: "acme".to_owned(),
        is_preset: false,
        title: "Acme".to_owned(),
        services: Vec::new(),
        authorize_url: url("/authorize"),
        token_url: url("/token"),
        device_url: None,
        no_device: None,
        revoke_url: None,
        revoke_page: None,
        userinfo_url: None,
        email_identifies: true,
        issuer: None,
        quirks: Quirks::default(),
        scopes: vec!["mail".to_owned(), "offline_access".to_owned()],
        client_id: Some("client".to_owned()),
        client_secret: None,
        client_secret_file: None,
        client_assertion_file: None,
        client_secret_expires: None,
        client_authentication: ClientAuthentication::Post,
        domains: Vec::new(),
        authorize_params: BTreeMap::new(),
        redirect_uri: Url::parse("http://127.0.0.1/callback").unwrap(),
        extra_ca: None,
        scope_on_refresh: false,
        rotates: false,
        idle_days: None,
        ends: Vec::new(),
        registration: String::new(),
        app: None,
    }
}

/// A client without trusted certificates: loopback addresses need none.
pub(crate) fn client(provider: Provider) -> Client {
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Client::new(Arc::new(provider), tls, None).unwrap()
}

/// The scopes requested at a provider without doors: its own scopes.
pub(crate) fn asked(client: &Client) -> Vec<String> {
    client.provider().asked_for(&[])
}

/// A request for consent to these scopes.
pub(crate) async fn request(
    client: &Client,
    redirect_uri: &str,
    login_hint: Option<&str>,
) -> Result<AuthorizationRequest, TokenError> {
    let state = Secret::new(random_text::<32>());
    client.authorization(state, redirect_uri, login_hint, &asked(client)).await
}

/// An id_token with an invalid signature, which no client checks.
pub(crate) fn id_token(claims: &serde_json::Value) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("signature"))
}

/// Sends `request` unchanged and returns the whole answer.
pub(crate) async fn talk(address: impl tokio::net::ToSocketAddrs, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Sends a browser's request for `url`.
pub(crate) async fn browse(url: &str) -> String {
    let url = Url::parse(url).unwrap();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    talk(authority, &format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).await
}
