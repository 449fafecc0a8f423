//! The end of a connection that never became a session.
//!
//! A socket that is closed while the peer's bytes lie unread in it is reset by the kernel, and a reset may
//! overtake our last line. So the end is orderly: our direction is closed (close_notify under TLS), and
//! what the peer still sends is read for a moment and thrown away. Everything here is bounded, because
//! the peer may be an attacker.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::debug;

use super::{Answered, denial};
use crate::metrics::Abort;
use crate::protocol::{Denial, Protocol};
use crate::tls::Socket;
use crate::wire::Wire;

/// How long a last word may take on its way to a client that does not read.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long the peer may take to notice the end.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away; more than a mail program has under way.
const LEFTOVERS: usize = 64 * 1024;

/// What ends a connection from outside before it has logged in.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Stopping,
    /// A new connection has its place.
    Displaced,
}

impl Ending {
    /// What it counts as.
    pub(super) fn reason(self) -> Abort {
        match self {
            Self::Stopping => Abort::Stopping,
            Self::Displaced => Abort::Displaced,
        }
    }
}

pub(super) async fn ending(stopping: impl Future<Output = ()>, lost: impl Future<Output = ()>) -> Ending {
    tokio::select! {
        biased;
        () = stopping => Ending::Stopping,
        () = lost => Ending::Displaced,
    }
}

/// Says why the connection ends. One that lost its place is not waited for.
pub(super) async fn dismiss<P: Protocol>(
    ending: Ending,
    dialogue: &mut P,
    client: &mut Wire<Socket>,
) -> Answered {
    match ending {
        Ending::Stopping => {
            last_word(dialogue, client, &denial::stopping()).await;
            Answered::Over
        }
        Ending::Displaced => {
            debug!("closed before the login: all places are taken, and others wait");
            let _ = tokio::time::timeout(Duration::ZERO, dialogue.bye(client, &denial::full())).await;
            Answered::Cut
        }
    }
}

/// Ends the dialogue from our side.
pub(super) async fn last_word<P: Protocol>(dialogue: &mut P, client: &mut Wire<Socket>, denial: &Denial) {
    let _ = tokio::time::timeout(LAST_WORD, dialogue.bye(client, denial)).await;
}

/// Closes `client` so that what was said last arrives.
pub(super) async fn close(client: Wire<Socket>) {
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
