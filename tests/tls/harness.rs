//! Listeners, mail programs and providers for tests, all on free ports of this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imap_oauth_proxy::tls::{AcceptError, Acceptor, Identity, Socket, TlsSettings, crypto_provider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

/// What peers speak with: aws-lc's suites of the same names and in the same order, where ours are ring's.
pub(crate) fn other_provider() -> CryptoProvider {
    let suites = aws_lc_rs::ALL_CIPHER_SUITES;
    let other = |name| suites.iter().find(|suite| suite.suite() == name).copied().unwrap();
    let cipher_suites = crypto_provider().cipher_suites.iter().map(|suite| other(suite.suite())).collect();
    CryptoProvider { cipher_suites, ..(*crypto_provider()).clone() }
}

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub(crate) fn settings(directory: &Path) -> TlsSettings {
    TlsSettings { state_directory: directory.to_owned(), ..TlsSettings::default() }
}

/// A listener of ours that returns its accepted or refused connections.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    results: mpsc::UnboundedReceiver<Result<Socket, AcceptError>>,
}

impl Listener {
    pub(crate) async fn start(identity: &Arc<Identity>) -> Self {
        Self::start_with_deadline(identity, Duration::from_secs(30)).await
    }

    pub(crate) async fn start_with_deadline(identity: &Arc<Identity>, within: Duration) -> Self {
        let acceptor = Acceptor::new(Arc::clone(identity), "imap").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, results) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let result = acceptor.accept(tcp, Instant::now() + within).await;
                let _ = sender.send(result);
            }
        });
        Self { address, results }
    }

    /// How the next handshake ended.
    pub(crate) async fn next(&mut self) -> Result<Socket, AcceptError> {
        self.results.recv().await.unwrap()
    }
}

/// A mail program with its trust roots and capabilities.
#[derive(Clone)]
pub(crate) struct MailProgram {
    provider: CryptoProvider,
    roots: RootCertStore,
    tls13: bool,
    alpn: Vec<Vec<u8>>,
}

impl MailProgram {
    pub(crate) fn trusting(ca_file: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
        Self { provider: other_provider(), roots, tls13: true, alpn: Vec::new() }
    }

    /// Supports only TLS 1.2, and only suites with certificates of `kind` (`ECDSA` or `RSA`).
    pub(crate) fn old(mut self, kind: &str) -> Self {
        self.tls13 = false;
        self.provider
            .cipher_suites
            .retain(|suite| format!("{:?}", suite.suite()).contains(&format!("_{kind}_")));
        self
    }

    /// Supports only the suites with `cipher` (`AES_128_GCM`, …).
    pub(crate) fn only(mut self, cipher: &str) -> Self {
        self.provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains(cipher));
        self
    }

    pub(crate) fn alpn(mut self, protocol: &str) -> Self {
        self.alpn = vec![protocol.as_bytes().to_vec()];
        self
    }

    /// A configuration for several connections, which remembers sessions.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let versions: &[_] = if self.tls13 { &[&TLS12, &TLS13] } else { &[&TLS12] };
        let mut config = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.clone();
        Arc::new(config)
    }

    /// Connects to `address`, and requires a certificate for `name`.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> std::io::Result<client::TlsStream<TcpStream>> {
        connect(self.config(), address, name).await
    }
}

pub(crate) async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from(name.to_owned()).unwrap(), tcp).await
}

/// The certificate that the other side showed.
pub(crate) fn shown(stream: &client::TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// Another CA, for providers and for the user's own certificates.
pub(crate) struct OtherCa(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl OtherCa {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "Somebody else's CA");
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn parameters(&self, name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = now() - time::Duration::days(30);
        parameters.not_after = now() + time::Duration::days(30);
        parameters
    }

    pub(crate) fn sign(&self, parameters: &CertificateParams) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.0).unwrap().der().clone(), key)
    }
}

/// What a provider saw of one connection attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A finished handshake with this SNI and ALPN.
    Handshake(Option<String>, Option<Vec<u8>>),
    /// The client aborted the handshake.
    BrokenOff,
}

/// A provider's TLS server that shows `certificate` and reports what it sees.
pub(crate) async fn provider(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(other_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"imap".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = sender.send(match acceptor.accept(tcp).await {
                Ok(mut stream) => {
                    use tokio::io::AsyncWriteExt as _;
                    let state = stream.get_ref().1;
                    let seen = Seen::Handshake(
                        state.server_name().map(str::to_owned),
                        state.alpn_protocol().map(<[u8]>::to_vec),
                    );
                    // The client may have disconnected already.
                    let _ = stream.write_all(b"* OK\r\n").await;
                    let _ = stream.flush().await;
                    open.push(stream);
                    seen
                }
                Err(_) => Seen::BrokenOff,
            });
        }
    });
    (address, seen)
}
