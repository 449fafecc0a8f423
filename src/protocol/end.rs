//! How a dialogue with a client ends without a login.

use std::io;

/// How a dialogue with a client ended without a login. The messages are for the log; the client
/// has been told what it can understand.
#[derive(Debug, thiserror::Error)]
pub enum DialogueEnd {
    /// As it should.
    #[error("the mail program logged out before logging in")]
    Logout,
    /// The client's, or its network's.
    #[error("the mail program closed the connection before logging in")]
    Vanished,
    /// Ours or the network's.
    #[error("the connection to the mail program failed: {0}")]
    Io(io::Error),
    /// The client's: the last of them was answered.
    #[error("the mail program sent {0} wrong passwords on one connection; check the password it has stored")]
    FailedLogins(u32),
    /// The client's: it costs too much, whatever it is.
    #[error("the connection was closed because {0}")]
    Limit(&'static str),
    /// The user's settings.
    #[error(
        "a TLS handshake came to a port without implicit TLS; set the mail program's connection security to match the listener (STARTTLS or none), or use the TLS port"
    )]
    TlsHello,
    /// Not a mail program; holds what it came to: "an IMAP port".
    #[error("an HTTP request came to {0}; this port is for mail programs, not for browsers")]
    Http(&'static str),
    /// A load balancer's setting, or ours.
    #[error("the connection begins with a PROXY protocol header")]
    ProxyHeader,
    /// The caller's: it went on after the end.
    #[error("the dialogue was over already")]
    Closed,
}

/// Old mail programs hang up in every way there is, most without a word.
impl From<io::Error> for DialogueEnd {
    fn from(error: io::Error) -> Self {
        if is_hang_up(&error) { Self::Vanished } else { Self::Io(error) }
    }
}

/// Whether the other side is simply gone; a TLS stream that ends without close_notify counts.
pub(super) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl DialogueEnd {
    /// Whether nothing is worth a warning: the client went away by itself.
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Logout | Self::Vanished)
    }
}
