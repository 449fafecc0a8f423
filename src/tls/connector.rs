//! The client side of TLS: connections to providers, always verified.
//!
//! * A connector trusts the machine's roots (rustls-platform-verifier) and the roots of `extra_ca`. On a machine
//!   without a CA bundle a provider with `extra_ca` works; any other fails at its first connection, with a message that
//!   names the missing bundle.
//! * The name that is checked and sent as SNI is the configured host, never one learnt on the way
//!   (RFC 9525 §6.1).
//! * One connector a provider, so that its connections share session tickets: a login then costs
//!   no signature check and, in TLS 1.2, one round trip less.
//! * ALPN `imap` is not offered. No mail program offers it, so no provider is tested with it, and
//!   a front that shares its port with HTTPS may refuse what it does not know (RFC 7301 §3.2).
//!   ALPN would guard against a connection to another service of the same name; such a connection ends before a token
//!   is sent in any case, because that service gives no IMAP greeting.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::{self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;

use super::sessions::Resumable;
use super::{ConnectError, Socket, crypto_provider, handshake};

/// Connects to one provider's servers. Cheap to clone; clones share sessions.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// A connector that trusts the machine's roots and those in the PEM file `extra_ca`.
    ///
    /// Reads the machine's roots, which takes milliseconds: make one and keep it.
    pub fn new(extra_ca: Option<&Path>) -> Result<Self, ConnectorError> {
        let extra_roots = extra_ca.map(read_roots).transpose()?.unwrap_or_default();
        let verifier: Arc<dyn ServerCertVerifier> =
            match Verifier::new_with_extra_roots(extra_roots, crypto_provider()) {
                Ok(verifier) => Arc::new(verifier),
                Err(_) => Arc::new(NoRoots(crypto_provider().signature_verification_algorithms)),
            };
        let mut config = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::store(Arc::new(Resumable::new()));
        // Our own records use the keys; see `handshake`.
        config.enable_secret_extraction = true;
        Ok(Self { config: Arc::new(config) })
    }

    /// The handshake with `host` (a name or an IP address, without port) on a fresh connection.
    ///
    /// Sets no deadline. Sends only TLS messages until it has succeeded.
    pub async fn connect(&self, host: &str, mut tcp: TcpStream) -> Result<Socket, ConnectError> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| ConnectError::NotAHost(host.to_owned()))?;
        tcp.set_nodelay(true).map_err(|error| ConnectError::new(host, error))?;
        match Box::pin(handshake::client(self.config.clone(), name, &mut tcp)).await {
            Ok(session) => Ok(Socket::tls(tcp, session)),
            Err(error) => Err(with_missing_roots(ConnectError::new(host, error))),
        }
    }

    /// A configuration with the same trust, for an HTTP client (`reqwest::ClientBuilder::tls_backend_preconfigured`).
    pub fn http_config(&self) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_secret_extraction = false;
        // Not shared: a mail host's ticket is useless to a token endpoint.
        config.resumption = Resumption::store(Arc::new(Resumable::new()));
        config
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// If an issuer is unknown because the machine has no roots, says that instead. Checked only after a failure, so
/// that a machine without a CA bundle works as long as `extra_ca` suffices.
fn with_missing_roots(error: ConnectError) -> ConnectError {
    match error {
        ConnectError::UnknownIssuer(host) if Verifier::new(crypto_provider()).is_err() => {
            ConnectError::NoRoots(host)
        }
        other => other,
    }
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let pem = std::fs::read(path).map_err(|error| ConnectorError::Unreadable(path.to_owned(), error))?;
    let roots = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let mut store = RootCertStore::empty();
    let (_, ignored) = store.add_parsable_certificates(roots.iter().cloned());
    if roots.is_empty() || ignored > 0 {
        return Err(ConnectorError::NotACertificate(path.to_owned()));
    }
    Ok(roots)
}

/// The verifier for a machine without any root; it trusts no certificate.
#[derive(Debug)]
struct NoRoots(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for NoRoots {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Why a connector cannot be made. Each is for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// An operating system's refusal.
    #[error("the extra_ca file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Not a PEM file with CA certificates, or one of them is broken.
    #[error("the extra_ca file {0} must hold CA certificates in PEM and nothing broken")]
    NotACertificate(PathBuf),
    /// The crypto library's refusal; no input is known to cause one.
    #[error("TLS cannot be set up: {0}")]
    Crypto(#[from] rustls::Error),
}
