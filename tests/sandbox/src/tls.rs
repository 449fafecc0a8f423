//! The provider's certificate, from a certification authority that each sandbox makes.
//!
//! Tests trust the authority by its PEM file only. A wrong certificate ([`Certificate`]) is wrong in one
//! respect and otherwise valid, so the proxy's handshake must fail for that respect alone.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};

/// The provider's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, 127.0.0.1, ::1 and [`ELSEWHERE`](crate::proxy::ELSEWHERE), signed by the sandbox's authority.
    #[default]
    Good,
    /// Signed by the authority, for another host.
    WrongName,
    /// Signed by the authority, expired in 2001.
    Expired,
    /// For the right names, but self-signed.
    SelfSigned,
}

/// The keys and certificates of one sandbox.
pub(crate) struct Authority {
    pub(crate) ca_pem: String,
    ca: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Sandbox provider CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&key).expect("a CA certificate");
        Self { ca_pem: ca.pem(), ca, issuer: Issuer::new(params, key) }
    }

    /// The server's configuration, with session tickets so that clients can resume.
    pub(crate) fn server(
        &self,
        certificate: Certificate,
        tls12_only: bool,
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = leaf(certificate);
        let chain = match certificate {
            Certificate::SelfSigned => vec![params.self_signed(&key).expect("a certificate").der().clone()],
            _ => {
                let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
                vec![leaf.der().clone(), self.ca.der().clone()]
            }
        };
        let versions =
            if tls12_only { vec![&version::TLS12] } else { vec![&version::TLS13, &version::TLS12] };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions)
            .expect("the provider knows both versions")
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
            .expect("the certificate fits the key");
        config.ticketer = aws_lc_rs::Ticketer::new().expect("a ticket key");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client configuration that trusts only this authority.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("our own CA");
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider knows both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn leaf(certificate: Certificate) -> CertificateParams {
    let names: &[&str] = match certificate {
        Certificate::WrongName => &["mail.elsewhere.example"],
        _ => &["localhost", "127.0.0.1", "::1", crate::proxy::ELSEWHERE],
    };
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("plain names");
    params.distinguished_name.push(DnType::CommonName, "Sandbox provider");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2000, 1, 1);
    if certificate == Certificate::Expired {
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    params
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
