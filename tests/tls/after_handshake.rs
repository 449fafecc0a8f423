//! Records after a handshake (security row 40). Each case is a line with the peer's records and their effect
//! on the connection. The peer is a mail program of our listener, or a provider of our client; the records
//! are made by hand with the connection's keys.

use std::io;
use std::sync::Arc;

use imap_oauth_proxy::tls::{Connector, Identity, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::AlertDescription::{
    self, BadRecordMac, DecodeError, IllegalParameter, RecordOverflow, UnexpectedMessage,
};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::harness::{Listener, MailProgram, OtherCa, now, other_provider, settings};
use crate::peer::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Opened, Peer, Secrets};

/// The effect on the connection.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The next data is read, and no alert is sent.
    GoesOn,
    /// The connection continues, and the peer gets this warning.
    Warns(AlertDescription),
    /// The connection ends with this fatal alert.
    Ends(AlertDescription),
    /// The peer gets no_renegotiation, then the connection ends with this fatal alert.
    WarnsAndEnds(AlertDescription),
    /// The connection ends without an alert.
    EndsSilently,
    /// The connection ends cleanly: no more data, and no error.
    IsOver,
}
use Then::{Ends, EndsSilently, GoesOn, IsOver, Warns, WarnsAndEnds};

/// The versions and our roles to which a case applies.
#[derive(Clone, Copy)]
struct For {
    tls13: bool,
    tls12: bool,
    server: bool,
    client: bool,
}

const ALL: For = For { tls13: true, tls12: true, server: true, client: true };
const TLS13_ONLY: For = For { tls12: false, ..ALL };
const TLS12_ONLY: For = For { tls13: false, ..ALL };
const TLS13_SERVER: For = For { client: false, ..TLS13_ONLY };
const TLS13_CLIENT: For = For { server: false, ..TLS13_ONLY };
const TLS12_SERVER: For = For { client: false, ..TLS12_ONLY };
const TLS12_CLIENT: For = For { server: false, ..TLS12_ONLY };

type Case = (&'static str, For, fn(&mut Peer) -> Vec<u8>, Then);

const FULL: usize = 1 << 14;

fn times(count: usize, mut make: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|_| make()).collect()
}

/// A record with its byte at `at` changed; a negative `at` counts from the end.
fn flipped(mut record: Vec<u8>, at: isize) -> Vec<u8> {
    let at = if at < 0 { record.len().wrapping_add_signed(at) } else { at as usize };
    record[at] ^= 1;
    record
}

/// A record without its last bytes, and an adjusted header.
fn shortened(mut record: Vec<u8>, by: usize) -> Vec<u8> {
    record.truncate(record.len() - by);
    let length = (record.len() - 5) as u16;
    record[3..5].copy_from_slice(&length.to_be_bytes());
    record
}

/// A record header with random content.
fn raw(typ: u8, length: usize, there: usize) -> Vec<u8> {
    [&[typ, 3, 3][..], &(length as u16).to_be_bytes(), &vec![7; there]].concat()
}

