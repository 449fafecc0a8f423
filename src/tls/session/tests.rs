//! Sessions with short-lived keys, with rustls at the other end, and records that rustls does not make.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's helper aborts the test")]

use std::collections::BTreeSet;
use std::io;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    CipherSuiteCommon, ClientConfig, ConnectionCommon, RootCertStore, ServerConfig, SideData,
    Tls12CipherSuite, Tls13CipherSuite,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::record::{HEADER, confidentiality_limit};
use super::super::{FULL_READ, Socket, crypto_provider, handshake};
use super::*;

/// Length of a KeyUpdate in TLS 1.3: 5 bytes, type and tag.
const KEY_UPDATE: usize = 5 + 1 + 16;
/// The life of a key in these tests, in records; the real 2^23 are too many.
const LIMIT: u64 = 64;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// The suites that speak `version` and fit the certificate below.
fn suites(version: ProtocolVersion) -> Vec<SupportedCipherSuite> {
    let suites = crypto_provider().cipher_suites.clone().into_iter();
    let fits = |suite: &SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("_RSA_");
    suites.filter(|suite| suite.version().version == version && fits(suite)).collect()
}

/// aws-lc's suite of the same name.
fn of_aws_lc(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let same = |other: &&SupportedCipherSuite| other.suite() == suite.suite();
    *aws_lc_rs::ALL_CIPHER_SUITES.iter().find(same).unwrap()
}

/// `suite` with keys that seal [`LIMIT`] records.
fn short_lived(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let common = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: LIMIT,
    };
    match suite {
        SupportedCipherSuite::Tls13(suite) => {
            let common = common(&suite.common);
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite { common, ..*suite })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            let common = common(&suite.common);
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite { common, ..*suite })))
        }
    }
}

/// Configurations that agree on a suite, each with its own implementation.
fn configurations(
    client: SupportedCipherSuite,
    server: SupportedCipherSuite,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let only =
        |suite| Arc::new(CryptoProvider { cipher_suites: vec![suite], ..(*crypto_provider()).clone() });
    let signing_key = match format!("{:?}", server.suite()).contains("_RSA_") {
        true => KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
        false => KeyPair::generate().unwrap(),
    };
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let cert = parameters.self_signed(&signing_key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(only(client))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut server = ServerConfig::builder_with_provider(only(server))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (client.enable_secret_extraction, server.enable_secret_extraction) = (true, true);
    (Arc::new(client), Arc::new(server))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// The two ends of a connection.
async fn wire() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connect, listener.accept());
    let (near, (far, _)) = (near.unwrap(), far.unwrap());
    near.set_nodelay(true).unwrap();
    (near, far)
}

/// Our server with short-lived keys, and rustls's own client without a limit. The client uses aws-lc's ciphers,
/// our server ring's.
async fn our_server(suite: SupportedCipherSuite) -> (Socket, tokio_rustls::client::TlsStream<TcpStream>) {
    let (client, server) = configurations(of_aws_lc(suite), short_lived(suite));
    let (near, mut far) = wire().await;
    let (peer, session) = tokio::join!(
        TlsConnector::from(client).connect(localhost(), near),
        handshake::server(server, &mut far)
    );
    (Socket::tls(far, session.unwrap()), peer.unwrap())
}

/// Our client with short-lived keys, and rustls's own server without a limit.
async fn our_client(suite: SupportedCipherSuite) -> (Socket, tokio_rustls::server::TlsStream<TcpStream>) {
    let (client, server) = configurations(short_lived(suite), of_aws_lc(suite));
    let (mut near, far) = wire().await;
    let (session, peer) = tokio::join!(
        handshake::client(client, localhost(), &mut near),
        TlsAcceptor::from(server).accept(far)
    );
    (Socket::tls(near, session.unwrap()), peer.unwrap())
}

// The handshake before it.

/// A pipe that counts writes.
struct Counted(DuplexStream, usize);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1 += 1;
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Each write wakes the peer: change_cipher_spec goes along with Finished, and a TLS 1.3 ticket with the greeting.
#[tokio::test]
async fn a_flight_of_the_handshake_is_one_write() {
    for (version, client_writes, server_writes) in
        [(ProtocolVersion::TLSv1_3, 2, 1), (ProtocolVersion::TLSv1_2, 2, 2)]
    {
        let suite = suites(version)[0];
        let (client, server) = configurations(suite, suite);
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (Counted(near, 0), Counted(far, 0));
        let (ours, theirs) = tokio::join!(
            handshake::client(client, localhost(), &mut near),
            handshake::server(server, &mut far)
        );
        ours.unwrap();
        theirs.unwrap();
        assert_eq!((near.1, far.1), (client_writes, server_writes), "{version:?}");
    }
}

