//! The end of a connection without a session.
//!
//! If a socket is closed while bytes of the peer are unread, the kernel resets the connection, and the reset may
//! arrive before our last line. So the proxy closes its own direction first (close_notify under TLS), and reads
//! and drops the peer's bytes for a moment. Everything here is bounded, because the peer may be an attacker.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::{Answered, Connection, denial};
use crate::metrics::Abort;
use crate::protocol::dialogue::ClientDialogue as _;
use crate::protocol::{Denial, DialogueEnd, Protocol};
use crate::tls::Socket;
use crate::wire::Wire;

/// How long a client that does not read may delay our last line.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long the peer may take to close the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away; more than a mail program sends unasked.
const LEFTOVERS: usize = 64 * 1024;

/// A reason from outside the connection to end it before its login.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Stopping,
    /// A new connection has taken this one's place.
    Displaced,
}

impl Ending {
    /// The reason in the metrics.
    pub(super) fn reason(self) -> Abort {
        match self {
            Self::Stopping => Abort::Stopping,
            Self::Displaced => Abort::Displaced,
        }
    }
}

/// Closes a connection whose client came to the load balancer without TLS, with the reason as its greeting.
pub fn refuse_cleartext<P: Protocol>(tcp: &TcpStream) {
    turn_away::<P>(tcp, &denial::in_clear());
}

pub(super) async fn ending(stopping: impl Future<Output = ()>, lost: impl Future<Output = ()>) -> Ending {
    tokio::select! {
        biased;
        () = stopping => Ending::Stopping,
        () = lost => Ending::Displaced,
    }
}

/// Ends the dialogue from our side.
pub(super) async fn last_word<P: Protocol>(dialogue: &mut P, client: &mut Wire<Socket>, denial: &Denial) {
    let _ = tokio::time::timeout(LAST_WORD, dialogue.bye(client, denial)).await;
}

/// Closes `client` after its last line was delivered.
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

/// Tells a connection without TLS the reason in cleartext, without waiting.
pub(super) fn turn_away<P: Protocol>(tcp: &TcpStream, denial: &Denial) {
    let _ = tcp.try_write(&P::turn_away(denial));
    let mut unread = [0; 4096];
    let _ = tcp.try_read(&mut unread);
}

impl<P: Protocol> Connection<P> {
    /// Ends a connection before its login for a reason from outside, and tells the client why. A connection that lost its
    /// place is closed without waiting.
    pub(super) async fn dismiss(
        &self,
        ending: Ending,
        dialogue: &mut P,
        client: &mut Wire<Socket>,
    ) -> Answered {
        self.aborted(ending.reason());
        match ending {
            Ending::Stopping => {
                last_word(dialogue, client, &denial::stopping()).await;
                Answered::Over
            }
            Ending::Displaced => {
                debug!("closed before the login: all places are taken, and other connections wait");
                let _ = tokio::time::timeout(Duration::ZERO, dialogue.bye(client, &denial::full())).await;
                Answered::Cut
            }
        }
    }

    /// Counts a connection that ends without a login.
    pub(super) fn aborted(&self, reason: Abort) {
        self.proxy.metrics.aborted(P::DOOR, reason);
    }

    /// Logs a device that began to send in cleartext and did not begin TLS: no person reads the answer that the device
    /// got.
    pub(super) fn name_device_in_clear(&self, dialogue: &mut P) {
        if let Some(device) = self.device.as_ref().filter(|_| dialogue.dialogue().device_spoke_in_clear()) {
            warn!(
                "the device at {} sent MAIL without STARTTLS, which this listener asks for; switch TLS on in the \
                 device, or name the device at a listener with security = \"none\"",
                device.from
            );
        }
    }

    /// The dialogue came to an end without a login.
    pub(super) fn over(&self, end: &DialogueEnd) -> Answered {
        match end {
            DialogueEnd::ProxyHeader => self.name_proxy_header(),
            end if end.is_ordinary() => debug!("{end}"),
            end => warn!("{end}"),
        }
        self.aborted(match end {
            DialogueEnd::Logout => Abort::Logout,
            DialogueEnd::Vanished | DialogueEnd::Io(_) | DialogueEnd::Closed => Abort::Vanished,
            DialogueEnd::FailedLogins(_) => Abort::FailedLogins,
            DialogueEnd::Limit(_) => Abort::Limit,
            DialogueEnd::TlsHello | DialogueEnd::Http(_) | DialogueEnd::ProxyHeader => Abort::WrongProtocol,
        });
        Answered::Over
    }

    /// Logs that the connection began with a PROXY header that the configuration does not ask for (security row
    /// 44). Without this line an administrator would see only clients that fail.
    pub(super) fn name_proxy_header(&self) {
        let peer = self.peer.ip().to_canonical();
        match self.via {
            None => warn!(
                "this is a PROXY protocol header from {peer}; set proxy_protocol to that address, or switch it off in \
                 the balancer"
            ),
            Some(via) => warn!(
                "this is a second PROXY protocol header, behind that of {via}; let one balancer alone send it"
            ),
        }
    }
}