/// A handshake message.
fn message(typ: u8, body: &[u8]) -> Vec<u8> {
    [&[typ][..], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

fn key_update(peer: &mut Peer, value: u8) -> Vec<u8> {
    let record = peer.seal(HANDSHAKE, &[24, 0, 0, 1, value]);
    peer.change_key();
    record
}

/// A NewSessionTicket of TLS 1.3 with a ticket of this length.
fn ticket(length: usize) -> Vec<u8> {
    let body =
        [&[0, 0, 1, 0, 1, 2, 3, 4, 1, 0][..], &(length as u16).to_be_bytes(), &vec![9; length], &[0, 0]];
    message(4, &body.concat())
}

/// `content` in several handshake records of at most `size` bytes.
fn in_parts(peer: &mut Peer, content: &[u8], size: usize) -> Vec<u8> {
    content.chunks(size).flat_map(|part| peer.seal(HANDSHAKE, part)).collect()
}

const HELLO_REQUEST: [u8; 4] = [0; 4];
/// A hello with the header that the session checks, and any body.
fn hello() -> Vec<u8> {
    message(1, &[3; 200])
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Records.
    ("data of full length", ALL, |p| p.seal(DATA, &[b'x'; FULL]), GoesOn),
    ("an empty record of data", ALL, |p| p.seal(DATA, b""), GoesOn),
    ("32 empty records of data", ALL, |p| times(32, || p.seal(DATA, b"")), GoesOn),
    ("33 empty records of data", ALL, |p| times(33, || p.seal(DATA, b"")), Ends(UnexpectedMessage)),
    ("data with padding", TLS13_ONLY, |p| p.seal_padded(DATA, b"x", 1000), GoesOn),
    ("data padded to 2^14+1 bytes", TLS13_ONLY, |p| p.seal_padded(DATA, b"x", FULL - 1), GoesOn),
    ("data padded to 2^14+2 bytes", TLS13_ONLY, |p| p.seal_padded(DATA, b"x", FULL), Ends(RecordOverflow)),
    ("nothing, padded to 2^14+2 bytes", TLS13_ONLY, |p| p.seal_padded(DATA, b"", FULL + 1), Ends(RecordOverflow)),
    ("an alert padded to 2^14+2 bytes", TLS13_ONLY, |p| p.seal_padded(ALERT, &[1, 90], FULL - 1), Ends(RecordOverflow)),
    ("2^14+1 bytes of data", ALL, |p| p.seal(DATA, &[b'x'; FULL + 1]), Ends(RecordOverflow)),
    ("zeros, and no content type", TLS13_ONLY, |p| p.seal_inner(&[0; 10]), Ends(UnexpectedMessage)),
    ("2^14+1 zeros", TLS13_ONLY, |p| p.seal_inner(&[0; FULL + 1]), Ends(UnexpectedMessage)),
    ("2^14+2 zeros", TLS13_ONLY, |p| p.seal_inner(&[0; FULL + 2]), Ends(RecordOverflow)),
    ("nothing at all, not even a content type", TLS13_ONLY, |p| p.seal_inner(b""), Ends(UnexpectedMessage)),
    ("the header of a record of 2^14+257 bytes", TLS13_ONLY, |_| raw(DATA, FULL + 257, 0), Ends(RecordOverflow)),
    ("a record of 2^14+256 bytes of nonsense", TLS13_ONLY, |_| raw(DATA, FULL + 256, FULL + 256), Ends(BadRecordMac)),
    ("the header of a record of 2^14+2049 bytes", TLS12_ONLY, |_| raw(DATA, FULL + 2049, 0), Ends(RecordOverflow)),
    ("a record of 2^14+2048 bytes of nonsense", TLS12_ONLY, |_| raw(DATA, FULL + 2048, FULL + 2048), Ends(BadRecordMac)),
    ("the header of a record of 65,535 bytes", ALL, |_| raw(DATA, 0xffff, 0), Ends(RecordOverflow)),
    ("a record of no bytes", ALL, |_| raw(DATA, 0, 0), Ends(BadRecordMac)),
    ("a record shorter than a tag", ALL, |_| raw(DATA, 15, 15), Ends(BadRecordMac)),
    ("a changed tag", ALL, |p| flipped(p.seal(DATA, b"x"), -1), Ends(BadRecordMac)),
    ("a changed byte of data", ALL, |p| flipped(p.seal(DATA, b"x"), -17), Ends(BadRecordMac)),
    ("a changed nonce", TLS12_ONLY, |p| flipped(p.seal(DATA, b"x"), 5), Ends(BadRecordMac)),
    ("a shortened record", ALL, |p| shortened(p.seal(DATA, b"hello"), 1), Ends(BadRecordMac)),
    ("a record twice", ALL, |p| p.seal(DATA, b"x").repeat(2), Ends(BadRecordMac)),
    ("a record that is missing", ALL, |p| { p.seal(DATA, b"lost"); p.seal(DATA, b"x") }, Ends(BadRecordMac)),
    ("two records that were swapped", ALL, |p| { let first = p.seal(DATA, b"1"); [p.seal(DATA, b"2"), first].concat() }, Ends(BadRecordMac)),
    ("another minor version", TLS13_ONLY, |p| flipped(p.seal(DATA, b"x"), 2), GoesOn),
    ("another minor version", TLS12_ONLY, |p| flipped(p.seal(DATA, b"x"), 2), Ends(BadRecordMac)),
    ("another major version", TLS12_ONLY, |p| flipped(p.seal(DATA, b"x"), 1), Ends(BadRecordMac)),
    ("an unknown content type", ALL, |_| raw(24, 20, 0), Ends(UnexpectedMessage)),
    ("content type 0", ALL, |_| raw(0, 20, 20), Ends(UnexpectedMessage)),
    ("content type 255", ALL, |_| raw(255, 20, 20), Ends(UnexpectedMessage)),
    ("an unknown content type, sealed", TLS13_ONLY, |p| p.seal(24, b"x"), Ends(UnexpectedMessage)),
    ("another content type on a record of data", ALL, |p| { let mut r = p.seal(DATA, b"x"); r[0] = 24; r }, Ends(UnexpectedMessage)),
    ("a change_cipher_spec", ALL, |_| vec![CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1], Ends(UnexpectedMessage)),
    ("a change_cipher_spec, sealed", ALL, |p| p.seal(CHANGE_CIPHER_SPEC, &[1]), Ends(UnexpectedMessage)),
    ("a handshake record in clear", TLS13_ONLY, |_| raw(HANDSHAKE, 20, 20), Ends(UnexpectedMessage)),
    ("a handshake record in clear", TLS12_ONLY, |_| raw(HANDSHAKE, 40, 40), Ends(BadRecordMac)),
    ("an alert in clear", TLS13_ONLY, |_| vec![ALERT, 3, 3, 0, 2, 2, 40], Ends(UnexpectedMessage)),
    ("an alert in clear", TLS12_ONLY, |_| vec![ALERT, 3, 3, 0, 2, 2, 40], Ends(BadRecordMac)),
    ("a close_notify in clear", TLS13_ONLY, |_| vec![ALERT, 3, 3, 0, 2, 1, 0], Ends(UnexpectedMessage)),
    // Alerts.
    ("an empty alert", ALL, |p| p.seal(ALERT, b""), Ends(UnexpectedMessage)),
    ("half an alert", ALL, |p| p.seal(ALERT, &[1]), Ends(DecodeError)),
    ("an alert in two records", ALL, |p| [p.seal(ALERT, &[1]), p.seal(ALERT, &[0])].concat(), Ends(DecodeError)),
    ("an alert and a byte", ALL, |p| p.seal(ALERT, &[1, 0, 0]), Ends(DecodeError)),
    ("two alerts in one record", ALL, |p| p.seal(ALERT, &[1, 90, 1, 90]), Ends(DecodeError)),
    ("an alert of level 0", ALL, |p| p.seal(ALERT, &[0, 90]), Ends(IllegalParameter)),
    ("an alert of level 3", ALL, |p| p.seal(ALERT, &[3, 40]), Ends(IllegalParameter)),
    ("a fatal alert", ALL, |p| p.seal(ALERT, &[2, 40]), EndsSilently),
    ("an unknown fatal alert", ALL, |p| p.seal(ALERT, &[2, 255]), EndsSilently),
    ("a warning", TLS13_ONLY, |p| p.seal(ALERT, &[1, 112]), EndsSilently),
    ("a warning", TLS12_ONLY, |p| p.seal(ALERT, &[1, 112]), GoesOn),
    ("user_canceled, then data", ALL, |p| [p.seal(ALERT, &[1, 90]), p.seal(DATA, b"x")].concat(), GoesOn),
    ("four warnings", ALL, |p| times(4, || p.seal(ALERT, &[1, 90])), GoesOn),
    ("five warnings", ALL, |p| times(5, || p.seal(ALERT, &[1, 90])), Ends(UnexpectedMessage)),
    ("five warnings between data", ALL, |p| times(5, || [p.seal(ALERT, &[1, 90]), p.seal(DATA, b"x")].concat()), Ends(UnexpectedMessage)),
    ("close_notify, then data", ALL, |p| [p.seal(ALERT, &[1, 0]), p.seal(DATA, b"x")].concat(), IsOver),
    ("close_notify, then nonsense", ALL, |p| [p.seal(ALERT, &[1, 0]), raw(24, 9, 9)].concat(), IsOver),
    ("a fatal close_notify", ALL, |p| p.seal(ALERT, &[2, 0]), IsOver),
    ("user_canceled, then close_notify", ALL, |p| [p.seal(ALERT, &[1, 90]), p.seal(ALERT, &[1, 0])].concat(), IsOver),
    // Handshake messages, valid and not.
    ("an empty handshake record", ALL, |p| p.seal(HANDSHAKE, b""), Ends(UnexpectedMessage)),
    ("an empty handshake record in a message", TLS13_ONLY, |p| [p.seal(HANDSHAKE, &[24]), p.seal(HANDSHAKE, b"")].concat(), Ends(UnexpectedMessage)),
    ("data in a handshake message", TLS13_ONLY, |p| [p.seal(HANDSHAKE, &[24, 0]), p.seal(DATA, b"x")].concat(), Ends(UnexpectedMessage)),
    ("an empty record of data in a handshake message", TLS13_ONLY, |p| [p.seal(HANDSHAKE, &[24, 0, 0, 1]), p.seal(DATA, b"")].concat(), Ends(UnexpectedMessage)),
    ("a warning in a handshake message", ALL, |p| [p.seal(HANDSHAKE, &[24]), p.seal(ALERT, &[1, 90])].concat(), Ends(UnexpectedMessage)),
    ("close_notify in a handshake message", ALL, |p| [p.seal(HANDSHAKE, &[24]), p.seal(ALERT, &[1, 0])].concat(), Ends(UnexpectedMessage)),
    ("a message of an unknown type", ALL, |p| p.seal(HANDSHAKE, &message(99, b"x")), Ends(UnexpectedMessage)),
    ("the header of a message of an unknown type", ALL, |p| p.seal(HANDSHAKE, &[99, 0, 40, 0]), Ends(UnexpectedMessage)),
    ("a Finished", ALL, |p| p.seal(HANDSHAKE, &message(20, &[0; 32])), Ends(UnexpectedMessage)),
    ("a certificate", ALL, |p| p.seal(HANDSHAKE, &message(11, &[0; 4])), Ends(UnexpectedMessage)),
    ("a CertificateRequest", ALL, |p| p.seal(HANDSHAKE, &message(13, &[0; 3])), Ends(UnexpectedMessage)),
    ("an EndOfEarlyData", ALL, |p| p.seal(HANDSHAKE, &message(5, b"")), Ends(UnexpectedMessage)),
    ("a hello", TLS13_ONLY, |p| p.seal(HANDSHAKE, &hello()), Ends(UnexpectedMessage)),
    ("a HelloRequest", TLS13_ONLY, |p| p.seal(HANDSHAKE, &HELLO_REQUEST), Ends(UnexpectedMessage)),
    // Key updates.
    ("a key update", TLS13_ONLY, |p| key_update(p, 0), GoesOn),
    ("a key update that asks for ours", TLS13_ONLY, |p| key_update(p, 1), GoesOn),
    ("32 key updates", TLS13_ONLY, |p| times(32, || key_update(p, 1)), GoesOn),
    ("33 key updates", TLS13_ONLY, |p| times(33, || key_update(p, 0)), Ends(UnexpectedMessage)),
    ("33 key updates between data", TLS13_ONLY, |p| times(33, || [key_update(p, 1), p.seal(DATA, b"x")].concat()), GoesOn),
    ("a key update byte by byte", TLS13_ONLY, |p| { let parts = in_parts(p, &[24, 0, 0, 1, 0], 1); p.change_key(); parts }, GoesOn),
    ("a key update, and the old key", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 1, 0]), Ends(BadRecordMac)),
    ("a key update of value 2", TLS13_ONLY, |p| key_update(p, 2), Ends(IllegalParameter)),
    ("a key update of value 255", TLS13_ONLY, |p| key_update(p, 255), Ends(IllegalParameter)),
    ("a key update without a value", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 0]), Ends(DecodeError)),
    ("a key update with two values", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 2, 0, 0]), Ends(DecodeError)),
    ("the header of a long key update", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0xff, 0xff]), Ends(DecodeError)),
    ("two key updates in one record", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0]), Ends(UnexpectedMessage)),
    ("the beginning of a message behind a key update", TLS13_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 1, 0, 24]), Ends(UnexpectedMessage)),
    ("a key update", TLS12_ONLY, |p| p.seal(HANDSHAKE, &[24, 0, 0, 1, 0]), Ends(UnexpectedMessage)),
    // Tickets.
    ("a ticket", TLS13_CLIENT, |p| p.seal(HANDSHAKE, &ticket(200)), GoesOn),
    ("two tickets in one record", TLS13_CLIENT, |p| p.seal(HANDSHAKE, &ticket(200).repeat(2)), GoesOn),
    ("a ticket in parts", TLS13_CLIENT, |p| in_parts(p, &ticket(200), 50), GoesOn),
    ("a ticket, then a key update in one record", TLS13_CLIENT, |p| { let r = p.seal(HANDSHAKE, &[ticket(9), vec![24, 0, 0, 1, 0]].concat()); p.change_key(); r }, GoesOn),
    ("data in a ticket", TLS13_CLIENT, |p| [p.seal(HANDSHAKE, &ticket(200)[..100]), p.seal(DATA, b"x")].concat(), Ends(UnexpectedMessage)),
    ("an empty ticket", TLS13_CLIENT, |p| p.seal(HANDSHAKE, &ticket(0)), Ends(DecodeError)),
    ("a ticket without its end", TLS13_CLIENT, |p| p.seal(HANDSHAKE, &message(4, &[0; 5])), Ends(DecodeError)),
    ("the header of a ticket of 2^16 bytes", TLS13_CLIENT, |p| p.seal(HANDSHAKE, &[4, 1, 0, 0]), Ends(DecodeError)),
    ("32 tickets", TLS13_CLIENT, |p| times(32, || p.seal(HANDSHAKE, &ticket(20))), GoesOn),
    ("33 tickets", TLS13_CLIENT, |p| times(33, || p.seal(HANDSHAKE, &ticket(20))), Ends(UnexpectedMessage)),
    ("a ticket from a client", TLS13_SERVER, |p| p.seal(HANDSHAKE, &ticket(200)), Ends(UnexpectedMessage)),
    ("the header of a ticket from a client", TLS13_SERVER, |p| p.seal(HANDSHAKE, &[4, 0, 0, 200]), Ends(UnexpectedMessage)),
    ("a ticket", TLS12_ONLY, |p| p.seal(HANDSHAKE, &ticket(200)), Ends(UnexpectedMessage)),
    // Renegotiation.
    ("a hello", TLS12_SERVER, |p| p.seal(HANDSHAKE, &hello()), Warns(AlertDescription::NoRenegotiation)),
    ("a hello in parts", TLS12_SERVER, |p| in_parts(p, &hello(), 50), Warns(AlertDescription::NoRenegotiation)),
    ("a hello of 60,000 bytes", TLS12_SERVER, |p| in_parts(p, &message(1, &[3; 60_000]), FULL), Warns(AlertDescription::NoRenegotiation)),
    ("two hellos", TLS12_SERVER, |p| p.seal(HANDSHAKE, &hello().repeat(2)), WarnsAndEnds(UnexpectedMessage)),
    ("two hellos between data", TLS12_SERVER, |p| times(2, || [p.seal(HANDSHAKE, &hello()), p.seal(DATA, b"x")].concat()), WarnsAndEnds(UnexpectedMessage)),
    ("data in a hello", TLS12_SERVER, |p| [p.seal(HANDSHAKE, &hello()[..50]), p.seal(DATA, b"x")].concat(), Ends(UnexpectedMessage)),
    ("the header of a hello of 2^16 bytes", TLS12_SERVER, |p| p.seal(HANDSHAKE, &[1, 1, 0, 0]), Ends(DecodeError)),
    ("a HelloRequest from a client", TLS12_SERVER, |p| p.seal(HANDSHAKE, &HELLO_REQUEST), Ends(UnexpectedMessage)),
    ("a HelloRequest", TLS12_CLIENT, |p| p.seal(HANDSHAKE, &HELLO_REQUEST), Warns(AlertDescription::NoRenegotiation)),
    ("two HelloRequests", TLS12_CLIENT, |p| p.seal(HANDSHAKE, &HELLO_REQUEST.repeat(2)), WarnsAndEnds(UnexpectedMessage)),
    ("a hello from a server", TLS12_CLIENT, |p| p.seal(HANDSHAKE, &hello()), Ends(UnexpectedMessage)),
];

