//! Scripts of records after a TLS handshake, played to our session and to rustls's own connection. Both must
//! read the same data, and both continue or both end. The fuzz target `session` and the property test share
//! this module.
//!
//! A script is bytes. The first two choose version, role and the sizes of the pieces; then come steps, each a
//! byte for its kind, and arguments. A peer seals the records with the connection's keys, and later steps
//! change earlier records. The two connections have different keys, so only headers and plaintext are equal;
//! a changed sealed byte makes both refuse the record.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's helper aborts the test")]

use std::io::{Read as _, Write};
use std::sync::{Arc, OnceLock};

use imap_oauth_proxy::tls::crypto_provider;
use imap_oauth_proxy::tls::sans_io::Endpoint;
use rcgen::CertifiedKey;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs::kx_group::X25519};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, Error, InvalidMessage, PeerMisbehaved, RootCertStore,
    ServerConfig, ServerConnection, SideData, SupportedProtocolVersion,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::peer::{ALERT, DATA, HANDSHAKE, Peer, Secrets};

/// An alert to either end: level and description.
type Alert = [u8; 2];

/// The outcome of one connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    plain: Vec<u8>,
    closed: bool,
    alerts: Vec<Alert>,
    failure: Option<String>,
}

/// Plays the script of `input` to both connections, and compares the outcomes.
pub fn session(input: &[u8]) {
    let Some(script) = Script::parse(input) else { return };
    let (ours, failure) = play_ours(&script);
    let (theirs, their_failure) = play_theirs(&script);
    compare(&ours, failure.as_ref(), &theirs, their_failure.as_ref());
}

struct Script {
    is_tls13: bool,
    /// Whether the tested end is the server.
    is_server: bool,
    /// The number of bytes per write and per read.
    cut: usize,
    room: usize,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    /// A record of this type.
    Record(u8, Vec<u8>),
    /// In TLS 1.3 a record with this TLSInnerPlaintext; in TLS 1.2 a record of data.
    Inner(Vec<u8>),
    /// This many bytes of this type, with padding in TLS 1.3.
    Long(u8, usize, usize),
    /// A handshake message in records of this many bytes.
    Message(Vec<u8>, usize),
    /// A KeyUpdate with this value, followed by the next key.
    KeyUpdate(u8),
    /// Bytes that are no sealed record.
    Raw(Vec<u8>),
    /// The last record again, this many times.
    Again(usize),
    /// The previous step again, this many times, with new records.
    Repeat(usize),
    /// Swaps the last two records.
    Swap,
    /// Drops the last record.
    Lose,
    /// Changes a bit of the last record: the byte's offset from the start, and the bit.
    Flip(usize, u8),
    /// Cuts off the end of the last record; whether its header is adjusted.
    Truncate(usize, bool),
}

/// Parses a script.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn some(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (now, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(now.to_vec())
    }

    /// A length near one of the limits.
    fn length(&mut self) -> Option<usize> {
        const LENGTHS: [usize; 8] = [0, 255, 4096, 1 << 14, (1 << 14) + 255, 1 << 15, 0xfff0, 17];
        let byte = usize::from(self.byte()?);
        Some((LENGTHS[byte % 8] + byte / 8).saturating_sub(8).min(0xff00))
    }

    fn step(&mut self) -> Option<Step> {
        Some(match self.byte()? % 16 {
            0 => Step::Record(DATA, self.some()?),
            1 => Step::Record(HANDSHAKE, self.some()?),
            2 => Step::Record(ALERT, vec![self.byte()?, self.byte()?]),
            3 => Step::Record(self.byte()?, self.some()?),
            4 => Step::Inner(self.some()?),
            5 => Step::Long([DATA, HANDSHAKE, ALERT, 0][usize::from(self.byte()? % 4)], self.length()?, 0),
            6 => Step::Long(DATA, usize::from(self.byte()?), self.length()?),
            7 => {
                let (typ, claimed, body) = (self.byte()?, self.byte()?, self.some()?);
                // Usually the correct length.
                let length = if claimed < 200 { body.len() } else { usize::from(claimed) << 8 };
                let header = (length as u32).to_be_bytes();
                let size = usize::from(self.byte()?).max(1);
                Step::Message([&[typ], &header[1..], &body].concat(), size)
            }
            8 => Step::KeyUpdate(self.byte()? % 4),
            9 => Step::Raw(self.some()?),
            10 => Step::Again(1 + usize::from(self.byte()? % 3)),
            11 => Step::Repeat(1 + usize::from(self.byte()? % 40)),
            12 => Step::Swap,
            13 => Step::Lose,
            14 => Step::Flip(usize::from(self.byte()?), self.byte()?),
            _ => Step::Truncate(usize::from(self.byte()?), self.byte()? % 2 == 0),
        })
    }
}

