//! How a dialogue with a client ends without a login.

use std::io;

/// How a dialogue with a client ended without a login. The messages are for the log; the client has been told the
/// reason where its protocol can say it.
#[derive(Debug, thiserror::Error)]
pub enum DialogueEnd {
    /// The client logged out.
    #[error("the mail program logged out before logging in")]
    Logout,
    /// The client or its network closed the connection.
    #[error("the mail program closed the connection before logging in")]
    Vanished,
    /// The connection failed: the proxy's side or the network.
    #[error("the connection to the mail program failed: {0}")]
    Io(io::Error),
    /// The client sent too many wrong passwords; the last one was answered.
    #[error("the mail program sent {0} wrong passwords on one connection; check the password it has stored")]
    FailedLogins(u32),
    /// The client used more than its limits allow.
    #[error("the connection was closed because {0}")]
    Limit(&'static str),
    /// The mail program's security setting does not match the listener.
    #[error(
        "a TLS handshake came to a port without implicit TLS; set the mail program's connection security to match the listener (STARTTLS or none), or use the TLS port"
    )]
    TlsHello,
    /// A browser or a probe; holds the kind of port: "an IMAP port".
    #[error("an HTTP request came to {0}; this port is for mail programs, not for browsers")]
    Http(&'static str),
    /// A load balancer's setting and the listener's do not match.
    #[error("the connection begins with a PROXY protocol header")]
    ProxyHeader,
    /// The caller continued after the end.
    #[error("the dialogue was over already")]
    Closed,
}

/// Old mail programs hang up in many ways, most of them without a logout.
impl From<io::Error> for DialogueEnd {
    fn from(error: io::Error) -> Self {
        if is_hang_up(&error) { Self::Vanished } else { Self::Io(error) }
    }
}

/// Whether the other side has closed the connection; a TLS stream that ends without close_notify counts.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl DialogueEnd {
    /// Whether the client left by itself, which deserves no warning.
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Logout | Self::Vanished)
    }
}