/// Our listener, and a mail program's end of a connection.
struct Downstream {
    _directory: tempfile::TempDir,
    listener: Listener,
    program: MailProgram,
}

impl Downstream {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
        let program = MailProgram::trusting(&identity.ca_file().unwrap()).only("AES_128_GCM");
        Self { listener: Listener::start(&identity).await, _directory: directory, program }
    }

    async fn connect(&mut self, is_tls13: bool) -> (Socket, TcpStream, Peer) {
        let log = Secrets::new();
        let program = if is_tls13 { self.program.clone() } else { self.program.clone().old("ECDSA") };
        let mut config = ClientConfig::clone(&program.config());
        config.enable_secret_extraction = true;
        config.key_log = log.clone();
        let tcp = TcpStream::connect(self.listener.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (tcp, tls) = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap().into_inner();
        let peer = Peer::client(tls.dangerous_extract_secrets().unwrap(), &log);
        (self.listener.next().await.unwrap(), tcp, peer)
    }
}

/// Our client, and a provider's end of a connection.
struct Upstream {
    connector: Connector,
    listener: TcpListener,
    config: ServerConfig,
}

impl Upstream {
    async fn start(is_tls13: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = OtherCa::new();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, ca.0.pem()).unwrap();
        let (certificate, key) = ca.sign(&ca.parameters("localhost"));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(other_provider()))
            .with_protocol_versions(&[if is_tls13 { &TLS13 } else { &TLS12 }])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.enable_secret_extraction = true;
        Self {
            connector: Connector::new(Some(&ca_file)).unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            config,
        }
    }

    async fn connect(&mut self) -> (Socket, TcpStream, Peer) {
        let log = Secrets::new();
        let mut config = self.config.clone();
        config.key_log = log.clone();
        let tcp = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = self.listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (ours, theirs) = tokio::join!(self.connector.connect("localhost", tcp), acceptor.accept(far));
        let (tcp, tls) = theirs.unwrap().into_inner();
        let peer = Peer::server(tls.dangerous_extract_secrets().unwrap(), &log);
        (ours.unwrap(), tcp, peer)
    }
}