/// Enough for each pair of kinds of steps, and a limit to a script's duration.
const MOST_STEPS: usize = 24;

impl Script {
    fn parse(input: &[u8]) -> Option<Self> {
        let mut reader = Reader(input);
        let (mode, cut) = (reader.byte()?, usize::from(reader.byte()?));
        let steps = std::iter::from_fn(|| reader.step()).take(MOST_STEPS).collect();
        Some(Self {
            is_tls13: mode & 1 == 0,
            is_server: mode & 2 == 0,
            cut: if cut < 64 { 1 + cut } else { cut * 256 },
            room: [1, 100, 1 << 14, 1 << 16][usize::from(mode >> 2) % 4],
            steps,
        })
    }

    /// The records that the peer sends.
    fn records(&self, peer: &mut Peer) -> Vec<u8> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Repeat(count) => {
                    let before = at.checked_sub(1).and_then(|before| self.steps.get(before));
                    let Some(before) = before.filter(|step| !matches!(step, Step::Repeat(_))) else {
                        continue;
                    };
                    (0..*count).for_each(|_| take_step(before, peer, &mut records));
                }
                step => take_step(step, peer, &mut records),
            }
            // Limits the bytes of a script.
            if records.iter().map(Vec::len).sum::<usize>() > 1 << 20 {
                break;
            }
        }
        records.concat()
    }
}

fn take_step(step: &Step, peer: &mut Peer, records: &mut Vec<Vec<u8>>) {
    match step {
        Step::Record(typ, content) => records.push(peer.seal(*typ, content)),
        Step::Inner(inner) if peer.is_tls13() => records.push(peer.seal_inner(inner)),
        Step::Inner(content) => records.push(peer.seal(DATA, content)),
        Step::Long(typ, length, padding) => records.push(peer.seal_padded(*typ, &vec![1; *length], *padding)),
        Step::Message(message, size) => {
            records.extend(message.chunks(*size).map(|part| peer.seal(HANDSHAKE, part)));
        }
        Step::KeyUpdate(value) => {
            records.push(peer.seal(HANDSHAKE, &[24, 0, 0, 1, *value]));
            if peer.is_tls13() {
                peer.change_key();
            }
        }
        Step::Raw(bytes) => records.push(bytes.clone()),
        Step::Again(count) => {
            let Some(last) = records.last().cloned() else { return };
            (0..*count).for_each(|_| records.push(last.clone()));
        }
        Step::Swap => {
            if let [.., first, second] = records.as_mut_slice() {
                std::mem::swap(first, second);
            }
        }
        Step::Lose => drop(records.pop()),
        Step::Flip(at, how) => {
            let Some(last) = records.last_mut().filter(|last| !last.is_empty()) else { return };
            let at = at % last.len();
            last[at] ^= how;
        }
        Step::Truncate(by, knows) => {
            let Some(last) = records.last_mut() else { return };
            last.truncate(last.len().saturating_sub(1 + by));
            if let (true, [_, _, _, high, low, body @ ..]) = (knows, last.as_mut_slice()) {
                [*high, *low] = (body.len() as u16).to_be_bytes();
            }
        }
        Step::Repeat(_) => {}
    }
}

