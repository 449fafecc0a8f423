//! The relay: copies bytes both ways, unchanged, until both sides are done. The protocol's watch is shown short pieces
//! of what the provider sends, and changes none.
//!
//! Invariants: bytes arrive exactly as they were sent; a side that closes its direction closes only
//! that one; a slow reader stops the fast writer on the other side (nothing is buffered beyond one read);
//! what was read is on its way before anything waits; an idle session holds no buffer, because reads
//! go through a scratch buffer of the worker thread, and only what the writer would not take is kept.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::protocol::{LastWord, Overheard, Tail, Watch};

/// One read at most: whole TLS records, as many as a stream takes in one system call.
const SCRATCH: usize = crate::tls::FULL_READ;
/// After so many bytes it is another session's turn.
const TURN: u64 = 4 << 20;
/// A session with one direction closed and nothing moving in the other is over, whatever it thinks. A
/// mail program may take its time with what it asked for before it closed its own.
const CLIENT_CLOSED_IDLE: Duration = Duration::from_secs(300);
/// Nothing comes any more: a mail program that stays only keeps its place from another session.
const UPSTREAM_CLOSED_IDLE: Duration = Duration::from_secs(60);
/// For the last word on its way to a client that may not read.
const LAST_WORD: Duration = Duration::from_millis(300);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Two streams to be joined, with what was read from each before.
pub struct Session<C, U, W, F> {
    /// The mail program's side.
    pub client: C,
    /// The provider's side.
    pub upstream: U,
    /// Read from the client already.
    pub from_client: Vec<u8>,
    /// Read from the provider already.
    pub from_upstream: Vec<u8>,
    /// Shown what the provider sends, as far as it listens.
    pub watch: W,
    /// Told what `watch` overheard.
    pub tell: F,
}

/// Why a session is ended from our side.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// Why, for the person: one sentence, said where the protocol allows it.
    pub reason: &'static str,
    /// How long to wait for a moment between two answers.
    pub patience: Duration,
}

/// How a session went.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes from the client to the provider.
    pub up: u64,
    /// Bytes from the provider to the client.
    pub down: u64,
    /// What ended it.
    pub end: End,
}

/// What ended a session.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The mail program closed first.
    Client,
    /// The provider closed first.
    Upstream,
    /// Reading from or writing to the mail program failed.
    ClientFailed(io::ErrorKind),
    /// Reading from or writing to the provider failed.
    UpstreamFailed(io::ErrorKind),
    /// One direction was closed and the other stayed silent.
    HalfClosedIdle,
    /// We said farewell.
    Farewell,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("the mail program closed it"),
            Self::Upstream => f.write_str("the provider closed it"),
            Self::ClientFailed(error) => write!(f, "the connection to the mail program failed ({error})"),
            Self::UpstreamFailed(error) => write!(f, "the connection to the provider failed ({error})"),
            Self::HalfClosedIdle => f.write_str("one side had closed and the other stayed silent"),
            Self::Farewell => f.write_str("the proxy said goodbye"),
        }
    }
}

/// A session under way.
pub struct Relay<C, U, W, F> {
    client: C,
    upstream: U,
    watch: W,
    tell: F,
    up: Direction,
    down: Direction,
    /// Which side closed first.
    first_end: Option<End>,
    half_closed_idle: Option<Pin<Box<Sleep>>>,
}

/// One direction's copy.
struct Direction {
    /// Read, and not yet taken by the writer.
    pending: Vec<u8>,
    sent: usize,
    state: State,
    bytes: u64,
    /// Whether the writer may still hold bytes that only a flush sends.
    unflushed: bool,
    /// The last bytes passed on.
    tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The reader is at its end; the writer is to be closed.
    Closing,
    Closed,
}

/// Which side failed.
enum Failure {
    Reader(io::Error),
    Writer(io::Error),
}