// A key that is worn.

#[test]
fn no_key_of_aes_seals_more_than_its_cipher_bears() {
    // RFC 8446 §5.5; there is no such bound for ChaCha20.
    for suite in [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2].into_iter().flat_map(suites) {
        let is_aes = format!("{:?}", suite.suite()).contains("_AES_");
        assert_eq!(confidentiality_limit(suite) <= 1 << 24, is_aes, "{suite:?}");
    }
}

/// Reads `length` bytes, and counts the records under each key.
async fn read_counting<D: SideData>(
    tcp: &mut TcpStream,
    tls: &mut ConnectionCommon<D>,
    length: usize,
) -> (Vec<u8>, Vec<u64>) {
    let (mut came, mut records) = (Vec::new(), vec![0]);
    while came.len() < length {
        let mut record = vec![0; HEADER];
        tcp.read_exact(&mut record).await.unwrap();
        let body = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(HEADER + body, 0);
        tcp.read_exact(&mut record[HEADER..]).await.unwrap();
        let mut rest = record.as_slice();
        while !rest.is_empty() {
            tls.read_tls(&mut rest).unwrap();
        }
        let plain = tls.process_new_packets().unwrap().plaintext_bytes_to_read();
        came.resize(came.len() + plain, 0);
        let start = came.len() - plain;
        io::Read::read_exact(&mut tls.reader(), &mut came[start..]).unwrap();
        *records.last_mut().unwrap() += 1;
        if body == KEY_UPDATE && plain == 0 {
            records.push(0);
        }
    }
    (came, records)
}

/// Our writes arrive at the peer under as many keys as they need, and the peer's answer comes back.
async fn outlives_its_keys<D: SideData>(
    mut ours: Socket,
    tcp: &mut TcpStream,
    tls: &mut (impl DerefMut<Target = ConnectionCommon<D>> + Send),
) {
    let what = ours.describe();
    let data = pattern(4 << 20);
    let write = async {
        ours.write_all(&data).await.unwrap();
        ours.flush().await.unwrap();
    };
    let ((), (came, records)) = tokio::join!(write, read_counting(tcp, tls, data.len()));
    assert!(came == data, "{what}");
    assert!(records.len() > 4 && records.iter().all(|&count| count <= LIMIT), "{what}: {records:?}");

    io::Write::write_all(&mut tls.writer(), b"heard").unwrap();
    let mut sealed = Vec::new();
    tls.write_tls(&mut sealed).unwrap();
    tcp.write_all(&sealed).await.unwrap();
    let mut heard = [0; 5];
    ours.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"heard", "{what}");
}

#[tokio::test]
async fn tls_1_3_changes_a_worn_key_and_the_peer_reads_on() {
    for suite in suites(ProtocolVersion::TLSv1_3) {
        let (ours, mut peer) = our_server(suite).await;
        let (tcp, tls) = peer.get_mut();
        outlives_its_keys(ours, tcp, tls).await;
        let (ours, mut peer) = our_client(suite).await;
        let (tcp, tls) = peer.get_mut();
        outlives_its_keys(ours, tcp, tls).await;
    }
}

#[tokio::test]
async fn tls_1_2_ends_before_its_key_is_worn_out_and_what_was_written_arrives() {
    for suite in suites(ProtocolVersion::TLSv1_2) {
        let (mut ours, mut peer) = our_server(suite).await;
        let data = pattern(1 << 21);
        let write = async {
            let mut sent = 0;
            let error = loop {
                match ours.write(&data[sent..]).await {
                    Ok(count) => sent += count,
                    Err(error) => break error,
                }
            };
            // Every write reports it, and close_notify can still be sent.
            assert!(ours.write_all(b"more").await.is_err());
            ours.shutdown().await.unwrap();
            (sent, error)
        };
        let mut came = Vec::new();
        let ((sent, error), read) = tokio::join!(write, peer.read_to_end(&mut came));
        read.expect("an end with close_notify");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{suite:?}: {error}");
        assert!(came == data[..sent], "{suite:?}");
        let records = sent.div_ceil(MAX_PLAINTEXT) as u64;
        assert!((LIMIT / 2..LIMIT).contains(&records), "{suite:?}: {records} records");
    }
}

// Every suite.

/// Sends some records each way.
async fn both_ways<P>(ours: &mut Socket, peer: &mut P, what: &str)
where
    P: AsyncRead + AsyncWrite + Unpin,
{
    let data = pattern(3 * MAX_PLAINTEXT + 1);
    let mut came = vec![0; data.len()];
    let (sent, read) = tokio::join!(ours.write_all(&data), peer.read_exact(&mut came));
    sent.unwrap();
    read.unwrap();
    assert!(came == data, "{what}, from us");
    came.fill(0);
    let sending = async {
        peer.write_all(&data).await?;
        peer.flush().await
    };
    let (sent, read) = tokio::join!(sending, ours.read_exact(&mut came));
    sent.unwrap();
    read.unwrap();
    assert!(came == data, "{what}, to us");
}

