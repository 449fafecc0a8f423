//! The octets of one session: lines and literals in, answers out, compressed if the client asked for it.
//!
//! Input is read into a buffer that is freed when it is empty. Output is collected and sent by
//! [`Transport::flush`]; large bodies are not copied.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// No honest command line is longer: XOAUTH2 with a long token is some 5,000 octets.
const LINE: usize = 64 << 10;
/// Bodies of this size or more are written without a copy.
const LARGE: usize = 16 << 10;

pub(super) struct Transport {
    stream: TlsStream<Segments>,
    input: Vec<u8>,
    output: Vec<u8>,
    deflate: Option<Box<Deflate>>,
    record: usize,
}

struct Deflate {
    out: Compress,
    inn: Decompress,
    raw: Vec<u8>,
}

impl Transport {
    pub(super) fn new(stream: TlsStream<Segments>, record: usize) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new(), deflate: None, record }
    }

    /// RFC 4978: compresses both directions from now on.
    pub(super) fn compress(&mut self) {
        let raw = std::mem::take(&mut self.input);
        let deflate =
            Deflate { out: Compress::new(Compression::fast(), false), inn: Decompress::new(false), raw };
        self.deflate = Some(Box::new(deflate));
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// A whole line without its line end, if one has arrived. `Err` if the line is too long.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.input.iter().position(|&octet| octet == b'\n') {
            Some(end) => {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                line.pop();
                line.pop_if(|octet| *octet == b'\r');
                Ok(Some(line))
            }
            None if self.input.len() > LINE => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(None),
        }
    }

    /// Waits for more input; 0 means the end. Cancel-safe.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.fill_up_to(2048).await
    }

    async fn fill_up_to(&mut self, room: usize) -> io::Result<usize> {
        let Some(deflate) = &mut self.deflate else {
            if self.input.is_empty() && self.input.capacity() > room {
                self.input = Vec::new();
            }
            self.input.reserve(room);
            return self.stream.read_buf(&mut self.input).await;
        };
        loop {
            // Compressed input that arrived with the command waits in `raw`.
            let before = self.input.len();
            deflate.inflate(&mut self.input)?;
            if self.input.len() > before {
                return Ok(self.input.len() - before);
            }
            deflate.raw.reserve(room);
            if self.stream.read_buf(&mut deflate.raw).await? == 0 {
                return Ok(0);
            }
        }
    }

    /// Whether unread input has arrived already, without waiting.
    pub(super) async fn has_more(&mut self) -> bool {
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
    pub(super) fn unread(&self) -> &[u8] {
        &self.input
    }

    /// Passes the next `octets` to `take` as they arrive.
    pub(super) async fn literal(&mut self, mut octets: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        while octets > 0 {
            if self.input.is_empty() && self.fill_up_to(64 << 10).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let now = self.input.len().min(usize::try_from(octets).unwrap_or(usize::MAX));
            take(&self.input[..now]);
            if now == self.input.len() {
                self.input.clear();
            } else {
                self.input.drain(..now);
            }
            octets -= now as u64;
        }
        Ok(())
    }

    /// Adds a piece to the answer.
    pub(super) fn put(&mut self, piece: impl AsRef<[u8]>) {
        self.output.extend_from_slice(piece.as_ref());
    }

    /// Adds a line with its line end to the answer.
    pub(super) fn put_line(&mut self, line: impl AsRef<[u8]>) {
        self.put(line);
        self.put(b"\r\n");
    }

    /// Sends the collected output if it has become large.
    pub(super) async fn relieve(&mut self) -> io::Result<()> {
        if self.output.len() < LARGE { Ok(()) } else { self.send().await }
    }

    /// Adds a piece that may be large.
    pub(super) async fn put_large(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.len() < LARGE || self.deflate.is_some() || self.record > 0 {
            self.put(piece);
            return self.relieve().await;
        }
        self.send().await?;
        self.stream.write_all(piece).await
    }

    /// Sends all collected output.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.send().await?;
        self.stream.flush().await
    }

    async fn send(&mut self) -> io::Result<()> {
        let mut output = std::mem::take(&mut self.output);
        if output.is_empty() {
            return Ok(());
        }
        if let Some(deflate) = &mut self.deflate {
            output = deflate.deflate(&output)?;
        }
        if self.record == 0 {
            return self.stream.write_all(&output).await;
        }
        for piece in output.chunks(self.record) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    /// TLS close_notify, then FIN.
    pub(super) async fn close(&mut self) {
        // Sending fails if the client has disconnected.
        let _ = self.flush().await;
        let _ = self.stream.shutdown().await;
    }

    /// Makes the connection end with a TCP reset when it is dropped.
    pub(super) fn reset(&mut self) {
        let _ = self.stream.get_ref().0.tcp.set_zero_linger();
    }
}

impl Deflate {
    fn inflate(&mut self, input: &mut Vec<u8>) -> io::Result<()> {
        let mut used = 0;
        while used < self.raw.len() {
            input.reserve(4096);
            let before = (self.inn.total_in(), self.inn.total_out());
            let rest = &self.raw[used..];
            let status =
                self.inn.decompress_vec(rest, input, FlushDecompress::Sync).map_err(io::Error::other)?;
            used += (self.inn.total_in() - before.0) as usize;
            let stuck = (self.inn.total_in(), self.inn.total_out()) == before;
            if status == Status::StreamEnd || stuck {
                break;
            }
        }
        self.raw.drain(..used);
        Ok(())
    }

    fn deflate(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::with_capacity(plain.len() / 2 + 64);
        let start = self.out.total_in();
        loop {
            let used = (self.out.total_in() - start) as usize;
            let before = packed.len();
            self.out
                .compress_vec(&plain[used..], &mut packed, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            let done = (self.out.total_in() - start) as usize == plain.len();
            // Unused room shows that the flush marker was written too.
            if done && packed.len() < packed.capacity() {
                return Ok(packed);
            }
            packed.reserve((packed.len() - before).max(1024));
        }
    }
}

/// A TCP connection that writes at most this many octets a segment; 0 is no limit.
pub(super) struct Segments {
    tcp: TcpStream,
    limit: usize,
}

impl Segments {
    pub(super) fn new(tcp: TcpStream, limit: usize) -> Self {
        Self { tcp, limit }
    }

    fn cut<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        if self.limit == 0 { data } else { &data[..data.len().min(self.limit)] }
    }
}

impl AsyncRead for Segments {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Segments {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let data = self.cut(data);
        Pin::new(&mut self.tcp).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.limit == 0 {
            return Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
