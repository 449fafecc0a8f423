//! A mail program or a provider at the other end of an in-memory pipe.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's helper aborts the test")]

use imap_oauth_proxy::wire::Wire;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex,
};

/// Writes immediately and waits for reads.
pub struct Peer(BufReader<DuplexStream>);

impl Peer {
    pub fn new() -> (Self, Wire<DuplexStream>) {
        Self::with_room(1 << 20)
    }

    /// A peer, and a wire to it whose pipe holds this many bytes each way.
    pub fn with_room(bytes: usize) -> (Self, Wire<DuplexStream>) {
        let (theirs, ours) = duplex(bytes);
        (Self(BufReader::new(theirs)), Wire::new(ours))
    }

    pub async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert_eq!(line, expected);
    }

    pub async fn hears_rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

/// The result of `work` if it completes without waiting; otherwise `work` is dropped.
pub async fn once<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = std::future::ready(()) => None,
    }
}
