//! The measured peers: the proxy, and the TLS relays of nginx and HAProxy with their own configurations, on
//! free ports of the loopback interface. All of them end with the benchmark.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use sandbox::mail::Client;
use sandbox::{pop3, smtp};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::common::{ALICE, Site};
use super::measure::Tree;

/// Longer than a mail program waits, so that a slow machine is still measured.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server between the mail program and the provider.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    /// The address for sending mail.
    pub submission: SocketAddr,
    /// Where mail is fetched by POP3.
    pub pop3: SocketAddr,
    pub tls: Arc<ClientConfig>,
    /// How to log in after the greeting.
    pub login: Login,
    child: Child,
}

#[derive(Clone)]
pub enum Login {
    /// A password, to the proxy.
    Password(String),
    /// A token, to the provider through a relay that does not know it.
    Token(String),
}

impl Peer {
    pub fn tree(&self) -> Tree {
        Tree(self.child.id())
    }

    /// A mail program's connection after the greeting.
    pub async fn connect(&self) -> Client {
        Client::connect_patiently(self.address, &self.tls, PATIENCE).await
    }

    /// A logged-in session.
    pub async fn log_in(&self) -> Client {
        let mut client = self.connect().await;
        self.say_login(&mut client).await;
        client
    }

    pub async fn say_login(&self, client: &mut Client) {
        if let Err(answer) = self.try_login(client).await {
            panic!("{}: {answer}", self.name);
        }
    }

    /// Logs in; the error is an answer other than OK.
    pub async fn try_login(&self, client: &mut Client) -> Result<(), String> {
        let answer = match &self.login {
            Login::Password(password) => client.login(ALICE, password).await,
            Login::Token(token) => client.authenticate(ALICE, token).await,
        };
        match answer.last() {
            Some(line) if line.contains(" OK ") => Ok(()),
            line => Err(line.cloned().unwrap_or_default()),
        }
    }

    /// A sender's connection after the greeting.
    pub async fn connect_to_send(&self) -> smtp::Client {
        let client = smtp::Client::connect_patiently(self.submission, &self.tls, PATIENCE).await;
        assert_eq!(client.greeting.code(), 220, "{}: {:?}", self.name, client.greeting);
        client
    }

    /// Sends EHLO and AUTH.
    pub async fn say_auth(&self, client: &mut smtp::Client) {
        client.ehlo().await;
        let reply = match &self.login {
            Login::Password(password) => client.auth_plain(ALICE, password).await,
            Login::Token(token) => client.xoauth2(ALICE, token).await,
        };
        assert_eq!(reply.code(), 235, "{}: {reply:?}", self.name);
    }
}

impl Peer {
    /// A POP3 client's connection, greeted.
    pub async fn connect_to_fetch(&self) -> pop3::Client {
        let client = pop3::Client::connect_patiently(self.pop3, &self.tls, PATIENCE).await;
        assert!(client.greeting.starts_with("+OK"), "{}: {}", self.name, client.greeting);
        client
    }

