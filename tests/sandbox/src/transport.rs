//! The octets of one session of the submission or the POP3 server: lines and messages in, replies out, in cleartext until
//! TLS begins.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// No honest line is longer; RFC 4954 bounds the lines of AUTH with 12,288.
const LINE: usize = 64 << 10;
/// Read at once.
const ROOM: usize = 16 << 10;

pub(crate) struct Transport {
    stream: Stream,
    input: Vec<u8>,
    output: Vec<u8>,
    piece: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// After a failed handshake.
    Gone,
}

impl Transport {
    /// `piece` limits each write; 0 is no limit.
    pub(crate) fn new(tcp: TcpStream, piece: usize) -> Self {
        Self { stream: Stream::Plain(tcp), input: Vec::new(), output: Vec::new(), piece }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The TLS handshake. Received cleartext is dropped.
    pub(crate) async fn begin_tls(&mut self, tls: &Arc<ServerConfig>) -> io::Result<()> {
        self.input.clear();
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(tcp) => {
                let stream = TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await?;
                self.stream = Stream::Tls(Box::new(stream));
                Ok(())
            }
            other => {
                self.stream = other;
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    /// A whole line without its line end, if one has arrived; only CRLF ends a line. `Err` if the line is too
    /// long.
    pub(crate) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.input.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => {
                let mut line: Vec<u8> = self.input.drain(..end + 2).collect();
                line.truncate(end);
                Ok(Some(line))
            }
            None if self.input.len() > LINE => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(None),
        }
    }

    /// Waits for more input; 0 means the end. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        if self.input.is_empty() && self.input.capacity() > ROOM {
            self.input = Vec::new();
        }
        self.input.reserve(ROOM);
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.read_buf(&mut self.input).await,
            Stream::Tls(stream) => stream.read_buf(&mut self.input).await,
            Stream::Gone => Ok(0),
        }
    }

    /// Whether unread input has arrived already, without waiting.
    pub(crate) async fn has_more(&mut self) -> bool {
        if self.input.is_empty() {
            tokio::select! {
                biased;
                _ = self.fill() => {}
                () = std::future::ready(()) => {}
            }
        }
        !self.input.is_empty()
    }

    /// The unread input.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input
    }

    /// Takes the first octets of the input.
    pub(crate) fn take(&mut self, octets: usize) -> Vec<u8> {
        if octets >= self.input.len() {
            return std::mem::take(&mut self.input);
        }
        self.input.drain(..octets).collect()
    }

    /// Adds a piece to a reply.
    pub(crate) fn put(&mut self, piece: impl AsRef<[u8]>) {
        self.output.extend_from_slice(piece.as_ref());
    }

    /// Adds a line with its line end to a reply.
    pub(crate) fn put_line(&mut self, line: impl AsRef<[u8]>) {
        self.put(line);
        self.put(b"\r\n");
    }

    /// Sends all collected output.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        let piece = if self.piece == 0 { output.len().max(1) } else { self.piece };
        for piece in output.chunks(piece) {
            match &mut self.stream {
                Stream::Plain(tcp) => tcp.write_all(piece).await?,
                Stream::Tls(stream) => {
                    stream.write_all(piece).await?;
                    stream.flush().await?;
                }
                Stream::Gone => {}
            }
        }
        Ok(())
    }

    /// Sends TLS close_notify if there is TLS, then FIN.
    pub(crate) async fn close(&mut self) {
        // Sending fails if the client has disconnected.
        let _ = self.flush().await;
        let _ = match &mut self.stream {
            Stream::Plain(tcp) => tcp.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Gone => Ok(()),
        };
    }

    /// Makes the connection end with a TCP reset when it is dropped.
    pub(crate) fn reset(&mut self) {
        let _ = match &self.stream {
            Stream::Plain(tcp) => tcp.set_zero_linger(),
            Stream::Tls(stream) => stream.get_ref().0.set_zero_linger(),
            Stream::Gone => Ok(()),
        };
    }
}