const BEFORE: &[u8] = b"before";
const BEHIND: &[u8] = b"behind";

/// Plays `case` over a new connection.
async fn play(case: &Case, what: &str, (mut ours, mut tcp, mut peer): (Socket, TcpStream, Peer)) {
    let &(_, _, make, then) = case;
    let sent = [peer.seal(DATA, BEFORE), make(&mut peer), peer.seal(DATA, BEHIND)].concat();
    let mut said = Vec::new();
    let talk = async {
        tcp.write_all(&sent).await.unwrap();
        tcp.read_to_end(&mut said).await.unwrap();
    };
    let read = async {
        let (mut came, mut room) = (Vec::new(), [0; 4096]);
        let end = loop {
            match ours.read(&mut room).await {
                Ok(0) => break Ok(()),
                Ok(count) => came.extend_from_slice(&room[..count]),
                Err(error) => break Err(error.kind()),
            }
            if came.ends_with(BEHIND) {
                break Ok(());
            }
        };
        // Ends with close_notify, unless the connection has ended already.
        ours.shutdown().await.unwrap();
        (came, end)
    };
    let both = async { tokio::join!(talk, read).1 };
    let both = tokio::time::timeout(std::time::Duration::from_secs(60), both);
    let (came, end) = both.await.unwrap_or_else(|_| panic!("{what}: it hangs"));

    assert!(came.starts_with(BEFORE), "{what}: what came before is read");
    let goes_on = matches!(then, GoesOn | Warns(_));
    assert_eq!(came.ends_with(BEHIND), goes_on, "{what}");
    let is_error = matches!(then, Ends(_) | WarnsAndEnds(_) | EndsSilently);
    assert_eq!(end, if is_error { Err(io::ErrorKind::InvalidData) } else { Ok(()) }, "{what}");
    let opened = peer.open(&said);
    let alerts: Vec<_> = opened.iter().filter(|record| record.typ == ALERT).collect();
    let alert = |level, description: AlertDescription| Opened {
        typ: ALERT,
        content: vec![level, description.into()],
    };
    let close_notify = alert(1, AlertDescription::CloseNotify);
    let expected = match then {
        GoesOn | IsOver => vec![close_notify],
        Warns(description) => vec![alert(1, description), close_notify],
        Ends(description) => vec![alert(2, description)],
        WarnsAndEnds(description) => {
            vec![alert(1, AlertDescription::NoRenegotiation), alert(2, description)]
        }
        EndsSilently => vec![],
    };
    assert_eq!(alerts, expected.iter().collect::<Vec<_>>(), "{what}");
}

