//! Connections to providers: verified, or ended before we send a byte.

use std::fs;
use std::path::PathBuf;

use imap_oauth_proxy::tls::{ConnectError, Connector, ConnectorError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{OtherCa, Seen, now, provider};

const HOST: &str = "imap.provider.example";

/// A CA with its file, and the folder that keeps it.
fn authority() -> (tempfile::TempDir, PathBuf, OtherCa) {
    let directory = tempfile::tempdir().unwrap();
    let ca = OtherCa::new();
    let path = directory.path().join("ca.pem");
    fs::write(&path, ca.0.pem()).unwrap();
    (directory, path, ca)
}

#[tokio::test]
async fn a_provider_with_a_private_ca_is_trusted_by_extra_ca_and_told_the_host_name() {
    let (_directory, ca_file, ca) = authority();
    let (certificate, key) = ca.sign(&ca.parameters(HOST));
    let (address, mut seen) = provider(certificate, &key).await;
    let connector = Connector::new(Some(&ca_file)).unwrap();
    let mut stream = connector.connect(HOST, TcpStream::connect(address).await.unwrap()).await.unwrap();
    assert!(stream.is_tls());
    assert!(stream.tcp().nodelay().unwrap());
    assert_eq!(stream.peer_addr().unwrap(), address);
    let mut greeting = [0; 6];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"* OK\r\n");
    assert_eq!(seen.recv().await, Some(Seen::Handshake(Some(HOST.to_owned()), None)));
}

#[tokio::test]
async fn the_second_connection_to_a_provider_resumes_the_first() {
    let (_directory, ca_file, ca) = authority();
    let (certificate, key) = ca.sign(&ca.parameters(HOST));
    let (address, _seen) = provider(certificate, &key).await;
    let connector = Connector::new(Some(&ca_file)).unwrap();
    for resumed in [false, true, true] {
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.clone().connect(HOST, tcp).await.unwrap();
        assert_eq!(stream.was_resumed(), resumed);
        stream.read_exact(&mut [0; 6]).await.unwrap();
    }
}

#[tokio::test]
async fn a_crowd_that_comes_back_resumes_what_the_crowd_before_it_left() {
    let (_directory, ca_file, ca) = authority();
    let (certificate, key) = ca.sign(&ca.parameters(HOST));
    let (address, _seen) = provider(certificate, &key).await;
    let connector = Connector::new(Some(&ca_file)).unwrap();
    let session = async || {
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(HOST, tcp).await.unwrap();
        stream.read_exact(&mut [0; 6]).await.unwrap();
        stream
    };
    // The provider sends two tickets a connection.
    for _ in 0..16 {
        session().await;
    }
    let mut open = Vec::new();
    for _ in 0..16 {
        let tcp = TcpStream::connect(address).await.unwrap();
        open.push(connector.connect(HOST, tcp).await.unwrap());
    }
    assert!(open.iter().all(imap_oauth_proxy::tls::Socket::was_resumed));
}