impl<C, U, W, F> Relay<C, U, W, F>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    W: Watch,
    F: FnMut(Overheard),
{
    /// Joins the two streams of `session`; nothing moves before [`Relay::run`].
    pub fn new(session: Session<C, U, W, F>) -> Self {
        Self {
            client: session.client,
            upstream: session.upstream,
            watch: session.watch,
            tell: session.tell,
            up: Direction::new(session.from_client),
            down: Direction::new(session.from_upstream),
            first_end: None,
            half_closed_idle: None,
        }
    }

    /// Relays until both directions are closed, one side fails, or `farewell` comes and is said.
    ///
    /// Borrows both, because a future keeps what is moved into it twice, and thousands of these wait.
    pub async fn run(&mut self, farewell: Pin<&mut impl Future<Output = Farewell>>) -> Summary {
        let farewell = tokio::select! {
            biased;
            end = poll_fn(|context| self.poll(context)) => return self.summary(end),
            farewell = farewell => farewell,
        };
        let end = Box::pin(self.say(&farewell)).await;
        self.summary(end)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let before = self.up.bytes + self.down.bytes;
        let up = self.up.poll(context, &mut self.client, &mut self.upstream, &mut |_: &[u8]| {});
        if let Poll::Ready(Err(failure)) = up {
            return Poll::Ready(match failure {
                Failure::Reader(error) => End::ClientFailed(error.kind()),
                Failure::Writer(error) => End::UpstreamFailed(error.kind()),
            });
        }
        if self.up.state != State::Open {
            self.first_end.get_or_insert(End::Client);
        }
        let overhear = &mut |piece: &[u8]| {
            let heard = (piece.len() <= W::LISTENS_TO).then(|| self.watch.overhear(piece)).flatten();
            if let Some(overheard) = heard {
                (self.tell)(overheard);
            }
        };
        let down = self.down.poll(context, &mut self.upstream, &mut self.client, overhear);
        if let Poll::Ready(Err(failure)) = down {
            return Poll::Ready(match failure {
                Failure::Reader(error) => End::UpstreamFailed(error.kind()),
                Failure::Writer(error) => End::ClientFailed(error.kind()),
            });
        }
        if self.down.state != State::Open {
            self.first_end.get_or_insert(End::Upstream);
        }
        if self.up.state == State::Closed && self.down.state == State::Closed {
            return Poll::Ready(self.first_end.take().unwrap_or(End::Client));
        }
        if self.first_end.is_some() {
            ready!(self.poll_half_closed(context, self.up.bytes + self.down.bytes != before));
            return Poll::Ready(End::HalfClosedIdle);
        }
        Poll::Pending
    }

    fn poll_half_closed(&mut self, context: &mut Context<'_>, moved: bool) -> Poll<()> {
        let patience = match self.first_end {
            Some(End::Upstream) => UPSTREAM_CLOSED_IDLE,
            _ => CLIENT_CLOSED_IDLE,
        };
        let timer = self.half_closed_idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if moved {
            timer.as_mut().reset(Instant::now() + patience);
        }
        timer.as_mut().poll(context)
    }

    /// Relays on until the protocol lets the session end between two answers, with a last word where it has one.
    /// After the farewell's patience it ends in any case.
    async fn say(&mut self, farewell: &Farewell) -> End {
        let deadline = Instant::now() + farewell.patience;
        loop {
            let before = self.up.bytes + self.down.bytes;
            let quiet_until = (Instant::now() + W::QUIET).min(deadline);
            if let Ok(end) = tokio::time::timeout_at(quiet_until, poll_fn(|context| self.poll(context))).await
            {
                return end;
            }
            let line = match self.last_word(before, farewell.reason) {
                LastWord::NotYet if Instant::now() < deadline => continue,
                LastWord::NotYet | LastWord::Silence => String::new(),
                LastWord::Say(line) => line,
            };
            let _ = tokio::time::timeout(LAST_WORD, self.close(&line)).await;
            return End::Farewell;
        }
    }

    /// What the protocol lets us say, where nothing came since there were `before` bytes.
    fn last_word(&self, before: u64, reason: &str) -> LastWord {
        let pending = [&self.up.pending, &self.down.pending];
        match self.up.bytes + self.down.bytes == before && pending.iter().all(|bytes| bytes.is_empty()) {
            true => self.watch.last_word(self.down.tail, reason),
            false => LastWord::NotYet,
        }
    }

    async fn close(&mut self, last_word: &str) -> io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        self.client.write_all(last_word.as_bytes()).await?;
        let _ = self.upstream.shutdown().await;
        self.client.shutdown().await
    }

    fn summary(&self, end: End) -> Summary {
        Summary { up: self.up.bytes, down: self.down.bytes, end }
    }
}

impl Direction {
    fn new(pending: Vec<u8>) -> Self {
        let bytes = pending.len() as u64;
        // A hand-over happens between two lines, and what came with it may end inside one.
        let tail = after(*b"\0\0\r\n", &pending);
        Self { pending, sent: 0, state: State::Open, bytes, unflushed: false, tail }
    }