#[tokio::test]
async fn security_row_40_records_of_mail_programs_get_the_answer_that_the_rfc_names() {
    let mut downstream = Downstream::start().await;
    for case in CASES {
        let (name, For { tls13, tls12, server, .. }, ..) = *case;
        for (is_tls13, wanted) in [(true, tls13), (false, tls12)] {
            if server && wanted {
                let what = format!("{name}, TLS 1.{}", if is_tls13 { 3 } else { 2 });
                play(case, &what, downstream.connect(is_tls13).await).await;
            }
        }
    }
}

#[tokio::test]
async fn security_row_40_records_of_providers_get_the_answer_that_the_rfc_names() {
    for is_tls13 in [true, false] {
        let mut upstream = Upstream::start(is_tls13).await;
        for case in CASES {
            let (name, For { tls13, tls12, client, .. }, ..) = *case;
            if client && if is_tls13 { tls13 } else { tls12 } {
                let what = format!("{name}, TLS 1.{}", if is_tls13 { 3 } else { 2 });
                play(case, &what, upstream.connect().await).await;
            }
        }
    }
}

/// The answer to a key update is a key update of our own, followed by the next key.
#[tokio::test]
async fn security_row_40_a_key_update_that_asks_is_answered_under_the_old_key() {
    let mut downstream = Downstream::start().await;
    let (mut ours, mut tcp, mut peer) = downstream.connect(true).await;
    tcp.write_all(&[key_update(&mut peer, 1), peer.seal(DATA, b"x")].concat()).await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap(), b'x');
    ours.write_all(b"y").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut said = Vec::new();
    tcp.read_to_end(&mut said).await.unwrap();
    let said = peer.open(&said);
    let answer = said.iter().position(|record| record.content == [24, 0, 0, 1, 0]).unwrap();
    assert_eq!(said[answer + 1], Opened { typ: DATA, content: b"y".to_vec() });
}