// The two connections.

fn alerts(peer: &mut Peer, said: &[u8]) -> Vec<Alert> {
    let opened = peer.open(said).into_iter().filter(|record| record.typ == ALERT);
    opened.map(|record| record.content.try_into().expect("an alert of ours has two bytes")).collect()
}

/// Checks that each of our failures is reported to the peer or came from it, and that the session holds few
/// bytes.
fn play_ours(script: &Script) -> (Outcome, Option<Error>) {
    /// A record of the largest size, its plaintext and a part of the next record, and the longest ticket.
    const HELD: usize = 3 * 18_500 + (1 << 17);
    let (mut ours, mut peer) = handshake_with_us(script);
    let (mut plain, mut said) = (Vec::new(), ours.send());
    let records = script.records(&mut peer);
    // Held bytes are copied with each piece, so the number of pieces is limited.
    for piece in records.chunks(script.cut.max(records.len() / 1000)) {
        let over = ours.failure().is_some() || ours.peer_closed();
        let fresh = ours.receive(piece, script.room);
        assert!(!over || fresh.is_empty(), "data behind the end");
        plain.extend_from_slice(&fresh);
        said.extend_from_slice(&ours.send());
        assert!(ours.held() < HELD, "{} bytes are held", ours.held());
        assert!(!script.is_server || ours.held() < 40_000, "{} bytes are held", ours.held());
    }
    let failure = ours.failure().cloned();
    let alerts = alerts(&mut peer, &said);
    let fatal = alerts.iter().filter(|[level, _]| *level == 2).count();
    let is_peers = matches!(failure, Some(Error::AlertReceived(_)));
    assert!(fatal == usize::from(failure.is_some()) || is_peers && fatal <= 1, "{failure:?}: {alerts:?}");
    let outcome = Outcome {
        plain,
        closed: ours.peer_closed(),
        alerts,
        failure: failure.as_ref().map(|e| format!("{e:?}")),
    };
    (outcome, failure)
}

fn play_theirs(script: &Script) -> (Outcome, Option<Error>) {
    let (client, server) = configurations(script.is_tls13);
    let log = Secrets::new();
    let (client, server) = match script.is_server {
        true => (with_log_client(&client, &log), server),
        false => (client, with_log_server(&server, &log)),
    };
    let mut client = ClientConnection::new(client, localhost()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    shake_hands(&mut client, &mut server);
    match script.is_server {
        true => {
            let mut peer = Peer::client(client.dangerous_extract_secrets().unwrap(), &log);
            feed(script, &mut server, &mut peer)
        }
        false => {
            let mut peer = Peer::server(server.dangerous_extract_secrets().unwrap(), &log);
            feed(script, &mut client, &mut peer)
        }
    }
}

/// Feeds rustls one record at a time, because its answers do not depend on the split.
fn feed<D: SideData>(
    script: &Script,
    theirs: &mut ConnectionCommon<D>,
    peer: &mut Peer,
) -> (Outcome, Option<Error>) {
    let (mut plain, mut said, mut failure, mut closed) = (Vec::new(), Vec::new(), None, false);
    let records = script.records(peer);
    let mut rest = records.as_slice();
    while !rest.is_empty() && failure.is_none() && !closed {
        let taken = theirs.read_tls(&mut rest).unwrap();
        assert!(taken > 0, "rustls takes what comes");
        match theirs.process_new_packets() {
            Ok(state) => closed = state.peer_has_closed(),
            Err(error) => failure = Some(error),
        }
        let mut fresh = Vec::new();
        // At the end of the data the reader reports that it would block.
        let _ = theirs.reader().read_to_end(&mut fresh);
        plain.extend_from_slice(&fresh);
        while theirs.wants_write() {
            theirs.write_tls(&mut said).unwrap();
        }
    }
    let alerts = alerts(peer, &said);
    (Outcome { plain, closed, alerts, failure: failure.as_ref().map(|e| format!("{e:?}")) }, failure)
}

fn shake_hands(client: &mut ClientConnection, server: &mut ServerConnection) {
    fn pass<F: SideData, T: SideData>(from: &mut ConnectionCommon<F>, to: &mut ConnectionCommon<T>) {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets().unwrap();
        }
    }
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        pass(&mut **client, &mut **server);
        pass(&mut **server, &mut **client);
    }
}

