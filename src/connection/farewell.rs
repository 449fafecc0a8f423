//! The end of a connection that never became a session.
//!
//! A socket that is closed while the peer's bytes lie unread in it is reset by the kernel, and a reset may
//! overtake our last line. So the end is orderly: our direction is closed (close_notify under TLS), and
//! what the peer still sends is read for a moment and thrown away. Everything here is bounded, because
//! the peer may be an attacker.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::protocol::{Denial, Protocol};
use crate::tls::Stream;
use crate::wire::Wire;

/// How long the peer may take to notice the end.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away; more than a mail program has under way.
const LEFTOVERS: usize = 64 * 1024;

/// Closes `client` so that what was said last arrives.
pub(super) async fn close(client: Wire<Stream>) {
    let (mut stream, _) = client.into_parts();
    let goodbye = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut leftovers = [0; 512];
        let mut left = LEFTOVERS;
        while let Ok(read @ 1..) = stream.read(&mut leftovers).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, Box::pin(goodbye)).await;
}

/// Says why in cleartext, to a connection that is not in TLS, without ever waiting for it.
pub(super) fn turn_away<P: Protocol>(tcp: &TcpStream, denial: &Denial) {
    let _ = tcp.try_write(&P::turn_away(denial));
    let mut unread = [0; 4096];
    let _ = tcp.try_read(&mut unread);
}
