//! The handshake: rustls decides, this carries its messages to and fro.
//!
//! rustls's unbuffered connections are used because they can be taken apart when the handshake is done:
//! into the keys, which go to our own records, and the little that is needed to change them later.
//! Invariants: rustls is shown one record after the other and none behind the handshake, so that what
//! came in the same segment is opened once and by one hand; a handshake that fails has its alert sent, as
//! far as the socket takes it at once.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::UnbufferedClientConnection;
use tokio_rustls::rustls::kernel::KernelConnection;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::UnbufferedServerConnection;
use tokio_rustls::rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use tokio_rustls::rustls::{
    ClientConfig, CommonState, Error, ExtractedSecrets, HandshakeKind, InvalidMessage, ProtocolVersion,
    ServerConfig,
};

use super::record::{HEADER, MAX_RECORD};
use super::session::{Established, Keys, Session};

/// Handshake messages come to a few KiB; a certificate chain to a dozen.
const READ_SIZE: usize = 4096;
/// More than this is no handshake: rustls's own bound for one message, and a record around it.
const MAX_INCOMING: usize = 96 * 1024;

/// Shakes hands with a client. The deadline is the caller's.
pub(super) async fn server(config: Arc<ServerConfig>, tcp: &mut TcpStream) -> io::Result<Session> {
    let session = run(UnbufferedServerConnection::new(config).map_err(broken)?, tcp).await?;
    match session.version() {
        // Nobody waits for the ticket. It goes out with what is said first, a greeting.
        ProtocolVersion::TLSv1_3 => Ok(session),
        _ => finish(session, tcp).await,
    }
}

/// Shakes hands with the server called `name`.
pub(super) async fn client(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tcp: &mut TcpStream,
) -> io::Result<Session> {
    let session = run(UnbufferedClientConnection::new(config, name).map_err(broken)?, tcp).await?;
    // A server speaks first, and not before it has this.
    finish(session, tcp).await
}

/// Sends the last message of the handshake, which is still in `session`.
async fn finish(mut session: Session, tcp: &mut TcpStream) -> io::Result<Session> {
    tcp.write_all(session.unsent()).await?;
    session.sent(session.unsent().len());
    Ok(session)
}

/// What both sides' connections have in common; rustls has no trait for it.
trait Side: Sized {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
    fn take_apart(self) -> Result<(ExtractedSecrets, Keys), Error>;
}

macro_rules! side {
    ($connection:ident, $data:path, $keys:path) => {
        impl Side for $connection {
            type Data = $data;

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
side!(UnbufferedServerConnection, tokio_rustls::rustls::server::ServerConnectionData, Keys::Server);
side!(UnbufferedClientConnection, tokio_rustls::rustls::client::ClientConnectionData, Keys::Client);

/// What rustls wants next.
enum Next {
    Encoded,
    Send,
    More,
    /// A close_notify in the middle.
    Closed,
    Fail(Error),
}

async fn run<S: Side>(mut side: S, tcp: &mut TcpStream) -> io::Result<Session> {
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    // So much of `incoming` rustls has been shown.
    let mut shown = 0;
    while side.common().is_handshaking() || side.common().wants_write() {
        let (next, discard) = step(&mut side, incoming.get_mut(..shown).unwrap_or_default(), &mut outgoing);
        let discard = discard.min(shown);
        incoming.drain(..discard);
        shown -= discard;
        match next {
            Next::Encoded => {}
            Next::Send if side.common().is_handshaking() => send(&mut outgoing, tcp).await?,
            Next::Send => {}
            // The last record may have been the end of it.
            Next::More if !side.common().is_handshaking() => {}
            Next::More => match first_record(incoming.get(shown..).unwrap_or_default()) {
                Some(length) => shown += length,
                None => read_more(&mut incoming, tcp).await?,
            },
            Next::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            Next::Fail(error) => {
                say_why(&mut side, incoming.get_mut(..shown).unwrap_or_default(), &mut outgoing, tcp);
                return Err(broken(error));
            }
        }
    }
    incoming.drain(..shown);
    let common = side.common();
    let (Some(version), Some(suite)) = (common.protocol_version(), common.negotiated_cipher_suite()) else {
        return Err(broken(Error::HandshakeNotComplete));
    };
    let resumed = common.handshake_kind() == Some(HandshakeKind::Resumed);
    let (secrets, keys) = side.take_apart().map_err(broken)?;
    let (received, unsent) = (incoming, outgoing);
    Session::new(Established { version, suite, resumed, secrets, keys, received, unsent }).map_err(broken)
}

/// The length of the record at the start of `bytes`, if it is whole. What is no record is shown to
/// rustls as it is, which knows what to say to it.
fn first_record(bytes: &[u8]) -> Option<usize> {
    let &[typ, _, _, high, low, ..] = bytes else { return None };
    let length = HEADER + usize::from(u16::from_be_bytes([high, low]));
    match (20..=24).contains(&typ) && length <= MAX_RECORD {
        true => (length <= bytes.len()).then_some(length),
        false => Some(bytes.len()),
    }
}

async fn send(outgoing: &mut Vec<u8>, tcp: &mut TcpStream) -> io::Result<()> {
    tcp.write_all(outgoing).await?;
    outgoing.clear();
    Ok(())
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
        // Data cannot come, since none is shown to it.
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

async fn read_more(incoming: &mut Vec<u8>, tcp: &mut TcpStream) -> io::Result<()> {
    if incoming.len() > MAX_INCOMING {
        return Err(broken(InvalidMessage::HandshakePayloadTooLarge.into()));
    }
    incoming.reserve(READ_SIZE);
    match tcp.read_buf(incoming).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The alert that rustls has made of its error, without waiting for a peer that does not read.
fn say_why<S: Side>(side: &mut S, incoming: &mut [u8], outgoing: &mut Vec<u8>, tcp: &TcpStream) {
    while side.common().wants_write() {
        let (Next::Encoded, _) = step(side, incoming, outgoing) else { break };
    }
    let _ = tcp.try_write(outgoing);
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
