//! One direction's copy: bytes are written before more are read, and the end is passed on.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::Tail;

/// The most bytes of one read: as many whole TLS records as a stream takes in one system call.
pub(super) const SCRATCH: usize = crate::tls::FULL_READ;
/// The number of bytes after which another session gets its turn.
pub(super) const TURN: u64 = 4 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// One direction's copy.
pub(super) struct Direction {
    /// Bytes that were read, and not yet accepted by the writer.
    pub(super) pending: Vec<u8>,
    sent: usize,
    state: State,
    pub(super) bytes: u64,
    /// Whether the writer may hold bytes until a flush.
    unflushed: bool,
    /// The last bytes passed on.
    pub(super) tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The writer has failed: bytes are read and dropped, so that no reset overtakes the last bytes of the other
    /// direction.
    Discarding,
    /// The reader has ended; the writer must be closed.
    Closing,
    Closed,
}

/// The side that failed.
pub(super) enum Failure {
    Reader(io::Error),
    Writer(io::Error),
}

impl Direction {
    pub(super) fn new(pending: Vec<u8>) -> Self {
        let bytes = pending.len() as u64;
        // The relay begins between two lines, but the first bytes may end inside a line.
        let tail = after(*b"\0\0\r\n", &pending);
        Self { pending, sent: 0, state: State::Open, bytes, unflushed: false, tail }
    }

    /// Whether the reader has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state != State::Open
    }

    /// Whether the end was passed on.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Reads and drops from now on, unless the reader has ended: the writer has failed.
    pub(super) fn discard(&mut self) {
        self.pending = Vec::new();
        self.sent = 0;
        self.state = match self.state {
            State::Open | State::Discarding => State::Discarding,
            State::Closing | State::Closed => State::Closed,
        };
    }

    /// Stops reading: pending bytes are passed on, then the end.
    pub(super) fn end_here(&mut self) {
        self.state = State::Closing;
    }

    /// Copies until the reader or the writer is not ready; completes when the reader's end was passed on. Adds the
    /// bytes read to `moved`.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        moved: &AtomicU64,
        overhear: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<(), Failure>> {
        let before = self.bytes;
        loop {
            ready!(self.poll_send_pending(context, writer)).map_err(Failure::Writer)?;
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Discarding => return self.poll_discard(context, reader).map(Ok),
                State::Closing => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(context)).map_err(Failure::Writer)?;
                    self.state = State::Closed;
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            // Bytes that the writer holds for a slow peer must be sent before more is read. Without such bytes
            // this costs nothing.
            if self.unflushed {
                ready!(Pin::new(&mut *writer).poll_flush(context)).map_err(Failure::Writer)?;
                self.unflushed = false;
            }
            match self.poll_copy(context, reader, writer, moved, overhear) {
                Poll::Ready(Ok(())) if self.bytes - before >= TURN => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                // The reader has no bytes, and all earlier ones were written.
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_discard(&mut self, context: &mut Context<'_>, reader: &mut (impl AsyncRead + Unpin)) -> Poll<()> {
        let mut dropped = 0;
        while dropped < TURN {
            let read = BUFFER.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                Pin::new(&mut *reader).poll_read(context, &mut read).map_ok(|()| read.filled().len() as u64)
            });
            match ready!(read) {
                Ok(count @ 1..) => dropped += count,
                Ok(0) | Err(_) => {
                    self.state = State::Closed;
                    return Poll::Ready(());
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.tail = after(self.tail, bytes);
    }

    fn poll_send_pending(
        &mut self,
        context: &mut Context<'_>,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.pending.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut *writer).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
            self.unflushed = true;
        }
        if self.sent > 0 {
            self.pending = Vec::new();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes as much as the writer accepts; the rest is pending.
    fn poll_copy(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        moved: &AtomicU64,
        overhear: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<(), Failure>> {
        BUFFER.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *reader).poll_read(context, &mut read)).map_err(Failure::Reader)?;
            let bytes = read.filled();
            if bytes.is_empty() {
                self.state = State::Closing;
                return Poll::Ready(Ok(()));
            }
            self.bytes += bytes.len() as u64;
            moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.remember(bytes);
            overhear(bytes);
            let mut rest = bytes;
            while !rest.is_empty() {
                match Pin::new(&mut *writer).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Failure::Writer(io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(Ok(sent)) => {
                        rest = rest.get(sent..).unwrap_or_default();
                        self.unflushed = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Writer(error))),
                    Poll::Pending => {
                        self.pending = rest.to_vec();
                        break;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// The last bytes of `tail` followed by `bytes`.
fn after(tail: Tail, bytes: &[u8]) -> Tail {
    let last = bytes.get(bytes.len().saturating_sub(tail.len())..).unwrap_or_default();
    last.iter().fold(tail, |[_, second, third, fourth], &byte| [second, third, fourth, byte])
}
