//! Session resumption, and when it must not happen: no session outlives the certificates of its first
//! handshake (security row 37).

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use imap_oauth_proxy::tls::{Authority, Identity, TlsSettings, crypto_provider};
use time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, Tls12Resumption};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion,
};

use crate::common::Site;
use crate::harness::{Listener, OtherCa, connect, now, settings};

/// Accepts any certificate: the test is about whether one is sent.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A mail program of each kind that remembers its sessions.
fn programs() -> Vec<(&'static str, Arc<ClientConfig>)> {
    let program = |version: &'static SupportedProtocolVersion, old: Tls12Resumption| {
        let mut config = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything))
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(8).tls12_resumption(old);
        Arc::new(config)
    };
    vec![
        ("a TLS 1.3 ticket", program(&TLS13, Tls12Resumption::Disabled)),
        ("a TLS 1.2 ticket", program(&TLS12, Tls12Resumption::SessionIdOrTickets)),
        ("a TLS 1.2 session id", program(&TLS12, Tls12Resumption::SessionIdOnly)),
    ]
}

/// Connects to a listener that greets; returns whether a session was resumed.
async fn resumes(config: &Arc<ClientConfig>, address: SocketAddr) -> bool {
    let mut client = connect(Arc::clone(config), address, "localhost").await.unwrap();
    // The ticket comes with the greeting.
    assert_eq!(client.read_u8().await.unwrap(), b'*');
    client.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Like [`resumes`], with a listener of the harness.
async fn resumed(config: &Arc<ClientConfig>, listener: &mut Listener) -> bool {
    let address = listener.address;
    let greet = async {
        let mut server = listener.next().await.unwrap();
        server.write_all(b"*").await.unwrap();
        server.flush().await.unwrap();
        server.was_resumed()
    };
    let (theirs, ours) = tokio::join!(resumes(config, address), greet);
    assert_eq!(theirs, ours);
    theirs
}

/// Checks that sessions are resumed, that after `change` none of them is, and that new ones are.
async fn ends_sessions(identity: &Arc<Identity>, change: impl FnOnce()) {
    let mut listener = Listener::start(identity).await;
    let programs = programs();
    for (what, program) in &programs {
        assert!(!resumed(program, &mut listener).await, "{what}");
        assert!(resumed(program, &mut listener).await, "{what}");
        // Another ticket, so that one is left for later.
        assert!(resumed(program, &mut listener).await, "{what}");
    }
    change();
    for (what, program) in &programs {
        assert!(!resumed(program, &mut listener).await, "{what} from before the change");
        assert!(resumed(program, &mut listener).await, "{what} from after the change");
    }
}

#[tokio::test]
async fn security_row_37_a_new_ca_ends_all_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let identity = Arc::new(Identity::load(settings.clone(), now()).unwrap());
    ends_sessions(&identity, || {
        Authority::renew(&settings, now()).unwrap();
        assert!(identity.refresh(now()).unwrap());
    })
    .await;
}

#[tokio::test]
async fn security_row_37_a_renewed_leaf_ends_all_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let long_ago = now() - Duration::days(300);
    let identity = Arc::new(Identity::load(settings(directory.path()), long_ago).unwrap());
    ends_sessions(&identity, || assert!(identity.refresh(now()).unwrap())).await;
}

#[tokio::test]
async fn security_row_37_other_certificate_files_end_all_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    let ca = OtherCa::new();
    let write = || {
        let mut parameters = ca.parameters("localhost");
        // Not near its end, and another certificate than before.
        parameters.serial_number = Some(imap_oauth_proxy::secret::random_bytes::<8>().to_vec().into());
        let own = rcgen::KeyPair::generate().unwrap();
        fs::write(&certificate, parameters.signed_by(&own, &ca.0).unwrap().pem()).unwrap();
        fs::write(&key, own.serialize_pem()).unwrap();
    };
    write();
    let settings =
        TlsSettings { certificate: Some((certificate.clone(), key.clone())), ..settings(directory.path()) };
    let identity = Arc::new(Identity::load(settings, now()).unwrap());
    ends_sessions(&identity, || {
        write();
        assert!(identity.refresh(now()).unwrap());
    })
    .await;
}

/// Touched files with the same content are no new certificate.
#[tokio::test]
async fn the_same_certificates_loaded_again_go_on_with_their_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let programs = programs();
    for (_, program) in &programs {
        assert!(!resumed(program, &mut listener).await);
    }
    let leaf = directory.path().join("leaf-rsa.pem");
    let text = fs::read(&leaf).unwrap();
    fs::write(&leaf, [&text[..], b"\n"].concat()).unwrap();
    assert!(identity.refresh(now()).unwrap());
    for (what, program) in &programs {
        assert!(resumed(program, &mut listener).await, "{what}");
    }
}

/// The real program, with a new CA made by another process.
#[tokio::test]
async fn security_row_37_after_certs_renew_ca_no_session_of_before_is_resumed() {
    let site = Site::new().await;
    let mut serving = site.serve().await;
    let address = serving.address();
    let programs = programs();
    for (what, program) in &programs {
        assert!(!resumes(program, address).await, "{what}");
        assert!(resumes(program, address).await, "{what}");
    }
    let renewed = site.run(&["certs", "renew-ca"]).await;
    assert_eq!(renewed.code, 0, "{renewed:?}");
    serving.logs("the listeners' certificates were loaded again").await;
    for (what, program) in &programs {
        assert!(!resumes(program, address).await, "{what} from before the change");
        assert!(resumes(program, address).await, "{what} from after the change");
    }
    let (code, _) = serving.stop().await;
    assert_eq!(code, 0);
}
