//! The relay: copies bytes both ways, unchanged, until both directions are closed. The protocol's watch reads
//! short pieces from the provider, and a device's commands, without a change.
//!
//! Invariants: bytes arrive exactly as they were sent; if a side closes its direction, only that direction ends; a
//! slow reader stops the fast writer on the other side (nothing is buffered beyond one read); bytes that were read
//! are written before the relay waits; an idle session holds no buffer, because reads go through a scratch buffer
//! of the worker thread, and only bytes that the writer did not accept are kept.

mod direction;
mod tap;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use self::direction::{Direction, Failure};
pub use self::tap::{Ear, Tap};
use crate::protocol::{LastWord, Overheard, Watch};

/// If one direction is closed and nothing moves in the other, the session ends after this time. A mail program may
/// take long with the answers to its last commands.
const CLIENT_CLOSED_IDLE: Duration = Duration::from_secs(300);
/// If the provider has closed and the mail program stays silent, the session ends after this time, because it takes up
/// a place.
const UPSTREAM_CLOSED_IDLE: Duration = Duration::from_secs(60);
/// How often a session that is to end is checked.
const LOOK: Duration = Duration::from_millis(300);
/// How long the last line may take to a client that may not read.
const LAST_WORD: Duration = Duration::from_millis(300);

/// Bytes that a session has moved, readable while it runs.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes from the client to the provider.
    pub up: AtomicU64,
    /// Bytes from the provider to the client.
    pub down: AtomicU64,
    /// Copies the bytes to the traces of the account.
    pub tap: Tap,
}

/// Two streams to relay, with the bytes that were read from each before.
pub struct Session<C, U, W, F> {
    /// The mail program's side.
    pub client: C,
    /// The provider's side.
    pub upstream: U,
    /// Read from the client already.
    pub from_client: Vec<u8>,
    /// Read from the provider already.
    pub from_upstream: Vec<u8>,
    /// Reads the provider's pieces up to its limit, and the client's if it is a device's.
    pub watch: W,
    /// Called with the news that `watch` finds.
    pub tell: F,
    /// Counts the bytes.
    pub traffic: Arc<Traffic>,
}

/// How the proxy ends a session.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// The reason for the user: one sentence, sent if the protocol allows it.
    pub reason: &'static str,
    /// How long to wait for a moment between two answers.
    pub patience: Duration,
}

/// The result of a session.
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
    /// The proxy ended it.
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

/// A running session.
pub struct Relay<C, U, W, F> {
    client: C,
    upstream: U,
    watch: W,
    tell: F,
    traffic: Arc<Traffic>,
    up: Direction,
    down: Direction,
    /// The client sent the last bytes.
    is_asked: bool,
    /// The side that closed first.
    first_end: Option<End>,
    half_closed_idle: Option<Pin<Box<Sleep>>>,
}