fn handshake_with_us(script: &Script) -> (Endpoint, Peer) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    let (client, server) = configurations(script.is_tls13);
    let log = Secrets::new();
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            match script.is_server {
                true => {
                    let connector = TlsConnector::from(with_log_client(&client, &log));
                    let (ours, theirs) = tokio::join!(
                        Endpoint::server(server, &mut far),
                        connector.connect(localhost(), near)
                    );
                    let secrets = theirs.unwrap().into_inner().1.dangerous_extract_secrets().unwrap();
                    (ours.unwrap(), Peer::client(secrets, &log))
                }
                false => {
                    let acceptor = TlsAcceptor::from(with_log_server(&server, &log));
                    let (ours, theirs) =
                        tokio::join!(Endpoint::client(client, localhost(), &mut far), acceptor.accept(near));
                    let secrets = theirs.unwrap().into_inner().1.dangerous_extract_secrets().unwrap();
                    (ours.unwrap(), Peer::server(secrets, &log))
                }
            }
        })
    })
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn with_log_client(config: &ClientConfig, log: &Arc<Secrets>) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.key_log = log.clone();
    Arc::new(config)
}

fn with_log_server(config: &ServerConfig, log: &Arc<Secrets>) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.key_log = log.clone();
    Arc::new(config)
}

/// Both sides' configurations for one version, made once. Sessions are resumed, which saves most of a
/// handshake's time.
fn configurations(is_tls13: bool) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static BOTH: OnceLock<[(Arc<ClientConfig>, Arc<ServerConfig>); 2]> = OnceLock::new();
    let both = BOTH.get_or_init(|| {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let make = |version: &'static SupportedProtocolVersion| {
            let mut provider: CryptoProvider = (*crypto_provider()).clone();
            provider.cipher_suites.retain(|suite| format!("{suite:?}").contains("AES_128_GCM"));
            provider.kx_groups = vec![X25519];
            let provider = Arc::new(provider);
            let mut roots = RootCertStore::empty();
            roots.add(cert.der().clone()).unwrap();
            let mut client = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
            let mut server = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![cert.der().clone()], key)
                .unwrap();
            server.send_tls13_tickets = 0;
            (client.enable_secret_extraction, server.enable_secret_extraction) = (true, true);
            (Arc::new(client), Arc::new(server))
        };
        [make(&TLS12), make(&TLS13)]
    });
    both[usize::from(is_tls13)].clone()
}

// Allowed differences.

/// Our session refuses a renegotiating hello unread; rustls reads it first, and may refuse its content.
fn is_refused_unread(ours: &Outcome, theirs: &Outcome, their_failure: Option<&Error>) -> bool {
    const NO_RENEGOTIATION: Alert = [1, 100];
    let warns = |outcome: &Outcome| outcome.alerts.contains(&NO_RENEGOTIATION);
    warns(ours) && !warns(theirs) && matches!(their_failure, Some(Error::InvalidMessage(_)))
}