#[tokio::test]
async fn with_every_suite_that_is_offered_data_moves_both_ways_and_goes_on_under_new_keys() {
    let offered = &crypto_provider().cipher_suites;
    assert_eq!(offered.len(), 9, "{offered:?}");
    for &suite in offered {
        let is_tls13 = suite.version().version == ProtocolVersion::TLSv1_3;
        let (mut ours, mut peer) = our_server(suite).await;
        for round in 0..3 {
            both_ways(&mut ours, &mut peer, &format!("{suite:?}, we are the server, round {round}")).await;
            if is_tls13 {
                peer.get_mut().1.refresh_traffic_keys().unwrap();
            }
        }
        let (mut ours, mut peer) = our_client(suite).await;
        for round in 0..3 {
            both_ways(&mut ours, &mut peer, &format!("{suite:?}, we are the client, round {round}")).await;
            if is_tls13 {
                peer.get_mut().1.refresh_traffic_keys().unwrap();
            }
        }
    }
}

// Records of all sizes.

/// Seals `content` as one record; in TLS 1.3 with `padding` bytes (RFC 8446 §5.4).
fn seal(session: &mut Session, content: &[u8], padding: usize, sealed: &mut Vec<u8>) {
    let start = sealed.len();
    sealed.resize(start + MAX_PLAINTEXT + OVERHEAD, 0);
    let data = ContentType::ApplicationData;
    let length = match session.version == ProtocolVersion::TLSv1_3 && padding > 0 {
        false => session.sealer.seal(data, content, &mut sealed[start..]),
        true => {
            // The inner type and zeros, one of them in place of the sealer's own type.
            let padded = [content, &[data.into()], &vec![0; padding - 1]].concat();
            session.sealer.seal(ContentType::from(0), &padded, &mut sealed[start..])
        }
    };
    sealed.truncate(start + length.unwrap());
}

/// Every size of a record meets every size of a read, because the numbers of sizes have no common factor.
#[tokio::test]
async fn records_of_all_sizes_empty_and_padded_ones_too_are_read_with_any_room() {
    const RECORDS: [usize; 11] = [0, 1, 16_384, 2, 0, 1_000, 16_383, 16_384, 16_384, 4_096, 17];
    const PADDINGS: [usize; 3] = [0, 1, 300];
    const READS: [usize; 8] = [1, FULL_READ, 2, 16_384, FULL_READ + 1, 100, FULL_READ - 1, 1 << 20];
    const SEGMENTS: [usize; 7] = [1, 40_000, 5, 1_460, 300_000, 16_406, 4];
    let all = [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2].into_iter().flat_map(suites);
    let mut ciphers = BTreeSet::new();
    for suite in all {
        ciphers.insert(format!("{suite:?}"));
        let (client, server) = configurations(suite, suite);
        let (mut near, mut far) = wire().await;
        let (sender, receiver) = tokio::join!(
            handshake::client(client, localhost(), &mut near),
            handshake::server(server, &mut far)
        );
        let (mut sender, mut receiver) = (sender.unwrap(), Socket::tls(far, receiver.unwrap()));

        let data = pattern(3 << 20);
        let (mut rest, mut sealed) = (data.as_slice(), Vec::new());
        for (&size, &padding) in RECORDS.iter().cycle().zip(PADDINGS.iter().cycle()) {
            let padding = padding.min(MAX_PLAINTEXT - size);
            let (content, behind) = rest.split_at(size.min(rest.len()));
            seal(&mut sender, content, padding, &mut sealed);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let write = async {
            let mut rest = sealed.as_slice();
            for &size in SEGMENTS.iter().cycle() {
                let (segment, behind) = rest.split_at(size.min(rest.len()));
                near.write_all(segment).await.unwrap();
                tokio::task::yield_now().await;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
        };
        let read = async {
            let (mut came, mut room) = (Vec::new(), vec![0; 1 << 20]);
            for &size in READS.iter().cycle() {
                let count = receiver.read(&mut room[..size]).await.unwrap();
                assert!(count > 0, "{suite:?}: the end came after {} bytes", came.len());
                came.extend_from_slice(&room[..count]);
                if came.len() == data.len() {
                    break;
                }
            }
            came
        };
        let ((), came) = tokio::join!(write, read);
        assert!(came == data, "{suite:?}");
    }
    assert_eq!(ciphers.len(), 6, "{ciphers:?}");
}