    /// Copies until the reader or the writer has to be waited for; ready when the reader's end has
    /// been passed on.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        overhear: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<(), Failure>> {
        let before = self.bytes;
        loop {
            ready!(self.poll_send_pending(context, writer)).map_err(Failure::Writer)?;
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Closing => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(context)).map_err(Failure::Writer)?;
                    self.state = State::Closed;
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            // What the writer holds back because its peer is slow must be gone before more is read;
            // otherwise this costs nothing.
            if self.unflushed {
                ready!(Pin::new(&mut *writer).poll_flush(context)).map_err(Failure::Writer)?;
                self.unflushed = false;
            }
            match self.poll_copy(context, reader, writer, overhear) {
                Poll::Ready(Ok(())) if self.bytes - before >= TURN => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                // The source ran dry, and all that came is on its way.
                Poll::Pending => return Poll::Pending,
            }
        }
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

    /// One read, and as much of it written as the writer takes; the rest is pending.
    fn poll_copy(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
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

/// The last bytes, where `bytes` come behind those of `tail`.
fn after(tail: Tail, bytes: &[u8]) -> Tail {
    let last = bytes.get(bytes.len().saturating_sub(tail.len())..).unwrap_or_default();
    last.iter().fold(tail, |[_, second, third, fourth], &byte| [second, third, fourth, byte])
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::protocol::imap::SessionWatch;

    /// All of it is there to be read, and there is room for all of it: nothing but the turn ends a poll.
    #[tokio::test]
    async fn a_busy_session_lets_others_have_their_turn_and_goes_on() {
        let data: Vec<u8> = (0..3 * TURN as usize + 12_345).map(|at| (at % 251) as u8).collect();
        let (client, mut program) = duplex(data.len());
        let (upstream, mut provider) = duplex(data.len());
        provider.write_all(&data).await.unwrap();
        provider.shutdown().await.unwrap();
        program.shutdown().await.unwrap();
        let mut turns = 0;
        let farewell = poll_fn(|_| {
            turns += 1;
            Poll::<Farewell>::Pending
        });
        let (from_client, from_upstream) = (Vec::new(), Vec::new());
        let watch = SessionWatch::default();
        let session = Session { client, upstream, from_client, from_upstream, watch, tell: |_| {} };
        let summary = Relay::new(session).run(pin!(farewell)).await;
        assert_eq!(summary, Summary { up: 0, down: data.len() as u64, end: End::Client });
        assert_eq!(turns, 3);
        let mut came = Vec::new();
        program.read_to_end(&mut came).await.unwrap();
        assert!(came == data);
    }

    /// The proxy's last word would stand in the middle of the provider's line.
    #[tokio::test]
    async fn where_what_is_handed_over_ends_inside_a_line_nothing_is_said_at_the_end() {
        for (handed_over, said) in
            [("", "* BYE Enough\r\n"), ("* 3 EXISTS\r\n", "* BYE Enough\r\n"), ("* 3 EXI", "")]
        {
            let (client, mut program) = duplex(1000);
            let (upstream, _provider) = duplex(1000);
            let (from_client, from_upstream) = (Vec::new(), handed_over.as_bytes().to_vec());
            let watch = SessionWatch::default();
            let session = Session { client, upstream, from_client, from_upstream, watch, tell: |_| {} };
            let farewell = std::future::ready(Farewell { reason: "Enough", patience: Duration::ZERO });
            let summary = Relay::new(session).run(pin!(farewell)).await;
            assert_eq!(summary.end, End::Farewell);
            let mut came = String::new();
            program.read_to_string(&mut came).await.unwrap();
            assert_eq!(came, format!("{handed_over}{said}"));
        }
    }

    /// What the mail program does not take stops the provider after one read.
    #[tokio::test]
    async fn a_program_that_does_not_read_stops_the_provider() {
        let (client, mut program) = duplex(1000);
        let (upstream, mut provider) = duplex(4 * SCRATCH);
        let (from_client, from_upstream) = (Vec::new(), Vec::new());
        let watch = SessionWatch::default();
        let session = Session { client, upstream, from_client, from_upstream, watch, tell: |_| {} };
        let mut relay = Relay::new(session);
        let mut never = pin!(pending());
        let data = vec![b'x'; 4 * SCRATCH];
        provider.write_all(&data).await.unwrap();
        tokio::select! {
            biased;
            _ = relay.run(never.as_mut()) => unreachable!("nobody has closed"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(relay.down.bytes, SCRATCH as u64);
        provider.shutdown().await.unwrap();
        let mut came = Vec::new();
        let end = async {
            program.read_to_end(&mut came).await.unwrap();
            program.shutdown().await.unwrap();
        };
        let (summary, ()) = tokio::join!(relay.run(never.as_mut()), end);
        assert_eq!(summary.end, End::Upstream);
        assert!(came == data);
    }
}
