//! Relayed sessions under TLS on both legs, several on one thread: their costs for each other.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use imap_oauth_proxy::protocol::imap::SessionWatch;
use imap_oauth_proxy::relay::{Relay, Session, Summary};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::records::{fill, pairs, pattern};

/// A session of a mail program with a provider, both in rustls, relayed by a task on this thread.
struct Relayed {
    program: TlsStream<TcpStream>,
    provider: TlsStream<TcpStream>,
    /// How often the relay was polled.
    turns: Arc<AtomicU64>,
    _relay: JoinHandle<Summary>,
}

impl Relayed {
    /// One in TLS 1.3 and one in 1.2.
    async fn in_both_versions() -> Vec<Self> {
        let (programs, providers) = (pairs().await, pairs().await);
        let legs = programs.into_iter().zip(providers);
        let sessions = legs.map(|((_, program, client), (_, provider, upstream))| {
            let (turns, relay) = relay(client, upstream);
            Self { program, provider, turns, _relay: relay }
        });
        sessions.collect()
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// A command and its answer.
    async fn noop(&mut self) {
        let mut line = [0; 8];
        self.program.write_all(b"a NOOP\r\n").await.unwrap();
        self.program.flush().await.unwrap();
        self.provider.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"a NOOP\r\n");
        self.provider.write_all(b"a OK .\r\n").await.unwrap();
        self.provider.flush().await.unwrap();
        self.program.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"a OK .\r\n");
    }
}

/// Relays in a task, and counts its polls.
fn relay<S>(client: S, upstream: S) -> (Arc<AtomicU64>, JoinHandle<Summary>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turns = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&turns);
    let task = tokio::spawn(async move {
        let session = Session {
            client,
            upstream,
            from_client: Vec::new(),
            from_upstream: Vec::new(),
            watch: SessionWatch::default(),
            tell: |_| {},
            traffic: Arc::default(),
        };
        let mut relay = Relay::new(session);
        let never = pin!(pending());
        let mut run = pin!(relay.run(never));
        poll_fn(|context| {
            counter.fetch_add(1, Ordering::Relaxed);
            run.as_mut().poll(context)
        })
        .await
    });
    (turns, task)
}

/// While a mail program does not read, its session holds a bounded part of the incoming data, and its relay
/// is not polled once, even while other sessions are busy. No byte is lost.
#[tokio::test]
async fn a_reader_that_stops_holds_the_writer_back_and_costs_no_turn() {
    let mut other = Relayed::in_both_versions().await.swap_remove(0);
    for (version, mut slow) in ["1.3", "1.2"].into_iter().zip(Relayed::in_both_versions().await) {
        // Until the buffers of four sockets are full.
        let (mut sent, mut in_vain) = (0, 0);
        while in_vain < 100 {
            let more = fill(&mut slow.provider, sent).await;
            (sent, in_vain) = if more == sent { (sent, in_vain + 1) } else { (more, 0) };
            assert!(sent < 64 << 20, "{version}: {sent} bytes went to a program that does not read");
            other.noop().await;
        }

        let before = slow.turns();
        for _ in 0..1_000 {
            other.noop().await;
        }
        assert_eq!(slow.turns(), before, "{version}: turns during a thousand others' commands");

        let mut came = vec![0; sent];
        let flush = async { slow.provider.flush().await.unwrap() };
        let ((), read) = tokio::join!(flush, slow.program.read_exact(&mut came));
        read.unwrap();
        assert!(came == pattern(sent), "{version}");
    }
}

/// Always has more data until its end, and always accepts more.
struct Bulk {
    reads: u64,
    moved: Arc<AtomicU64>,
}

impl AsyncRead for Bulk {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The end exists only so that an unfair relay fails the test instead of blocking it.
        let Some(left) = self.reads.checked_sub(1) else { return Poll::Ready(Ok(())) };
        self.reads = left;
        let room = buffer.initialize_unfilled().len();
        buffer.advance(room);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bulk {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The test's runtime has one thread, and the bulk transfer never waits.
#[tokio::test]
async fn a_session_that_moves_bulk_without_pause_lets_others_on_its_thread_have_their_answers() {
    let moved = Arc::new(AtomicU64::new(0));
    let side = || Bulk { reads: 1 << 20, moved: Arc::clone(&moved) };
    let mut others = Relayed::in_both_versions().await;
    let (_, bulk) = relay(side(), side());
    for _ in 0..20 {
        for other in &mut others {
            let before = moved.load(Ordering::Relaxed);
            other.noop().await;
            assert!(!bulk.is_finished(), "the answer came behind the bulk");
            assert!(moved.load(Ordering::Relaxed) > before, "and the bulk goes on meanwhile");
        }
    }
}
