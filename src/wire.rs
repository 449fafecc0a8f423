//! One leg of a connection while it is read line by line.
//!
//! A [`Wire`] is a stream with a bounded inbox and an outbox. The dialogues of [`crate::protocol`] take bytes
//! from the inbox and push lines to the outbox; the wire moves both. [`Wire::into_parts`] hands over the
//! stream and the bytes that no dialogue took, and the next reader begins with those bytes.
//!
//! Invariants: every received byte is either consumed by a dialogue or unread, in order. Consumed and sent
//! bytes are wiped ([`Buffer`]), because they may hold a password or a token. A waiting wire holds no buffer,
//! because thousands of connections wait silently.

mod buffer;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use zeroize::Zeroize as _;

pub use buffer::Buffer;

/// A stream that a dialogue can run over: a connection, in cleartext or under TLS, or an in-memory pipe.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Limits the received but unread bytes that the stream holds from now on. A read that would need more
    /// fails with [`io::ErrorKind::OutOfMemory`].
    fn hold_at_most(&mut self, bytes: usize);
}

impl Stream for crate::tls::Socket {
    fn hold_at_most(&mut self, bytes: usize) {
        Self::hold_at_most(self, bytes);
    }
}

/// The pipe's size was fixed when it was made.
impl Stream for tokio::io::DuplexStream {
    fn hold_at_most(&mut self, _: usize) {}
}

/// Unread bytes of a provider. A dialogue never needs more than one response and its literals, so this bound
/// only stops a caller that fills without reading.
pub const INBOX_LIMIT: usize = 96 * 1024;

/// Unread bytes of a client: its longest command, and enough to detect a longer one.
pub const CLIENT_INBOX_LIMIT: usize = 9 * 1024;

/// All bytes held for a client, in the inbox or still under TLS. A full TLS record must fit, because commands
/// pipelined behind a login arrive in one. With its other costs a connection stays below 24 KiB (security row
/// 38).
const CLIENT_HELD: usize = 16 * 1024 + 768;

/// Bytes read by one [`Wire::fill`]. Commands and greetings are short, and this buffer lies on the stack.
const READ_SIZE: usize = 4096;

/// Called with each piece that passes: whether the proxy sent it, and its bytes.
type Hears = dyn Fn(bool, &[u8]) + Send + Sync;

/// Receives a copy of the bytes that pass a wire, while a person traces an account.
#[derive(Clone)]
pub struct Tape(pub Arc<Hears>);

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}

/// A stream with its unread and unsent bytes.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    inbox: Buffer,
    outbox: Buffer,
    /// The limit of the inbox.
    limit: usize,
    /// The limit of all bytes held for the peer, if there is one.
    held: Option<usize>,
    tape: Option<Tape>,
}

