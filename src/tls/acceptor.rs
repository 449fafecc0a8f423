//! The server side of TLS: one configuration for the listeners of a protocol, one handshake for each connection.
//!
//! The choices, and their reasons:
//! * resumption downstream by stateless tickets (keys rotate every six hours, nothing is kept per
//!   session) and a cache of 256 session ids for TLS 1.2 clients without tickets; a collector that
//!   logs in each minute then costs no signature;
//! * new certificates come with new ticket keys and a new cache: a resumed session relies on the certificate of
//!   its first handshake, so it must end with that certificate (security row 37);
//! * one TLS 1.3 ticket for each connection instead of rustls's two: each costs an encryption and 200 bytes, and a
//!   mail program needs only one for its next connection;
//! * no early data: a replayed LOGIN would log in a second time;
//! * ALPN of the listener's own protocol is accepted, no ALPN is accepted, any other is refused (RFC 7301
//!   §3.2), so that a browser or another mail protocol cannot be made to speak to us (ALPACA);
//! * our order of cipher suites, which puts the cheapest for AES hardware first.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ServerSessionMemoryCache;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::identity::{Identity, Shown};
use super::{AcceptError, Socket, crypto_provider, handshake};
use crate::text::proxy_header;

/// The size of the cache for old clients that know only session ids; one machine has fewer than 256 of them.
const REMEMBERED_SESSIONS: usize = 256;

/// Accepts TLS connections of mail programs. Cheap to clone; clones share sessions.
#[derive(Clone)]
pub struct Acceptor {
    identity: Arc<Identity>,
    protocol: &'static str,
    current: Arc<ArcSwap<Current>>,
}

/// The state of handshakes while the certificates stay the same.
struct Current {
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

impl Current {
    fn new(shown: Arc<Shown>, protocol: &str) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.ignore_client_order = true;
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        // Our own records use the keys; see `handshake`.
        config.enable_secret_extraction = true;
        Ok(Self { shown, config: Arc::new(config) })
    }
}

impl Acceptor {
    /// An acceptor for listeners that speak `protocol` (its name in ALPN). Each handshake shows the current
    /// certificates of `identity`.
    pub fn new(identity: Arc<Identity>, protocol: &'static str) -> Result<Self, rustls::Error> {
        let current = Current::new(identity.shown(), protocol)?;
        Ok(Self { identity, protocol, current: Arc::new(ArcSwap::from_pointee(current)) })
    }

    /// The configuration for the current certificates.
    fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let shown = self.identity.shown();
        let current = self.current.load();
        if Arc::ptr_eq(&current.shown, &shown) {
            return Ok(current.config.clone());
        }
        // Two handshakes may make a configuration at once; the sessions of one of them then cannot be resumed.
        let fresh = Current::new(shown, self.protocol)?;
        let config = fresh.config.clone();
        self.current.store(Arc::new(fresh));
        Ok(config)
    }

    /// The handshake on a fresh connection, or after the answer to STARTTLS.
    ///
    /// Runs at most until `deadline`; a client that does not speak TLS is recognised by its first bytes.
    pub async fn accept(&self, mut tcp: TcpStream, deadline: Instant) -> Result<Socket, AcceptError> {
        tcp.set_nodelay(true)?;
        match timeout_at(deadline, FirstBytes::peek(&tcp)).await {
            Err(_) => return Err(AcceptError::Silent),
            Ok(first) => first?.expect_tls()?,
        }
        let config = self.config().map_err(std::io::Error::other)?;
        let handshake = Box::pin(handshake::server(config, &mut tcp));
        match timeout_at(deadline, handshake).await {
            Err(_) => Err(AcceptError::Slow),
            Ok(session) => Ok(Socket::tls(tcp, session?)),
        }
    }
}

/// The protocol that a peer seems to speak, judged by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// The peer closed the connection without a byte.
    None,
    /// A TLS handshake record.
    Tls,
    /// The hello of SSL 2, which clients of TLS 1.0 sent for compatibility.
    Ssl2,
    /// An HTTP request line.
    Http,
    /// The PROXY protocol header of a load balancer.
    ProxyHeader,
    /// Anything else: a mail protocol in cleartext, most likely.
    Text,
}

/// Enough bytes for the start of a PROXY protocol header, and for the longest HTTP method with its blank.
const PEEKED: usize = 12;
/// The smallest number of bytes that shows a PROXY protocol header: fewer may be empty lines that a person types.
const PROXY_HEADER: usize = 5;

impl FirstBytes {
    /// Judges the first bytes of a connection; twelve of them suffice.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::None,
            // ContentType handshake (RFC 8446 §5.1); no text begins with it.
            [0x16, ..] => Self::Tls,
            // Two bytes length with the top bit set, then message type client_hello.
            [0x80..=0xff, _, 0x01, ..] => Self::Ssl2,
            _ if is_http(bytes) => Self::Http,
            _ if bytes.len() >= PROXY_HEADER && proxy_header(bytes).is_some() => Self::ProxyHeader,
            _ => Self::Text,
        }
    }

    /// Waits for the first bytes of `tcp` without taking them. A reset before them counts as an end without a byte:
    /// port scanners and health checks end connections in this way.
    pub async fn peek(tcp: &TcpStream) -> std::io::Result<Self> {
        let mut bytes = [0; PEEKED];
        match tcp.peek(&mut bytes).await {
            Ok(length) => Ok(Self::of(bytes.get(..length).unwrap_or_default())),
            Err(error) if is_reset(&error) => Ok(Self::None),
            Err(error) => Err(error),
        }
    }

    fn expect_tls(self) -> Result<(), AcceptError> {
        match self {
            Self::Tls => Ok(()),
            Self::None => Err(AcceptError::Probe),
            Self::Ssl2 => Err(AcceptError::OldTls),
            Self::Http => Err(AcceptError::HttpClient),
            Self::ProxyHeader => Err(AcceptError::ProxyHeader),
            Self::Text => Err(AcceptError::PlaintextClient),
        }
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

/// A method, a blank and a target. `GET NOOP` is IMAP with an unlucky tag, `GET /` is not.
fn is_http(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"DELETE ", b"PRI "];
    METHODS.iter().any(|method| {
        bytes
            .strip_prefix(*method)
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'*' | b'h')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_a_client_speaks() {
        for (bytes, speaks) in [
            (&b""[..], FirstBytes::None),
            (b"\x16", FirstBytes::Tls),
            (b"\x16\x03\x01\x02\x00\x01", FirstBytes::Tls),
            (b"\x80\x2e\x01\x03\x01", FirstBytes::Ssl2),
            (b"GET / HTTP/1.1", FirstBytes::Http),
            (b"OPTIONS *", FirstBytes::Http),
            (b"OPTIONS ", FirstBytes::Http),
            (b"PRI * HTT", FirstBytes::Http),
            (b"GET NOOP\r\n", FirstBytes::Text),
            (b"a LOGIN x", FirstBytes::Text),
            (b"PROXY TCP4 1", FirstBytes::ProxyHeader),
            (b"\r\n\r\n\0\r\nQUIT\n", FirstBytes::ProxyHeader),
            (b"\r\n\r\n\0", FirstBytes::ProxyHeader),
            (b"\r\n\r\n", FirstBytes::Text),
            (b"\r\n", FirstBytes::Text),
            (b"\xff\xfe\x02", FirstBytes::Text),
        ] {
            assert_eq!(FirstBytes::of(bytes), speaks, "{}", bytes.escape_ascii());
        }
    }
}
