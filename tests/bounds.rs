//! The memory of a connection before its login is bounded for any input (security row 38). Opens 500 connections of
//! each kind to the real binary, and reads its memory from the kernel.
#![allow(clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;
mod peer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use common::process::Process;
use common::{ALICE, Serving, Site, login};
use peer::{DATA, HANDSHAKE, Peer, Secrets};
use sandbox::Sandbox;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::{TlsConnector, client::TlsStream};

const COUNT: usize = 500;
const MOST: f64 = 24.0;
/// The longest command that the proxy reads.
const LONGEST_COMMAND: usize = 8704;
/// The most that the proxy keeps of a client's handshake.
const LONGEST_HELLO: usize = 8192;

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A command without its end, in cleartext.
    Command(&'static str),
    /// A command without its end, under TLS.
    CommandUnderTls(&'static SupportedProtocolVersion),
    /// A hello without its end, in fragments of this many bytes.
    HelloInFragments(&'static str, usize),
    /// A hello without its end, in one long record.
    HelloInOneRecord,
    /// A handshake that stops after the hello.
    HandshakeUnfinished(&'static SupportedProtocolVersion),
    /// A KeyUpdate without its end.
    KeyUpdate,
    /// A renegotiation: a second hello after the handshake, without its end.
    Renegotiation,
    /// A record of full size without its last byte, after the beginning of a command.
    Record(&'static SupportedProtocolVersion, usize),
}

async fn memory_of(kind: Kind) -> f64 {
    let security = match kind {
        Kind::Command(security) | Kind::HelloInFragments(security, _) => security,
        _ => "tls",
    };
    let limits = format!(
        "[limits]\nconnections = {}\nconnections_per_address = {}\nlogin_seconds = 300",
        10 * COUNT,
        COUNT + 10
    );
    let listener =
        |security| format!("[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"{security}\"\n");
    let others = ["none", "tls"].map(listener).concat();
    let first = if security == "starttls" { listener("starttls") } else { String::new() };
    let site = Site::with_config(Sandbox::builder().user(ALICE), &format!("{limits}\n{first}{others}")).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    // A first login, and a first connection of the kind, allocate the memory that all connections share.
    let mut first = serving.plain("none").await;
    first.line().await;
    assert!(first.command(&login(&settings)).await.is_ok());
    let address = serving.address_of(security);
    let _warm = [connect(kind, address, &serving).await, connect(kind, address, &serving).await];

    let before = serving.process().resident();
    let mut connections = Vec::new();
    for _ in 0..COUNT {
        connections.push(connect(kind, address, &serving).await);
    }
    taken(serving.process(), address).await;
    let grown = serving.process().resident().saturating_sub(before);
    for connection in connections {
        // Only the server's part of a handshake may be unread, and the connection is open.
        let read = connection.try_read(&mut vec![0; 1 << 16]);
        let is_held = match (kind, &read) {
            (Kind::HandshakeUnfinished(_), Ok(count)) => *count > 500,
            // no_renegotiation
            (Kind::Renegotiation, Ok(count)) => *count == 5 + 8 + 2 + 16,
            (_, Ok(_)) => false,
            (_, Err(error)) => error.kind() == std::io::ErrorKind::WouldBlock,
        };
        assert!(is_held, "{kind:?}: {read:?}");
    }
    assert!(first.command("NOOP").await.is_ok());
    grown as f64 / COUNT as f64
}

/// Waits until the process has read everything sent to `address`.
async fn taken(process: Process, address: SocketAddr) {
    let patience = Instant::now() + sandbox::PATIENCE;
    let port = format!(":{:04X}", address.port());
    loop {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", process.0)).unwrap();
        let unread = table.lines().filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[1].ends_with(&port) && fields[3] == "01" && !fields[4].ends_with(":00000000")
        });
        let unread = unread.count();
        if unread == 0 {
            break;
        }
        assert!(Instant::now() < patience, "{unread} connections are not read");
        tokio::task::yield_now().await;
    }
}

/// A connection that has sent the bytes of its kind.
#[allow(clippy::too_many_lines, reason = "a row a kind")]
async fn connect(kind: Kind, address: SocketAddr, serving: &Serving) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let command = vec![b'x'; LONGEST_COMMAND];
    match kind {
        Kind::Command(_) => {
            line(&mut tcp).await;
            tcp.write_all(&command).await.unwrap();
            tcp
        }
        Kind::HelloInFragments(security, length) => {
            if security == "starttls" {
                start_tls(&mut tcp).await;
            }
            // A ClientHello that claims 60,000 bytes.
            let hello = [&[1, 0, 0xea, 0x60][..], &vec![0; LONGEST_HELLO]].concat();
            let mut sent = Vec::new();
            for fragment in hello.chunks(length) {
                let record = [&[22, 3, 1][..], &(fragment.len() as u16).to_be_bytes(), fragment].concat();
                // The next record's header would exceed the limit.
                if sent.len() + record.len() + 5 > LONGEST_HELLO {
                    break;
                }
                sent.extend_from_slice(&record);
            }
            tcp.write_all(&sent).await.unwrap();
            tcp
        }
        Kind::HelloInOneRecord => {
            let body = (LONGEST_HELLO - 5) as u16;
            let record = [&[22, 3, 1][..], &body.to_be_bytes(), &vec![1; LONGEST_HELLO - 6]].concat();
            tcp.write_all(&record).await.unwrap();
            tcp
        }
        Kind::HandshakeUnfinished(version) => {
            let name = ServerName::try_from("localhost").unwrap();
            let config = config(serving, version, &Secrets::new());
            let mut client = rustls::ClientConnection::new(config, name).unwrap();
            let mut hello = Vec::new();
            client.write_tls(&mut hello).unwrap();
            tcp.write_all(&hello).await.unwrap();
            tcp.readable().await.unwrap();
            tcp
        }
        Kind::CommandUnderTls(version) => {
            let (mut tcp, mut peer) = under_tls(tcp, serving, version).await;
            for piece in command.chunks(1000) {
                tcp.write_all(&peer.seal(DATA, piece)).await.unwrap();
            }
            tcp
        }
        Kind::KeyUpdate => {
            let (mut tcp, mut peer) = under_tls(tcp, serving, &TLS13).await;
            tcp.write_all(&peer.seal(HANDSHAKE, &[24, 0, 0, 1])).await.unwrap();
            tcp
        }
        Kind::Renegotiation => {
            let (mut tcp, mut peer) = under_tls(tcp, serving, &TLS12).await;
            let hello = [&[1, 0, 0xff, 0xff][..], &vec![0; 0xfff0]].concat();
            for fragment in hello.chunks(4000) {
                tcp.write_all(&peer.seal(HANDSHAKE, fragment)).await.unwrap();
            }
            tcp
        }
        Kind::Record(version, before) => {
            let (mut tcp, mut peer) = under_tls(tcp, serving, version).await;
            tcp.write_all(&peer.seal(DATA, &command[..before])).await.unwrap();
            let record = peer.seal(DATA, &[b'x'; 1 << 14]);
            tcp.write_all(&record[..record.len() - 1]).await.unwrap();
            tcp
        }
    }
}

async fn line(tcp: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

async fn start_tls(tcp: &mut TcpStream) {
    line(tcp).await;
    tcp.write_all(b"a STARTTLS\r\n").await.unwrap();
    assert!(line(tcp).await.starts_with("a OK "));
}

fn config(
    serving: &Serving,
    version: &'static SupportedProtocolVersion,
    log: &Arc<Secrets>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(serving.ca_file()).unwrap()).unwrap();
    let provider = imap_oauth_proxy::tls::crypto_provider();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    config.key_log = log.clone();
    Arc::new(config)
}

/// A connection under TLS after the greeting, and its keys.
async fn under_tls(
    tcp: TcpStream,
    serving: &Serving,
    version: &'static SupportedProtocolVersion,
) -> (TcpStream, Peer) {
    let log = Secrets::new();
    let connector = TlsConnector::from(config(serving, version, &log));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream: TlsStream<TcpStream> = connector.connect(name, tcp).await.unwrap();
    let mut greeting = [0; 200];
    assert!(stream.read(&mut greeting).await.unwrap() > 0);
    let (tcp, client) = stream.into_inner();
    (tcp, Peer::client(client.dangerous_extract_secrets().unwrap(), &log))
}

async fn holds_little(kinds: &[Kind]) {
    for &kind in kinds {
        let each = memory_of(kind).await;
        println!("{kind:?}: {each:.1} KiB for each of {COUNT} connections");
        assert!(each < MOST, "{kind:?}: {each:.1} KiB each");
    }
}

#[tokio::test]
async fn security_row_38_an_unfinished_command_holds_little() {
    let kinds = [Kind::Command("none"), Kind::Command("starttls")];
    holds_little(&kinds).await;
    holds_little(&[Kind::CommandUnderTls(&TLS13), Kind::CommandUnderTls(&TLS12)]).await;
}

#[tokio::test]
async fn security_row_38_an_unfinished_handshake_holds_little() {
    holds_little(&[
        Kind::HelloInOneRecord,
        Kind::HelloInFragments("tls", 4000),
        Kind::HelloInFragments("tls", 16),
        Kind::HelloInFragments("starttls", 1000),
        Kind::HandshakeUnfinished(&TLS13),
        Kind::HandshakeUnfinished(&TLS12),
    ])
    .await;
}

#[tokio::test]
async fn security_row_38_unfinished_messages_and_records_after_the_handshake_hold_little() {
    holds_little(&[Kind::KeyUpdate, Kind::Renegotiation, Kind::Record(&TLS13, 0), Kind::Record(&TLS12, 300)])
        .await;
}

/// A site whose first listener has `security`, and its account's LOGIN command.
async fn site(security: &str) -> (Site, Serving, String) {
    let listener = format!("[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"{security}\"\n");
    let site = Site::with_config(Sandbox::builder().user(ALICE), &listener).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    (site, serving, login(&settings))
}

const PIPELINED: usize = 20_000;

/// A login with many commands pipelined behind it.
fn pipelined(login: &str) -> Vec<u8> {
    let mut all = format!("a {login}\r\n").into_bytes();
    (0..PIPELINED).for_each(|number| all.extend_from_slice(format!("n{number} NOOP\r\n").as_bytes()));
    all.extend_from_slice(b"z LOGOUT\r\n");
    all
}

fn all_were_answered(heard: &str) {
    let mut answers = heard.lines().filter(|line| !line.starts_with("* "));
    assert!(answers.next().is_some_and(|line| line.starts_with("a OK ")), "{heard:.300}");
    for number in 0..PIPELINED {
        let line = answers.next().unwrap_or_default();
        assert!(line.starts_with(&format!("n{number} OK ")), "{number}: {line}");
    }
    assert!(answers.next().is_some_and(|line| line.starts_with("z OK ")));
}

#[tokio::test]
async fn security_row_38_whatever_is_pipelined_behind_a_login_waits_and_is_not_lost() {
    let (_site, serving, login) = site("none").await;
    let mut tcp = TcpStream::connect(serving.address()).await.unwrap();
    let (mut reads, mut writes) = tcp.split();
    let mut heard = String::new();
    let all = pipelined(&login);
    let (sent, read) = tokio::join!(writes.write_all(&all), reads.read_to_string(&mut heard));
    sent.unwrap();
    read.unwrap();
    all_were_answered(&heard);

    let (_site, serving, login) = site("tls").await;
    for version in [&TLS13, &TLS12] {
        let tcp = TcpStream::connect(serving.address()).await.unwrap();
        let connector = TlsConnector::from(config(&serving, version, &Secrets::new()));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(stream);
        let mut heard = String::new();
        let all = pipelined(&login);
        let write = async {
            writes.write_all(&all).await.unwrap();
            writes.flush().await.unwrap();
        };
        let ((), read) = tokio::join!(write, reads.read_to_string(&mut heard));
        read.unwrap();
        all_were_answered(&heard);
    }
}

/// The decrypted records that the server sends before it closes.
async fn last_words(mut tcp: TcpStream, peer: &mut Peer) -> Vec<(u8, Vec<u8>)> {
    let mut said = Vec::new();
    let _ = tcp.read_to_end(&mut said).await;
    peer.open(&said).into_iter().map(|record| (record.typ, record.content)).collect()
}

#[tokio::test]
async fn security_row_38_what_is_too_much_ends_the_connection_with_a_word() {
    const TOO_MUCH: &[u8] = b"* BYE Too much before login\r\n";
    let (_site, serving, _) = site("tls").await;
    for version in [&TLS13, &TLS12] {
        for (before, behind) in [(LONGEST_COMMAND, 3), (LONGEST_COMMAND, 1 << 14), (2000, 1 << 14)] {
            let tcp = TcpStream::connect(serving.address()).await.unwrap();
            let (mut tcp, mut peer) = under_tls(tcp, &serving, version).await;
            for piece in vec![b'x'; before].chunks(1 << 12) {
                tcp.write_all(&peer.seal(DATA, piece)).await.unwrap();
            }
            // The header of a long record is enough to refuse it. A record that fits must arrive whole.
            let record = peer.seal(DATA, &vec![b'x'; behind]);
            tcp.write_all(&record[..record.len().min(100)]).await.unwrap();
            let said = last_words(tcp, &mut peer).await;
            assert!(said.contains(&(DATA, TOO_MUCH.to_vec())), "{before} {behind}: {said:?}");
        }
    }

    // A too long hello is refused at the header of the record that exceeds the limit.
    let header = |length: u16| [&[22, 3, 1][..], &length.to_be_bytes()].concat();
    let fragment = [header(4000), vec![1, 0, 0x2e, 0xe0], vec![0; 3996]].concat();
    for hello in [header(LONGEST_HELLO as u16), [fragment, header(4200)].concat()] {
        let mut tcp = TcpStream::connect(serving.address()).await.unwrap();
        tcp.write_all(&hello).await.unwrap();
        let mut said = Vec::new();
        tcp.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, [21, 3, 3, 0, 2, 2, 47]);
    }
}