impl<C, U, W, F> Relay<C, U, W, F>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    W: Watch,
    F: FnMut(Overheard),
{
    /// Prepares the relay of `session`; no byte moves before [`Relay::run`].
    pub fn new(session: Session<C, U, W, F>) -> Self {
        let Session { from_client, from_upstream, traffic, mut watch, .. } = session;
        let (up, down) = (Direction::new(from_client), Direction::new(from_upstream));
        traffic.up.fetch_add(up.bytes, Ordering::Relaxed);
        traffic.down.fetch_add(down.bytes, Ordering::Relaxed);
        traffic.tap.hear(true, &up.pending);
        watch.overhear_client(&up.pending);
        traffic.tap.hear(false, &down.pending);
        let is_asked = !up.pending.is_empty();
        Self {
            client: session.client,
            upstream: session.upstream,
            watch,
            tell: session.tell,
            traffic,
            up,
            down,
            is_asked,
            first_end: None,
            half_closed_idle: None,
        }
    }

    /// Relays until both directions are closed, one side fails, or `farewell` completes and the session is ended.
    ///
    /// Borrows both arguments, because a future holds a moved argument twice, and thousands of these futures wait.
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
        let before = self.moved();
        let (said, answered) = (self.up.bytes, self.down.bytes);
        let traffic = &*self.traffic;
        let overhear = &mut |piece: &[u8]| {
            traffic.tap.hear(true, piece);
            self.watch.overhear_client(piece);
        };
        let up = self.up.poll(context, &mut self.client, &mut self.upstream, &traffic.up, overhear);
        match up {
            // The provider accepts no more bytes, but its reply may say why: a `552` must still reach the client.
            Poll::Ready(Err(Failure::Writer(error))) => {
                self.first_end.get_or_insert(End::UpstreamFailed(error.kind()));
                self.up.discard();
                context.waker().wake_by_ref();
            }
            Poll::Ready(Err(Failure::Reader(error))) => return Poll::Ready(End::ClientFailed(error.kind())),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.up.has_ended() {
            self.first_end.get_or_insert(End::Client);
        }
        let overhear = &mut |piece: &[u8]| {
            traffic.tap.hear(false, piece);
            if piece.len() <= W::LISTENS_TO {
                self.watch.overhear(piece, &mut self.tell);
            }
        };
        let down = self.down.poll(context, &mut self.upstream, &mut self.client, &traffic.down, overhear);
        match down {
            // Likewise if a reset follows the provider's last lines.
            Poll::Ready(Err(Failure::Reader(error))) => {
                self.first_end.get_or_insert(End::UpstreamFailed(error.kind()));
                self.up.discard();
                self.down.end_here();
                context.waker().wake_by_ref();
            }
            Poll::Ready(Err(Failure::Writer(error))) => return Poll::Ready(End::ClientFailed(error.kind())),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.is_asked = self.up.bytes != said || (self.is_asked && self.down.bytes == answered);
        if self.down.has_ended() {
            self.first_end.get_or_insert(End::Upstream);
        }
        if self.up.is_closed() && self.down.is_closed() {
            return Poll::Ready(self.first_end.take().unwrap_or(End::Client));
        }
        if self.first_end.is_some() {
            ready!(self.poll_half_closed(context, self.moved() != before));
            return Poll::Ready(End::HalfClosedIdle);
        }
        Poll::Pending
    }

    fn poll_half_closed(&mut self, context: &mut Context<'_>, moved: bool) -> Poll<()> {
        let patience = match self.first_end {
            Some(End::Upstream | End::UpstreamFailed(_)) => UPSTREAM_CLOSED_IDLE,
            _ => CLIENT_CLOSED_IDLE,
        };
        let timer = self.half_closed_idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if moved {
            timer.as_mut().reset(Instant::now() + patience);
        }
        timer.as_mut().poll(context)
    }

    /// Relays until the protocol lets the session end between two answers, with a last line if the protocol has
    /// one. After the farewell's patience the session ends in any case.
    async fn say(&mut self, farewell: &Farewell) -> End {
        let deadline = Instant::now() + farewell.patience;
        // The time of the last byte is not known, so the silence is measured from now.
        let (mut moved, mut still_since) = (self.moved(), Instant::now());
        loop {
            let look = (Instant::now() + LOOK.min(W::QUIET)).min(deadline);
            if let Ok(end) = tokio::time::timeout_at(look, poll_fn(|context| self.poll(context))).await {
                return end;
            }
            let has_moved = std::mem::replace(&mut moved, self.moved()) != self.moved();
            if has_moved {
                still_since = Instant::now();
            }
            let is_still = still_since.elapsed() >= W::QUIET || (look == deadline && !has_moved);
            let line = match self.last_word(is_still, farewell.reason) {
                LastWord::NotYet if Instant::now() < deadline => continue,
                LastWord::NotYet | LastWord::Silence => String::new(),
                LastWord::Say(line) => line,
            };
            let _ = tokio::time::timeout(LAST_WORD, self.close(&line)).await;
            return End::Farewell;
        }
    }

    /// The protocol's last line, if nothing has moved for long enough.
    fn last_word(&self, is_still: bool, reason: &str) -> LastWord {
        let pending = [&self.up.pending, &self.down.pending];
        match pending.iter().all(|bytes| bytes.is_empty()) {
            // The provider has closed: nothing more will come.
            true if self.down.is_closed() => LastWord::Silence,
            true if W::AWAITS_ANSWERS && self.is_asked => LastWord::NotYet,
            true if is_still => self.watch.last_word(self.down.tail, reason),
            _ => LastWord::NotYet,
        }
    }

    fn moved(&self) -> u64 {
        self.up.bytes + self.down.bytes
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::direction::{SCRATCH, TURN};
    use super::*;
    use crate::protocol::imap::SessionWatch;

    fn session<C, U>(
        client: C,
        upstream: U,
        from_upstream: &str,
    ) -> Session<C, U, SessionWatch, impl FnMut(Overheard)> {
        Session {
            client,
            upstream,
            from_client: Vec::new(),
            from_upstream: from_upstream.into(),
            watch: SessionWatch::default(),
            tell: |_| {},
            traffic: Arc::default(),
        }
    }

    /// All bytes are ready to be read, and the writer has room: only the turn's limit ends a poll.
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
        let session = session(client, upstream, "");
        let summary = Relay::new(session).run(pin!(farewell)).await;
        assert_eq!(summary, Summary { up: 0, down: data.len() as u64, end: End::Client });
        assert_eq!(turns, 3);
        let mut came = Vec::new();
        program.read_to_end(&mut came).await.unwrap();
        assert!(came == data);
    }

    /// The proxy's last line would stand within the provider's line.
    #[tokio::test]
    async fn where_what_is_handed_over_ends_inside_a_line_nothing_is_said_at_the_end() {
        for (handed_over, said) in
            [("", "* BYE Enough\r\n"), ("* 3 EXISTS\r\n", "* BYE Enough\r\n"), ("* 3 EXI", "")]
        {
            let (client, mut program) = duplex(1000);
            let (upstream, _provider) = duplex(1000);
            let session = session(client, upstream, handed_over);
            let farewell = std::future::ready(Farewell { reason: "Enough", patience: Duration::ZERO });
            let summary = Relay::new(session).run(pin!(farewell)).await;
            assert_eq!(summary.end, End::Farewell);
            let mut came = String::new();
            program.read_to_string(&mut came).await.unwrap();
            assert_eq!(came, format!("{handed_over}{said}"));
        }
    }

    /// A provider refuses a message halfway, hangs up, and resets the connection on which the sender continues.
    #[tokio::test]
    async fn what_a_provider_says_before_it_hangs_up_reaches_a_client_that_goes_on_sending() {
        const REPLY: &[u8] = b"552 5.3.4 The message is too big\r\n";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut provider, _) = listener.accept().await.unwrap();
        let (client, program) = duplex(1000);
        let session = session(client, upstream, "");
        let mut relay = Relay::new(session);
        let never = pin!(pending());
        let refusing = async {
            let mut begun = [0; 4096];
            provider.read_exact(&mut begun).await.unwrap();
            provider.write_all(REPLY).await.unwrap();
            // The unread bytes make this a reset.
            drop(provider);
        };
        let (mut heard, mut sending) = tokio::io::split(program);
        let talking = async {
            let mut came = Vec::new();
            let send = async {
                let message = vec![b'x'; 1 << 20];
                let _ = sending.write_all(&message).await;
            };
            let hear = heard.read_to_end(&mut came);
            let ((), _) = tokio::join!(send, hear);
            let _ = sending.shutdown().await;
            came
        };
        let (summary, (), came) = tokio::join!(relay.run(never), refusing, talking);
        assert_eq!(came, REPLY);
        assert!(matches!(summary.end, End::UpstreamFailed(_)), "{summary:?}");
    }

    /// If the mail program does not read, the provider is stopped after one read.
    #[tokio::test]
    async fn a_program_that_does_not_read_stops_the_provider() {
        let (client, mut program) = duplex(1000);
        let (upstream, mut provider) = duplex(4 * SCRATCH);
        let session = session(client, upstream, "");
        let mut relay = Relay::new(session);
        let mut never = pin!(pending());
        let data = vec![b'x'; 4 * SCRATCH];
        provider.write_all(&data).await.unwrap();
        tokio::select! {
            biased;
            _ = relay.run(never.as_mut()) => unreachable!("neither side has closed"),
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