#[tokio::test]
async fn row_10_a_wrong_certificate_is_refused_before_a_byte_is_sent() {
    let (_directory, ca_file, ca) = authority();
    let stranger = OtherCa::new();
    let with = |change: fn(&mut CertificateParams)| {
        let mut parameters = ca.parameters(HOST);
        change(&mut parameters);
        ca.sign(&parameters)
    };
    let self_signed_ca = || {
        let mut parameters = ca.parameters(HOST);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        (parameters.self_signed(&key).unwrap().der().clone(), key)
    };
    let self_signed = || {
        let key = KeyPair::generate().unwrap();
        (ca.parameters(HOST).self_signed(&key).unwrap().der().clone(), key)
    };
    let common_name_only = || {
        let mut parameters = ca.parameters(HOST);
        parameters.subject_alt_names.clear();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, HOST);
        ca.sign(&parameters)
    };
    let cases = [
        ("wrong host", ca.sign(&ca.parameters("imap.other.example"))),
        ("wildcard too wide", ca.sign(&ca.parameters("*.example"))),
        ("common name only", common_name_only()),
        ("expired", with(|parameters| parameters.not_after = now() - Duration::days(1))),
        ("not yet", with(|parameters| parameters.not_before = now() + Duration::days(1))),
        ("stranger", stranger.sign(&stranger.parameters(HOST))),
        ("self-signed", self_signed()),
        ("self-signed CA", self_signed_ca()),
        (
            "client certificate",
            with(|parameters| {
                parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
    ];
    let connector = Connector::new(Some(&ca_file)).unwrap();
    for (what, (certificate, key)) in cases {
        let (address, mut seen) = provider(certificate, &key).await;
        let tcp = TcpStream::connect(address).await.unwrap();
        let error = connector.connect(HOST, tcp).await.unwrap_err();
        assert!(is_named_rightly(what, &error), "{what}: {error:?}");
        assert!(error.to_string().contains(HOST), "{error}");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(seen.recv().await, Some(Seen::BrokenOff), "{what}");
    }
}

fn is_named_rightly(what: &str, error: &ConnectError) -> bool {
    match what {
        "wrong host" | "wildcard too wide" | "common name only" => {
            matches!(error, ConnectError::WrongName { .. })
        }
        "expired" => matches!(error, ConnectError::Expired { .. }),
        "not yet" => matches!(error, ConnectError::NotYetValid { .. }),
        "stranger" | "self-signed" => {
            matches!(error, ConnectError::UnknownIssuer { .. } | ConnectError::NoRoots { .. })
        }
        "self-signed CA" => matches!(error, ConnectError::SelfSigned { .. }),
        _ => matches!(error, ConnectError::BadCertificate { .. }),
    }
}

#[tokio::test]
async fn row_10_the_http_leg_has_the_same_trust() {
    let (_directory, ca_file, ca) = authority();
    let connector = Connector::new(Some(&ca_file)).unwrap();
    for (name, expected) in [
        (HOST, Seen::Handshake(Some(HOST.to_owned()), Some(b"http/1.1".to_vec()))),
        ("imap.other.example", Seen::BrokenOff),
    ] {
        let (certificate, key) = ca.sign(&ca.parameters(name));
        let (address, mut seen) = provider(certificate, &key).await;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(connector.http_config())
            .resolve(HOST, address)
            .build()
            .unwrap();
        // An IMAP greeting is no HTTP answer; the test is about how far the handshake went.
        client.get(format!("https://{HOST}:{}/", address.port())).send().await.unwrap_err();
        assert_eq!(seen.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn row_4_names_in_a_certificate_reach_no_log_unescaped() {
    let (_directory, ca_file, ca) = authority();
    let mut parameters = ca.parameters("a.example");
    for name in ["x\u{1b}[2J\r\n<b>", "b.example", "c.example", "d.example"] {
        let name = name.try_into().unwrap();
        parameters.subject_alt_names.insert(0, rcgen::SanType::DnsName(name));
    }
    let (certificate, key) = ca.sign(&parameters);
    let (address, _seen) = provider(certificate, &key).await;
    let connector = Connector::new(Some(&ca_file)).unwrap();
    let error = connector.connect(HOST, TcpStream::connect(address).await.unwrap()).await.unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{:?}", error.to_string());
}

#[tokio::test]
async fn an_ip_address_is_a_host_too() {
    let (_directory, ca_file, ca) = authority();
    let (certificate, key) = ca.sign(&ca.parameters("127.0.0.1"));
    let (address, _seen) = provider(certificate, &key).await;
    let connector = Connector::new(Some(&ca_file)).unwrap();
    connector.connect("127.0.0.1", TcpStream::connect(address).await.unwrap()).await.unwrap();
    let error = connector.connect("not a host", TcpStream::connect(address).await.unwrap()).await;
    assert!(matches!(error, Err(ConnectError::NotAHost(_))));
}

#[tokio::test]
async fn a_server_without_tls_or_without_patience_is_named() {
    let (_directory, ca_file, _ca) = authority();
    let connector = Connector::new(Some(&ca_file)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    let client = connector.connect(HOST, TcpStream::connect(address).await.unwrap());
    let server = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"* OK IMAP4rev1 ready\r\n").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    };
    let (result, ()) = tokio::join!(client, server);
    assert!(matches!(result, Err(ConnectError::NotTls { .. })), "{result:?}");

    let client = connector.connect(HOST, TcpStream::connect(address).await.unwrap());
    let server = async { drop(listener.accept().await.unwrap()) };
    let (result, ()) = tokio::join!(client, server);
    let error = result.unwrap_err();
    assert!(matches!(error, ConnectError::Vanished { .. }) && error.is_transient(), "{error:?}");
}

#[test]
fn an_extra_ca_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    assert!(matches!(Connector::new(Some(&path)), Err(ConnectorError::Unreadable(..))));
    fs::write(&path, "no certificate").unwrap();
    assert!(matches!(Connector::new(Some(&path)), Err(ConnectorError::NotACertificate(_))));
    let ca = OtherCa::new().0.pem();
    fs::write(&path, format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).unwrap();
    assert!(matches!(Connector::new(Some(&path)), Err(ConnectorError::NotACertificate(_))));
    fs::write(&path, ca + &OtherCa::new().0.pem()).unwrap();
    Connector::new(Some(&path)).unwrap();
}

/// An empty bundle file stands for a machine without CA certificates.
#[test]
fn a_machine_without_roots_trusts_extra_ca_and_says_what_is_missing_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "upstream::on_a_machine_without_roots"])
        .env("SSL_CERT_FILE", &empty)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn on_a_machine_without_roots() {
    let (_directory, ca_file, ca) = authority();
    let (certificate, key) = ca.sign(&ca.parameters(HOST));
    let (address, mut seen) = provider(certificate, &key).await;
    let tcp = || TcpStream::connect(address);

    Connector::new(Some(&ca_file)).unwrap().connect(HOST, tcp().await.unwrap()).await.unwrap();
    assert!(matches!(seen.recv().await, Some(Seen::Handshake(..))));

    let without = Connector::new(None).unwrap();
    let error = without.connect(HOST, tcp().await.unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoRoots { .. }), "{error:?}");
    assert_eq!(seen.recv().await, Some(Seen::BrokenOff));
}