/// The reason why the two may end differently.
fn known_difference(ours: Option<&Error>, theirs: Option<&Error>) -> Option<&'static str> {
    use Error::{InappropriateHandshakeMessage, InvalidMessage as Invalid, PeerMisbehaved as Misbehaved};
    let reason = match (ours, theirs) {
        (Some(InappropriateHandshakeMessage { .. }), _) => {
            "we judge a message at its header; rustls waits for all of it, and reads it"
        }
        (Some(Invalid(InvalidMessage::HandshakePayloadTooLarge)), _)
        | (Some(Invalid(InvalidMessage::MissingData("KeyUpdateRequest"))), _)
        | (Some(Invalid(InvalidMessage::TrailingData("KeyUpdateRequest"))), _) => {
            "the same, by the length in the header"
        }
        (Some(Invalid(InvalidMessage::InvalidEmptyPayload)), _) => {
            "RFC 8446 §5.4: rustls takes an empty handshake record, and calls an empty alert a decode_error"
        }
        (Some(Misbehaved(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec)), _) => {
            "rustls does not look at the outer type of a sealed record, and waits for the body of any other"
        }
        (Some(Error::PeerSentOversizedRecord), None) => "we refuse a record that is too long at its header",
        (Some(Error::PeerSentOversizedRecord), Some(Error::DecryptError)) => {
            "rustls takes records of 2^14+2048 bytes in TLS 1.3, too, and opens them"
        }
        (Some(Error::PeerSentOversizedRecord), Some(Invalid(InvalidMessage::MessageTooLarge))) => {
            "RFC 8446 §5.2 names record_overflow; rustls says decode_error"
        }
        (Some(Error::DecryptError), Some(Invalid(InvalidMessage::MessageTooLarge)))
        | (None, Some(Invalid(InvalidMessage::MessageTooLarge))) => {
            "rustls's bound is one byte below that of RFC 5246 §6.2.3"
        }
        (_, Some(Invalid(InvalidMessage::UnknownProtocolVersion))) => {
            "RFC 8446 §5.1: the version of a record is not looked at; TLS 1.2 authenticates it"
        }
        (Some(Invalid(InvalidMessage::InvalidContentType)), _) => {
            "rustls knows heartbeats, opens them, and in TLS 1.3 does not look at their type"
        }
        (Some(_), Some(Invalid(InvalidMessage::InvalidContentType))) => {
            "RFC 8446 §5 names unexpected_message; rustls says decode_error"
        }
        (_, Some(Invalid(InvalidMessage::InvalidEmptyPayload))) => {
            "rustls looks at the length of a sealed record, which must hold a tag, before it opens it"
        }
        (Some(Misbehaved(PeerMisbehaved::TooManyEmptyFragments)), _) => {
            "we count all that is not data together; rustls counts each by itself, and tickets not at all"
        }
        _ => return None,
    };
    Some(reason)
}

fn compare(ours: &Outcome, failure: Option<&Error>, theirs: &Outcome, their_failure: Option<&Error>) {
    let same_end = failure.is_some() == their_failure.is_some() && ours.closed == theirs.closed;
    let fatal = |outcome: &Outcome| outcome.alerts.iter().find(|[level, _]| *level == 2).copied();
    let same_alert = match (fatal(ours), fatal(theirs)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    };
    if ours.plain == theirs.plain && same_end && same_alert {
        return;
    }
    assert!(
        is_refused_unread(ours, theirs, their_failure) || known_difference(failure, their_failure).is_some(),
        "ours   {}\ntheirs {}",
        show(ours),
        show(theirs)
    );
    // The connection that ended sooner has read a prefix of the other's data.
    assert!(ours.plain.starts_with(&theirs.plain) || theirs.plain.starts_with(&ours.plain));
}

fn show(outcome: &Outcome) -> String {
    let Outcome { plain, closed, alerts, failure } = outcome;
    format!("{} bytes, closed {closed}, alerts {alerts:?}, failure {failure:?}", plain.len())
}

/// A script's bytes, for seeds and tests.
pub fn script(mode: u8, cut: u8, steps: &[&[u8]]) -> Vec<u8> {
    let mut script = vec![mode, cut];
    steps.iter().for_each(|step| script.write_all(step).unwrap());
    script
}