impl<S> Wire<S> {
    /// A wire to a provider, with nothing read yet.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: Buffer::new(),
            outbox: Buffer::new(),
            limit: INBOX_LIMIT,
            held: None,
            tape: None,
        }
    }

    /// A wire to a client that has not logged in, with tight memory limits.
    pub fn of_client(stream: S) -> Self {
        Self { limit: CLIENT_INBOX_LIMIT, held: Some(CLIENT_HELD), ..Self::new(stream) }
    }

    /// This wire, with a copy of its bytes to `tape`.
    #[must_use]
    pub fn taped(self, tape: Option<Tape>) -> Self {
        Self { tape, ..self }
    }

    /// The unread bytes.
    pub fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// The unread and the unsent bytes, for a dialogue's step.
    pub fn buffers(&mut self) -> (&mut Buffer, &mut Buffer) {
        (&mut self.inbox, &mut self.outbox)
    }

    /// The stream, to read its properties (peer address, TLS session).
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: Stream> Wire<S> {
    /// The stream and the unread bytes. Call [`Wire::flush`] first: unsent bytes are dropped. A client's
    /// limits end here.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.stream.hold_at_most(usize::MAX);
        (self.stream, self.inbox.into_unread())
    }

    /// Waits for more bytes and appends them to the inbox; 0 is the end of the stream.
    ///
    /// Cancel-safe: dropped while waiting, it has read nothing. Fails with [`io::ErrorKind::OutOfMemory`] if
    /// the inbox is full.
    pub async fn fill(&mut self) -> io::Result<usize> {
        let room = self.limit.saturating_sub(self.inbox.len()).min(READ_SIZE);
        if room == 0 {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many bytes wait unread"));
        }
        if let Some(held) = self.held {
            self.inbox.trim();
            self.stream.hold_at_most(held.saturating_sub(self.inbox.capacity()));
        }
        poll_fn(|context| {
            // On the stack, so that a silent connection costs no buffer.
            let mut scratch = [MaybeUninit::<u8>::uninit(); READ_SIZE];
            let mut read = ReadBuf::uninit(scratch.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            self.inbox.push_within(self.limit, read.filled());
            if let Some(Tape(hears)) = &self.tape {
                hears(false, read.filled());
            }
            read.filled_mut().zeroize();
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    /// Sends everything in the outbox and flushes the stream.
    ///
    /// Cancel-safe: sent bytes have left the outbox, the others stay for the next call.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let sent = self.stream.write(&self.outbox).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if let Some(Tape(hears)) = &self.tape {
                hears(true, self.outbox.get(..sent).unwrap_or_default());
            }
            self.outbox.consume(sent);
        }
        self.stream.flush().await
    }

    /// Queues `bytes` after the unsent ones and sends all. If cancelled, the unsent bytes stay queued.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outbox.push(bytes);
        self.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, DuplexStream};

    #[tokio::test]
    async fn unread_bytes_survive_the_hand_over() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(ours);
        theirs.write_all(b"a NOOP\r\nrest").await.unwrap();
        assert_eq!(wire.fill().await.unwrap(), 12);
        wire.buffers().0.consume(8);
        let (_, unread) = wire.into_parts();
        assert_eq!(unread, b"rest");
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_zero_bytes() {
        let (ours, theirs) = tokio::io::duplex(64);
        drop(theirs);
        assert_eq!(Wire::new(ours).fill().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_cancelled_fill_loses_nothing() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(ours);
        tokio::select! {
            biased;
            _ = wire.fill() => unreachable!("nothing was sent yet"),
            () = std::future::ready(()) => {}
        }
        theirs.write_all(b"x").await.unwrap();
        wire.fill().await.unwrap();
        assert_eq!(wire.inbox(), b"x");
    }

    #[tokio::test]
    async fn a_cancelled_flush_goes_on_where_it_stopped() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut wire = Wire::new(ours);
        tokio::select! {
            biased;
            _ = wire.send(b"0123456789") => unreachable!("the pipe takes four bytes"),
            () = std::future::ready(()) => {}
        }
        let mut got = [0; 10];
        let (sent, read) = tokio::join!(wire.flush(), theirs.read_exact(&mut got));
        sent.unwrap();
        read.unwrap();
        assert_eq!(&got, b"0123456789");
    }

    #[tokio::test]
    async fn a_wire_that_nobody_reads_is_bounded() {
        for (wire, limit) in
            [(Wire::new as fn(_) -> _, INBOX_LIMIT), (Wire::of_client as fn(_) -> _, CLIENT_INBOX_LIMIT)]
        {
            let (ours, mut theirs) = tokio::io::duplex(limit * 2);
            theirs.write_all(&vec![b'x'; limit + 1]).await.unwrap();
            let mut wire: Wire<DuplexStream> = wire(ours);
            let error = loop {
                if let Err(error) = wire.fill().await {
                    break error;
                }
            };
            assert_eq!((error.kind(), wire.inbox().len()), (io::ErrorKind::OutOfMemory, limit));
            assert_eq!(wire.inbox.capacity(), limit, "and nothing is held in vain");
        }
    }
}
