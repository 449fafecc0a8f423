//! A connection in the form that the rest of the program uses: bytes, in cleartext or under TLS.
//!
//! Invariants: TCP_NODELAY is set on every stream (otherwise small IMAP answers would wait 40 ms for an
//! acknowledgement). A TLS stream ends with or without close_notify: a FIN without it reads as end of file, and
//! only [`Socket::was_truncated`] tells the difference, for the log (RFC 8446 §6.1).
//!
//! Cost: one system call reads or writes several records, through a scratch buffer of the worker thread. A waiting
//! session holds no buffer, only an incomplete record or bytes that the peer does not take.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::record::{HEADER, INNER_TYPE, MAX_PLAINTEXT, MAX_RECORD, OVERHEAD, TAG};
use super::session::Session;

/// The room that a reader needs so that one read of the socket gives it whole records of full size.
pub const FULL_READ: usize = RECORDS * MAX_PLAINTEXT + INNER_TYPE + TAG;
const RECORDS: usize = 16;
/// The same records sealed under TLS 1.3. A read of this size ends at the end of a record, so that no part has to
/// be kept.
const FULL_SEALED: usize = RECORDS * (HEADER + MAX_PLAINTEXT + INNER_TYPE + TAG);
/// Waiting bytes up to this length, such as the end of a handshake or an alert, are sent with the next write.
const SHORT: usize = 4096;
const SCRATCH: usize = RECORDS * (MAX_PLAINTEXT + OVERHEAD);

thread_local! {
    /// Sealed bytes between a socket and a reader or writer; empty between two polls.
    static SEALED: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A TCP connection, in cleartext or under TLS, with a mail program or a provider.
///
/// Written bytes may wait inside: `flush` before waiting for an answer. `shutdown` sends
/// close_notify and closes our direction only; reading goes on until the peer closes its own.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    tls: Option<Box<Session>>,
    truncated: bool,
}

impl Socket {
    /// A cleartext connection: a loopback listener without TLS, or one before STARTTLS.
    pub fn plain(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, tls: None, truncated: false })
    }

    pub(super) fn tls(tcp: TcpStream, session: Session) -> Self {
        Self { tcp, tls: Some(Box::new(session)), truncated: false }
    }

    /// The stream for a STARTTLS upgrade, or the socket back if it is under TLS already.
    ///
    /// Cleartext bytes that the caller has read ahead must be discarded, never interpreted (security row 8).
    pub fn into_plain(self) -> Result<TcpStream, Self> {
        match self.tls {
            None => Ok(self.tcp),
            Some(_) => Err(self),
        }
    }

    /// Whether the bytes are under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The TCP connection underneath: for socket options (keep-alive) only, never for bytes.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// From the next read on, keeps at most `bytes` received bytes that were not read. A longer record fails the
    /// read with [`io::ErrorKind::OutOfMemory`] at its header, and every later read too. There is no limit by
    /// default.
    pub fn hold_at_most(&mut self, bytes: usize) {
        if let Some(session) = &mut self.tls {
            session.hold_at_most(bytes);
        }
    }

    /// The peer's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// Our own address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Whether the peer ended a TLS stream without close_notify. The bytes before the end came from the peer, but
    /// more may have been cut off.
    pub fn was_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether the handshake resumed an earlier session; false in cleartext.
    pub fn was_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.was_resumed())
    }

    /// The negotiated version and suite, for the log: `TLSv1_3 TLS13_AES_128_GCM_SHA256`, or `cleartext`.
    pub fn describe(&self) -> String {
        self.tls.as_ref().map_or_else(|| "cleartext".to_owned(), |session| session.describe())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, tls, truncated } = self.get_mut();
        let Some(session) = tls else { return Pin::new(tcp).poll_read(context, buffer) };
        let before = buffer.filled().len();
        if buffer.remaining() == 0 || session.read_opened(buffer) {
            return Poll::Ready(Ok(()));
        }
        // Kept bytes may hold whole records, from behind the handshake or from a read without room.
        session.open_received(buffer);
        loop {
            answer(session, tcp, context);
            if buffer.filled().len() > before || session.peer_closed() || *truncated {
                return Poll::Ready(Ok(()));
            }
            if let Some(failure) = session.failure() {
                return Poll::Ready(Err(broken(failure)));
            }
            if session.is_overfull() {
                let why = "a TLS record is longer than the limit of unread bytes";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, why)));
            }
            let read = SEALED.with_borrow_mut(|scratch| read_some(session, tcp, context, scratch, buffer));
            *truncated = ready!(read)? == 0;
        }
    }
}

/// Reads the socket once and opens the whole records; 0 at the end of the connection.
fn read_some(
    session: &mut Session,
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    scratch: &mut [u8],
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<usize>> {
    let held = session.received().len();
    let (before, free) = scratch.split_at_mut_checked(held).ok_or(io::ErrorKind::InvalidData)?;
    // No more than the reader has room for, so that no whole record is left over; a small reader gets at most one
    // record.
    let wanted = match buffer.remaining() {
        FULL_READ.. => FULL_SEALED,
        room => room.max(MAX_RECORD).min(session.may_hold()),
    };
    let wanted = wanted.saturating_sub(held).min(free.len());
    let mut read = ReadBuf::new(free.get_mut(..wanted).unwrap_or_default());
    ready!(Pin::new(tcp).poll_read(context, &mut read))?;
    let fresh = read.filled().len();
    if fresh > 0 {
        before.copy_from_slice(&session.take_received());
        let sealed = scratch.get(..held + fresh).unwrap_or_default();
        let opened = session.open(sealed, buffer);
        session.keep(sealed.get(opened..).unwrap_or_default());
    }
    Poll::Ready(Ok(fresh))
}

/// Sends the waiting bytes that the socket takes; the rest is sent with the next write.
fn answer(session: &mut Session, tcp: &mut TcpStream, context: &mut Context<'_>) {
    // A failed connection is noticed at the next write.
    let _ = send(session, tcp, context);
}

/// Sends all waiting sealed bytes.
fn send(session: &mut Session, tcp: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !session.unsent().is_empty() {
        match ready!(Pin::new(&mut *tcp).poll_write(context, session.unsent()))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => session.sent(count),
        }
    }
    Poll::Ready(Ok(()))
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { tcp, tls, .. } = self.get_mut();
        let Some(session) = tls else { return Pin::new(tcp).poll_write(context, bytes) };
        if session.is_closed() {
            return Poll::Ready(Err(session.failure().map_or(io::ErrorKind::BrokenPipe.into(), broken)));
        }
        session.renew().map_err(|error| broken(&error))?;
        if session.unsent().len() > SHORT {
            ready!(send(session, tcp, context))?;
        }
        SEALED.with_borrow_mut(|scratch| {
            let waiting = session.take_unsent(scratch);
            let room = scratch.get_mut(waiting..).unwrap_or_default();
            let (taken, sealed) = session.seal(bytes, room).map_err(|error| broken(&error))?;
            let mut rest = scratch.get(..waiting + sealed).unwrap_or_default();
            while !rest.is_empty() {
                match Pin::new(&mut *tcp).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        session.not_sent(rest);
                        break;
                    }
                }
            }
            Poll::Ready(Ok(taken))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, tls, .. } = self.get_mut();
        match tls {
            Some(session) => send(session, tcp, context),
            None => Pin::new(tcp).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, tls, .. } = self.get_mut();
        if let Some(session) = tls {
            session.close();
            ready!(send(session, tcp, context))?;
        }
        Pin::new(tcp).poll_shutdown(context)
    }
}

fn broken(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.clone())
}
