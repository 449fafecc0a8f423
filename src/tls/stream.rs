//! A connection as the rest of the program sees it: bytes, in cleartext or under TLS.
//!
//! What is underneath is private, so that tokio-rustls's buffering can be replaced here without
//! anyone noticing. Invariants: TCP_NODELAY is set on every stream (small IMAP answers would wait
//! 40 ms for an acknowledgement otherwise), and the end of a TLS stream is the end whether or not
//! the peer said close_notify: a FIN without it reads as end of file, and
//! [`Stream::was_truncated`] tells it apart for the log (RFC 8446 §6.1).
//!
//! Memory of an idle session is the TLS state (boxed) plus one 4 KiB read buffer of rustls.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{CommonState, HandshakeKind};
use tokio_rustls::{client, server};

/// A TCP connection, in cleartext or under TLS, with a mail program or a provider.
///
/// Written bytes may wait inside: `flush` before waiting for an answer. `shutdown` sends
/// close_notify and closes our direction only; reading goes on until the peer closes its own.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    truncated: bool,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Server(Box<server::TlsStream<TcpStream>>),
    Client(Box<client::TlsStream<TcpStream>>),
}

impl Stream {
    /// A cleartext connection: a loopback listener without TLS, or one before STARTTLS.
    pub fn plain(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self { inner: Inner::Plain(tcp), truncated: false })
    }

    pub(super) fn server(tls: server::TlsStream<TcpStream>) -> Self {
        Self { inner: Inner::Server(Box::new(tls)), truncated: false }
    }

    pub(super) fn client(tls: client::TlsStream<TcpStream>) -> Self {
        Self { inner: Inner::Client(Box::new(tls)), truncated: false }
    }

    /// The connection for a STARTTLS upgrade, or the stream back where it is under TLS already.
    ///
    /// What the caller has read ahead in cleartext is not part of it and must be discarded, never
    /// interpreted (security row 8).
    pub fn into_plain(self) -> Result<TcpStream, Self> {
        match self.inner {
            Inner::Plain(tcp) => Ok(tcp),
            inner => Err(Self { inner, ..self }),
        }
    }

    /// Whether the bytes are under TLS.
    pub fn is_tls(&self) -> bool {
        !matches!(self.inner, Inner::Plain(_))
    }

    /// The TCP connection underneath: for socket options (keep-alive) only, never for bytes.
    pub fn tcp(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(tcp) => tcp,
            Inner::Server(tls) => tls.get_ref().0,
            Inner::Client(tls) => tls.get_ref().0,
        }
    }

    /// Who is at the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Our own end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// Whether the peer ended a TLS stream without close_notify. What was read until then came
    /// from the peer; whether more was meant to follow cannot be known.
    pub fn was_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether the handshake resumed an earlier session; false in cleartext.
    pub fn was_resumed(&self) -> bool {
        self.state().and_then(CommonState::handshake_kind) == Some(HandshakeKind::Resumed)
    }

    /// What was negotiated, for the log: `TLSv1_3 TLS13_AES_128_GCM_SHA256`, or `cleartext`.
    pub fn describe(&self) -> String {
        let Some(state) = self.state() else { return "cleartext".to_owned() };
        match (state.protocol_version(), state.negotiated_cipher_suite()) {
            (Some(version), Some(suite)) => format!("{version:?} {:?}", suite.suite()),
            _ => "TLS".to_owned(),
        }
    }

    fn state(&self) -> Option<&CommonState> {
        match &self.inner {
            Inner::Plain(_) => None,
            Inner::Server(tls) => Some(tls.get_ref().1),
            Inner::Client(tls) => Some(tls.get_ref().1),
        }
    }
}

/// Hands a call on to whichever stream is underneath.
macro_rules! inner {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {
        match &mut $self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Inner::Server(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Inner::Client(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.as_mut();
        let result = ready!(inner!(stream, poll_read(context, buffer)));
        Poll::Ready(match result {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.truncated = true;
                Ok(())
            }
            other => other,
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        inner!(self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self, poll_write_vectored(context, slices))
    }

    /// All three kinds gather slices into one system call or one run of records.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_shutdown(context))
    }
}