    /// USER and PASS, or AUTH.
    pub async fn say_pass(&self, client: &mut pop3::Client) {
        let answer = match &self.login {
            Login::Password(password) => client.user_pass(ALICE, password).await,
            Login::Token(token) => client.xoauth2(ALICE, token).await,
        };
        assert!(answer.starts_with("+OK"), "{}: {answer}", self.name);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx's workers end with their master, but only if the master gets SIGTERM.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The proxy for `site`.
pub async fn proxy(site: &Site, password: &str) -> Peer {
    instance(&site.config, password).await
}

/// The proxy with this configuration, beside which its log lies.
pub async fn instance(config: &Path, password: &str) -> Peer {
    let ready_file = config.with_extension("ready");
    let _ = std::fs::remove_file(&ready_file);
    let log = std::fs::File::create(config.with_extension("log")).unwrap();
    // Set to compare another build.
    let program = std::env::var_os("PROXY").unwrap_or(env!("CARGO_BIN_EXE_imap-oauth-proxy").into());
    let mut child = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["serve", "--ready-file"])
        .arg(&ready_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    while !ready_file.exists() {
        if let Some(status) = child.try_wait().unwrap() {
            let words = std::fs::read_to_string(config.with_extension("log")).unwrap();
            panic!("the proxy did not start ({status}): {words}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ready: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&ready_file).unwrap()).unwrap();
    let ca = CertificateDer::from_pem_file(ready["ca_file"].as_str().unwrap()).unwrap();
    let listener = |at: usize| ready["listeners"][at]["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(ready["listeners"][1]["protocol"], "submission");
    assert_eq!(ready["listeners"][2]["protocol"], "pop3");
    Peer {
        name: "ours",
        address: listener(0),
        submission: listener(1),
        pop3: listener(2),
        tls: trusting(ca),
        login: Login::Password(password.to_owned()),
        child,
    }
}

/// The relays of nginx and HAProxy to the provider of `site`, as far as they are installed.
pub async fn relays(site: &Site) -> Vec<Peer> {
    let directory = site.home.path();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(directory.join("relay.pem"), cert.pem() + &signing_key.serialize_pem()).unwrap();
    let sandbox = &site.sandbox;
    let providers = [sandbox.imap_address(), sandbox.submission().0, sandbox.pop3().0];
    let ca = site.sandbox.ca_file().display().to_string();
    let here = directory.display().to_string();
    let mut peers = Vec::new();

    let ports = [free_port(), free_port(), free_port()];
    let servers: String = ports
        .iter()
        .zip(&providers)
        .map(|(port, provider)| {
            format!(
                " server {{\n  listen 127.0.0.1:{port} ssl;\n  ssl_certificate {here}/relay.pem;\n\
                 \x20 ssl_certificate_key {here}/relay.pem;\n  ssl_session_cache shared:tls:10m;\n\
                 \x20 ssl_protocols TLSv1.2 TLSv1.3;\n  proxy_pass {provider};\n  proxy_ssl on;\n\
                 \x20 proxy_ssl_protocols TLSv1.2 TLSv1.3;\n  proxy_ssl_verify on;\n  proxy_ssl_name localhost;\n\
                 \x20 proxy_ssl_trusted_certificate {ca};\n  proxy_timeout 1h;\n }}\n"
            )
        })
        .collect();
    let nginx = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
         worker_processes auto;\npid {here}/nginx.pid;\nerror_log {here}/nginx.log;\n\
         daemon off;\nevents {{ worker_connections 16384; }}\nstream {{\n{servers}}}\n"
    );
    let arguments = ["-c", "nginx.conf", "-p", &here];
    let file = directory.join("nginx.conf");
    std::fs::write(&file, nginx).unwrap();
    peers.extend(start("nginx", "nginx", &arguments, directory, ports, cert.der(), site).await);

    let ports = [free_port(), free_port(), free_port()];
    let services: String = ["imap", "smtp", "pop3"]
        .iter()
        .zip(ports.iter().zip(&providers))
        .map(|(name, (port, provider))| {
            format!(
                "frontend {name}\n bind 127.0.0.1:{port} ssl crt {here}/relay.pem\n default_backend {name}-provider\n\
                 backend {name}-provider\n\
                 \x20server provider {provider} ssl verify required ca-file {ca} verifyhost localhost\n"
            )
        })
        .collect();
    let haproxy = format!(
        "global\n maxconn 9000\n stats timeout 1h\n\
         defaults\n mode tcp\n timeout connect 10s\n timeout client 1h\n timeout server 1h\n{services}"
    );
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, haproxy).unwrap();
    let file = file.display().to_string();
    peers.extend(start("HAProxy", "haproxy", &["-f", &file], directory, ports, cert.der(), site).await);
    peers
}

async fn start(
    name: &'static str,
    program: &str,
    arguments: &[&str],
    directory: &Path,
    ports: [u16; 3],
    certificate: &CertificateDer<'static>,
    site: &Site,
) -> Option<Peer> {
    let words = std::fs::File::create(directory.join(format!("{program}.err"))).unwrap();
    let command = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words)
        .spawn();
    let Ok(child) = command else {
        println!("{program} is not installed and left out");
        return None;
    };
    let [address, submission, pop3] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let login = Login::Token(site.sandbox.controls().access_token(ALICE));
    let mut peer = Peer { name, address, submission, pop3, tls: trusting(certificate.clone()), login, child };
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if let Some(status) = peer.child.try_wait().unwrap() {
            let words = std::fs::read_to_string(directory.join(format!("{program}.err"))).unwrap();
            panic!("{program} did not start ({status}): {words}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(peer)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A mail program's TLS that trusts `certificate` and resumes no session, because collectors make full
/// handshakes.
fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
