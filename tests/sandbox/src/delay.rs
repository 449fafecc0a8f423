//! Distance: a relay between the proxy and the provider that delays the data.
//!
//! Each direction is delayed by the same time, without a limit on the data in transit. The kernel completes
//! TCP handshakes with the relay at once, so the client's first octets wait for one more round trip: over a
//! real line they could not be sent before the handshake was complete.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// A running relay; dropping it closes its connections.
pub struct DelayLine {
    address: SocketAddr,
    task: AbortHandle,
}

impl DelayLine {
    /// A relay to `target` that delays each direction by `one_way`.
    pub async fn start(target: SocketAddr, one_way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the relay");
        let address = listener.local_addr().expect("a bound address");
        let task = tokio::spawn(accept_all(listener, target, one_way)).abort_handle();
        Self { address, task }
    }

    /// The relay's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_all(listener: TcpListener, target: SocketAddr, one_way: Duration) {
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { tokio::task::yield_now().await; continue };
                lines.spawn(carry(client, target, one_way));
            }
            Some(_) = lines.join_next() => {}
        }
    }
}

async fn carry(client: TcpStream, target: SocketAddr, one_way: Duration) {
    let connected = Instant::now() + 2 * one_way;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = one_direction(from_client, to_server, connected, one_way);
    // The server could send its first octets when the handshake reached it, half a round trip before the
    // client's end of it.
    let back = one_direction(from_server, to_client, connected - one_way, one_way);
    tokio::join!(there, back);
}

/// Reads immediately, and writes each piece when its delay is over.
async fn one_direction(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    earliest: Instant,
    one_way: Duration,
) {
    // The queue holds the data in transit. Its bound (64 MiB) exceeds what any test sends at once.
    let (sender, mut queue) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(64 << 10);
            let came = from.read_buf(&mut piece).await;
            let due = Instant::now().max(earliest) + one_way;
            let end = !matches!(came, Ok(octets) if octets > 0);
            if sender.send((due, piece)).await.is_err() || end {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = queue.recv().await {
            tokio::time::sleep_until(due).await;
            let written = if piece.is_empty() { to.shutdown().await } else { to.write_all(&piece).await };
            if written.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
