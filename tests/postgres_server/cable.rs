//! A cable to the server, which a test can cut and lengthen.
//!
//! What is cut says nothing: neither end of an open connection gets an end or a reset, and after the repair the old
//! connections stay dead, as behind a firewall that was restarted and knows them no more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// A TCP address that leads to the server's socket.
pub(crate) struct Cable {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Connections from before the last cut have a lower number.
    cuts: u64,
    is_cut: bool,
    /// Of each reply of the server.
    delay: Duration,
    is_over: bool,
}

impl Cable {
    /// Runs in a thread of its own, so that a test which blocks does not look like a cut.
    pub(super) fn to(socket: PathBuf) -> Self {
        let (line, watched) = watch::channel(Line::default());
        let (bound, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let mut over = watched.clone();
                tokio::select! {
                    () = accept(listener, socket, watched) => {}
                    _ = over.wait_for(|line| line.is_over) => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), line }
    }

    /// The URL of a database at the other end.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://proxy@{}/{database}", self.address)
    }

    /// Nothing goes through any more: through the open connections never again, through new ones until [`Self::heal`].
    pub(crate) fn cut(&self) {
        self.line.send_modify(|line| (line.cuts, line.is_cut) = (line.cuts + 1, true));
    }

    /// New connections go through.
    pub(crate) fn heal(&self) {
        self.line.send_modify(|line| line.is_cut = false);
    }

    /// Each reply of the server takes so much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.line.send_modify(|line| line.is_over = true);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, line: watch::Receiver<Line>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tokio::spawn(carry(client, socket.clone(), line.clone()));
    }
}

async fn carry(client: TcpStream, socket: PathBuf, mut line: watch::Receiver<Line>) {
    let Ok(number) = line.wait_for(|line| !line.is_cut).await.map(|line| line.cuts) else { return };
    // A server that is down ends the connection.
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let ((up_from, up_to), (down_from, down_to)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(up_from, down_to, line.clone(), number, false) => {}
        () = pump(down_from, up_to, line, number, true) => {}
    }
}

/// Carries one direction to its end. After a cut it holds both ends and carries nothing.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    line: watch::Receiver<Line>,
    number: u64,
    is_delayed: bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let Line { delay, .. } = *line.borrow();
        if is_delayed && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if line.borrow().cuts != number {
            return std::future::pending().await;
        }
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
