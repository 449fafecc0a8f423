//! Mail programs: old, new, hostile and misdirected.

use std::sync::Arc;
use std::time::Duration;

use imap_oauth_proxy::tls::{AcceptError, Acceptor, Identity, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::rustls::HandshakeKind;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::harness::{Listener, MailProgram, connect, now, settings, shown};

fn key_kind(certificate: &[u8]) -> &'static str {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    match certificate.public_key().parsed().unwrap() {
        x509_parser::public_key::PublicKey::RSA(_) => "RSA",
        x509_parser::public_key::PublicKey::EC(_) => "ECDSA",
        _ => "other",
    }
}

#[tokio::test]
async fn a_mail_program_that_trusts_the_ca_gets_in_by_each_local_name() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&identity.ca_file().unwrap());
    for name in ["localhost", "127.0.0.1", "::1"] {
        let mut client = program.connect(listener.address, name).await.unwrap();
        let mut server = listener.next().await.unwrap();
        assert!(server.is_tls());
        assert!(server.tcp().nodelay().unwrap());
        assert_eq!(server.describe(), "TLSv1_3 TLS13_AES_128_GCM_SHA256");
        server.write_all(b"* OK\r\n").await.unwrap();
        server.flush().await.unwrap();
        let mut greeting = [0; 6];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"* OK\r\n");
        assert_eq!(key_kind(&shown(&client)), "ECDSA");
    }
}

#[tokio::test]
async fn a_tls_1_2_program_gets_the_certificate_that_its_suites_go_with() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    for kind in ["RSA", "ECDSA"] {
        let program = MailProgram::trusting(&identity.ca_file().unwrap()).old(kind);
        let client = program.connect(listener.address, "localhost").await.unwrap();
        assert_eq!(key_kind(&shown(&client)), kind);
        let server = listener.next().await.unwrap();
        assert_eq!(server.describe(), format!("TLSv1_2 TLS_ECDHE_{kind}_WITH_AES_128_GCM_SHA256"));
    }
}

#[tokio::test]
async fn the_second_connection_resumes_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&identity.ca_file().unwrap());
    for config in [program.config(), program.old("RSA").config()] {
        for resumed in [false, true, true] {
            let mut client = connect(Arc::clone(&config), listener.address, "localhost").await.unwrap();
            let mut server = listener.next().await.unwrap();
            assert_eq!(server.was_resumed(), resumed);
            assert_eq!(client.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed), resumed);
            // The ticket comes with the first bytes.
            server.write_all(b"*").await.unwrap();
            server.flush().await.unwrap();
            client.read_u8().await.unwrap();
        }
    }
}

#[tokio::test]
async fn row_10_alpn_imap_and_none_are_accepted_and_a_foreign_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&identity.ca_file().unwrap());

    let client = program.clone().alpn("imap").connect(listener.address, "localhost").await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"imap"[..]));
    listener.next().await.unwrap();

    program.connect(listener.address, "localhost").await.unwrap();
    listener.next().await.unwrap();

    program.alpn("http/1.1").connect(listener.address, "localhost").await.unwrap_err();
    assert!(matches!(listener.next().await, Err(AcceptError::ForeignAlpn)));
}

#[tokio::test]
async fn what_is_not_tls_is_named_and_ended_quickly() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    // A complete hello of TLS 1.0: version, random, no session, one suite, no compression.
    let tls_1_0 =
        [&b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01"[..], &[7; 32], b"\x00\x00\x02\x00\x2f\x01\x00"]
            .concat();
    let mut said = Vec::new();
    for sent in [
        b"a1 LOGIN user secret\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        &tls_1_0,
        b"\x16\x03\x01\x40\x01garbage that is no hello",
        b"",
    ] {
        let mut tcp = TcpStream::connect(listener.address).await.unwrap();
        tcp.write_all(sent).await.unwrap();
        if sent.is_empty() || sent.ends_with(b"hello") {
            tcp.shutdown().await.unwrap();
        }
        let error = listener.next().await.unwrap_err();
        // The connection ends although the client keeps its side open.
        let _ = tcp.read_to_end(&mut Vec::new()).await;
        said.push(error);
    }
    use AcceptError::{HttpClient, Malformed, OldTls, PlaintextClient, Probe, Vanished};
    let [plaintext, http, ssl2, old, garbage, probe] = said.try_into().unwrap();
    assert!(matches!(plaintext, PlaintextClient), "{plaintext}");
    assert!(matches!(http, HttpClient), "{http}");
    assert!(matches!(ssl2, OldTls), "{ssl2}");
    assert!(matches!(old, OldTls), "{old}");
    assert!(matches!(garbage, Malformed(_) | Vanished), "{garbage}");
    assert!(matches!(probe, Probe) && probe.is_noise(), "{probe}");
}

#[tokio::test]
async fn a_silent_and_a_slow_client_are_told_apart_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start_with_deadline(&identity, Duration::from_millis(100)).await;
    let _silent = TcpStream::connect(listener.address).await.unwrap();
    assert!(matches!(listener.next().await, Err(AcceptError::Silent)));
    let mut slow = TcpStream::connect(listener.address).await.unwrap();
    slow.write_all(b"\x16\x03\x01").await.unwrap();
    assert!(matches!(listener.next().await, Err(AcceptError::Slow)));
}

#[tokio::test]
async fn a_program_that_does_not_trust_the_ca_is_reported_with_the_cure() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let other = Identity::load(settings(elsewhere.path()), now()).unwrap();
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&other.ca_file().unwrap());
    for program in [program.clone(), program.old("RSA")] {
        program.connect(listener.address, "localhost").await.unwrap_err();
        let error = listener.next().await.unwrap_err();
        assert!(matches!(error, AcceptError::UntrustedByClient(_)), "{error}");
        assert!(error.wants_ca() && error.to_string().contains("trust the CA"), "{error}");
    }
}

#[tokio::test]
async fn row_8_a_cleartext_connection_is_handed_over_for_starttls() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let acceptor = Acceptor::new(Arc::clone(&identity), "imap").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let mut stream = Socket::plain(listener.accept().await.unwrap().0).unwrap();
        assert_eq!(stream.describe(), "cleartext");
        stream.write_all(b"a OK begin\r\n").await.unwrap();
        let tcp = stream.into_plain().unwrap();
        acceptor.accept(tcp, Instant::now() + Duration::from_secs(30)).await.unwrap()
    };
    let client = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.read_exact(&mut [0; 12]).await.unwrap();
        let config = MailProgram::trusting(&identity.ca_file().unwrap()).config();
        let name = "localhost".try_into().unwrap();
        tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap()
    };
    let (server, _client) = tokio::join!(server, client);
    assert!(server.is_tls());
    assert!(server.into_plain().is_err());
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_an_end_without_close_notify_is_noted() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&identity.ca_file().unwrap());

    let mut client = program.connect(listener.address, "localhost").await.unwrap();
    let mut server = listener.next().await.unwrap();
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!((heard.as_str(), server.was_truncated()), ("bye", false));
    server.write_all(b"still here").await.unwrap();
    server.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "still here");

    let mut client = program.connect(listener.address, "localhost").await.unwrap();
    let mut server = listener.next().await.unwrap();
    client.write_all(b"cut").await.unwrap();
    client.flush().await.unwrap();
    client.into_inner().0.shutdown().await.unwrap();
    heard.clear();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!((heard.as_str(), server.was_truncated()), ("cut", true));
}
