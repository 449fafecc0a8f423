//! The handshake: rustls decides, this file transports its messages.
//!
//! rustls's unbuffered connections are used because they can be taken apart after the handshake: into the keys,
//! which our own records use, and the small state that is needed to change keys later. Invariants: rustls gets one
//! record at a time and none behind the handshake, so that bytes in the same segment are opened once, by our
//! records; when a handshake fails, its alert is sent as far as the socket takes it at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BufMut as _;
use rustls::client::UnbufferedClientConnection;
use rustls::kernel::KernelConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{
    ClientConfig, CommonState, Error, ExtractedSecrets, HandshakeKind, InvalidMessage, ProtocolVersion,
    ServerConfig,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::record::{HEADER, MAX_RECORD, Record};
use super::session::{Established, Keys, Session};

/// Handshake messages have a few KiB; a certificate chain has about a dozen.
const READ_SIZE: usize = 4096;
/// The longest handshake of a server: rustls's own limit for one message (a certificate chain), and a record around it.
const FROM_SERVER: usize = 96 * 1024;
/// The longest handshake of a client: its longest message, the hello, has less than 2 KiB, or less than 5 with the
/// largest post-quantum key shares and an encrypted inner hello. Any host can connect, so no more is kept for one
/// client (security row 38).
const FROM_CLIENT: usize = 8 * 1024;
/// The alert to a client with longer messages, before anything is encrypted: illegal_parameter.
const TOO_LONG: [u8; 7] = [21, 3, 3, 0, 2, 2, 47];

/// The transport of a handshake: a TCP connection, or a pipe in tests.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<W: AsyncRead + AsyncWrite + Unpin> Duplex for W {}

/// Performs the handshake with a client. The caller sets a deadline.
pub(super) async fn server(config: Arc<ServerConfig>, tcp: &mut impl Duplex) -> io::Result<Session> {
    let session = run(UnbufferedServerConnection::new(config).map_err(broken)?, tcp).await?;
    match session.version() {
        // The client does not wait for the ticket, which is sent with the first data, a greeting.
        ProtocolVersion::TLSv1_3 => Ok(session),
        _ => finish(session, tcp).await,
    }
}

/// Performs the handshake with the server called `name`.
pub(super) async fn client(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tcp: &mut impl Duplex,
) -> io::Result<Session> {
    let session = run(UnbufferedClientConnection::new(config, name).map_err(broken)?, tcp).await?;
    // The server speaks first, but only after it has this message.
    finish(session, tcp).await
}

/// Sends the last message of the handshake, which `session` still holds.
async fn finish(mut session: Session, tcp: &mut impl Duplex) -> io::Result<Session> {
    tcp.write_all(session.unsent()).await?;
    session.sent(session.unsent().len());
    Ok(session)
}

/// The common interface of both sides' connections; rustls has no trait for it.
trait Side: Sized {
    type Data;
    /// The most bytes that are kept of the peer's messages.
    const MAX_INCOMING: usize;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
    fn take_apart(self) -> Result<(ExtractedSecrets, Keys), Error>;
}

macro_rules! side {
    ($connection:ident, $data:path, $keys:path, $max_incoming:expr) => {
        impl Side for $connection {
            type Data = $data;
            const MAX_INCOMING: usize = $max_incoming;

            fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, $data> {
                self.process_tls_records(incoming)
            }

            fn common(&self) -> &CommonState {
                self
            }

            fn take_apart(self) -> Result<(ExtractedSecrets, Keys), Error> {
                let (secrets, kernel): (_, KernelConnection<$data>) =
                    self.dangerous_into_kernel_connection()?;
                Ok((secrets, $keys(kernel)))
            }
        }
    };
}
side!(UnbufferedServerConnection, rustls::server::ServerConnectionData, Keys::Server, FROM_CLIENT);
side!(UnbufferedClientConnection, rustls::client::ClientConnectionData, Keys::Client, FROM_SERVER);

/// The next step that rustls asks for.
enum Next {
    Encoded,
    Send,
    More,
    /// A close_notify within the handshake.
    Closed,
    Fail(Error),
}

async fn run<S: Side>(mut side: S, tcp: &mut impl Duplex) -> io::Result<Session> {
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    // The bytes of `incoming` that rustls has seen, and whether anything was sent.
    let (mut shown, mut spoken) = (0, false);
    while side.common().is_handshaking() || side.common().wants_write() {
        let (next, discard) = step(&mut side, incoming.get_mut(..shown).unwrap_or_default(), &mut outgoing);
        let discard = discard.min(shown);
        discard_first(&mut incoming, discard);
        shown -= discard;
        match next {
            Next::Encoded => {}
            // Waits for more messages: a client's change_cipher_spec is sent together with its Finished.
            Next::Send => spoken = true,
            // The last record may have ended the handshake.
            Next::More if !side.common().is_handshaking() => {}
            Next::More => match first_record(incoming.get(shown..).unwrap_or_default()) {
                Some(length) => shown += length,
                None if !outgoing.is_empty() => tcp.write_all(&std::mem::take(&mut outgoing)).await?,
                None if is_too_long(&incoming, shown, S::MAX_INCOMING) => {
                    if !spoken {
                        write_at_once(tcp, &TOO_LONG).await;
                    }
                    return Err(broken(InvalidMessage::HandshakePayloadTooLarge.into()));
                }
                None => read_more(&mut incoming, S::MAX_INCOMING, tcp).await?,
            },
            Next::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            Next::Fail(error) => {
                why(&mut side, incoming.get_mut(..shown).unwrap_or_default(), &mut outgoing);
                write_at_once(tcp, &outgoing).await;
                return Err(broken(error));
            }
        }
    }
    discard_first(&mut incoming, shown);
    let common = side.common();
    let (Some(version), Some(suite)) = (common.protocol_version(), common.negotiated_cipher_suite()) else {
        return Err(broken(Error::HandshakeNotComplete));
    };
    let resumed = common.handshake_kind() == Some(HandshakeKind::Resumed);
    let (secrets, keys) = side.take_apart().map_err(broken)?;
    let (received, unsent) = (incoming, outgoing);
    Session::new(Established { version, suite, resumed, secrets, keys, received, unsent }).map_err(broken)
}

/// The length of the record at the start of `bytes`, if it is whole. Bytes that are no record go to rustls, which
/// finds the right alert.
fn first_record(bytes: &[u8]) -> Option<usize> {
    let &[typ, _, _, high, low, ..] = bytes else { return None };
    let length = HEADER + usize::from(u16::from_be_bytes([high, low]));
    match (20..=24).contains(&typ) && length <= MAX_RECORD {
        true => (length <= bytes.len()).then_some(length),
        false => Some(bytes.len()),
    }
}

/// Whether the record behind the first `shown` bytes exceeds `most` bytes in all.
fn is_too_long(incoming: &[u8], shown: usize, most: usize) -> bool {
    let announced = Record::announced(incoming.get(shown..).unwrap_or_default());
    shown + announced.unwrap_or(HEADER) > most
}

/// Drops the first `count` bytes, and the memory if nothing is left: a client may now be silent for long.
fn discard_first(bytes: &mut Vec<u8>, count: usize) {
    bytes.drain(..count);
    if bytes.is_empty() {
        *bytes = Vec::new();
    }
}

fn step<S: Side>(side: &mut S, incoming: &mut [u8], outgoing: &mut Vec<u8>) -> (Next, usize) {
    let UnbufferedStatus { discard, state } = side.process(incoming);
    let next = match state {
        Ok(ConnectionState::EncodeTlsData(mut message)) => match encode(&mut message, outgoing) {
            Ok(()) => Next::Encoded,
            Err(_) => Next::Fail(Error::EncryptError),
        },
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Next::Send
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Next::More,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Next::Closed,
        // Impossible, because rustls is shown no data.
        Ok(_) => Next::Fail(Error::HandshakeNotComplete),
        Err(error) => Next::Fail(error),
    };
    (next, discard)
}

fn encode<D>(message: &mut EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = outgoing.len();
    let mut room = 0;
    loop {
        outgoing.resize(start + room, 0);
        match message.encode(outgoing.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                outgoing.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) if room == 0 => {
                room = required_size;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads more, up to `most` bytes in all.
async fn read_more(incoming: &mut Vec<u8>, most: usize, tcp: &mut impl Duplex) -> io::Result<()> {
    let room = most.saturating_sub(incoming.len()).min(READ_SIZE);
    incoming.reserve_exact(room);
    match tcp.read_buf(&mut incoming.limit(room)).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Appends rustls's alert for its error.
fn why<S: Side>(side: &mut S, incoming: &mut [u8], outgoing: &mut Vec<u8>) {
    while side.common().wants_write() {
        let (Next::Encoded, _) = step(side, incoming, outgoing) else { break };
    }
}

/// Writes what the socket takes at once, without waiting for a peer that does not read.
async fn write_at_once(tcp: &mut impl Duplex, bytes: &[u8]) {
    poll_fn(|context| {
        let _ = Pin::new(&mut *tcp).poll_write(context, bytes);
        Poll::Ready(())
    })
    .await;
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
