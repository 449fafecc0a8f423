//! The PROXY protocol header of a load balancer: who the client is, told before the client's first byte.
//!
//! Version 1 is a line and version 2 is binary (HAProxy's proxy-protocol.txt). [`next`] decides, sans-I/O, how many
//! more bytes belong to a header that has begun, so that not one byte behind it is taken: the client's TLS hello
//! follows at once. The crate `proxy-header` reads what is whole then. A header that is broken in any way ends the
//! connection: to go on with the balancer's own address would give every client of it the rights of one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::text::proxy_header;

/// A balancer sends it with the connection, so this is time enough for a lost segment.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// Of version 2: what every receiver takes whole (proxy-protocol.txt §2.2).
const LONGEST: usize = 536;
/// What tells the versions apart.
const SIGNATURE: usize = 12;
/// The signature, version and command, family, length.
const FIXED: usize = 16;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The client is there.
    From(SocketAddr),
    /// The balancer speaks for itself, as it does to see whether the listener is alive, or does not know its client.
    Local,
}

/// What is needed of a header that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes at most: they are the header's.
    Read(usize),
    /// Nothing: this is all of it.
    Done(Header),
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The balancer's setting, or ours; or another program on its machine.
    #[error("no PROXY protocol header came")]
    Missing,
    /// The balancer's fault, or an attacker's on its machine.
    #[error("the PROXY protocol header is broken: {0}")]
    Broken(&'static str),
    /// In the middle of it.
    #[error("the PROXY protocol header did not come whole")]
    Truncated,
    /// Not a byte: the balancer looked whether something listens.
    #[error("the connection ended without a byte")]
    Probe,
    /// The network's.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Takes the header off `tcp`, and not one byte more.
pub(super) async fn read(tcp: &mut TcpStream) -> Result<Header, HeaderError> {
    let mut begun = Vec::new();
    let reading = read_whole(tcp, &mut begun);
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read,
        Err(_) if begun.is_empty() => Err(HeaderError::Missing),
        Err(_) => Err(HeaderError::Truncated),
    }
}

async fn read_whole(tcp: &mut TcpStream, begun: &mut Vec<u8>) -> Result<Header, HeaderError> {
    loop {
        let wanted = match next(begun)? {
            Next::Done(header) => return Ok(header),
            Next::Read(wanted) => wanted.min(LONGEST) as u64,
        };
        if (&mut *tcp).take(wanted).read_buf(begun).await? == 0 {
            return Err(if begun.is_empty() { HeaderError::Probe } else { HeaderError::Truncated });
        }
    }
}

/// What is needed behind `begun`, the first bytes of a connection.
pub fn next(begun: &[u8]) -> Result<Next, HeaderError> {
    match proxy_header(begun) {
        None => Err(HeaderError::Missing),
        // The shortest line is longer than this, so nothing behind it is taken.
        Some(_) if begun.len() < SIGNATURE => Ok(Next::Read(SIGNATURE - begun.len())),
        Some(_) if begun.starts_with(b"PROXY ") => line(begun),
        Some(_) => binary(begun),
    }
}

/// Version 1, byte by byte: only its end tells where it is.
fn line(begun: &[u8]) -> Result<Next, HeaderError> {
    match memchr::memchr(b'\n', begun) {
        Some(end) if end + 1 == begun.len() && begun.len() <= LONGEST_LINE => parse(begun).map(Next::Done),
        Some(end) if end + 1 < begun.len() => Err(HeaderError::Broken("its line is too short")),
        None if begun.len() < LONGEST_LINE => Ok(Next::Read(1)),
        _ => Err(HeaderError::Broken("its line is longer than 107 bytes")),
    }
}

/// Version 2.
fn binary(begun: &[u8]) -> Result<Next, HeaderError> {
    let Some(&[version, family, high, low]) = begun.get(SIGNATURE..FIXED) else {
        return Ok(Next::Read(FIXED.saturating_sub(begun.len())));
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(HeaderError::Broken("it is longer than 536 bytes"));
    }
    if begun.len() < length {
        return Ok(Next::Read(length - begun.len()));
    }
    match (version, family) {
        (0x20, _) => Ok(Next::Done(Header::Local)),
        (0x21, 0x31 | 0x32) => Err(HeaderError::Broken("it names a Unix socket and no IP address")),
        (0x21, 0x12 | 0x22) => Err(HeaderError::Broken("it names UDP, and this is TCP")),
        (0x21, _) => parse(begun).map(Next::Done),
        _ => Err(HeaderError::Broken("its version or command is unknown")),
    }
}

/// All of a header, and nothing else.
fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
    let config = ParseConfig { include_tlvs: true, ..ParseConfig::default() };
    let (header, length) =
        ProxyHeader::parse(bytes, config).map_err(|_| HeaderError::Broken("its addresses are none"))?;
    if length != bytes.len() {
        return Err(HeaderError::Broken("its length is wrong"));
    }
    match header.proxied_address() {
        None => Ok(Header::Local),
        Some(address) if address.protocol != Protocol::Stream => {
            Err(HeaderError::Broken("it names UDP, and this is TCP"))
        }
        Some(address) if !is_a_clients(address.source.ip()) => {
            Err(HeaderError::Broken("its source is no address that a client has"))
        }
        Some(_) if header.tlvs().any(|field| field.is_err()) => {
            Err(HeaderError::Broken("one of its fields is longer than the header, or broken"))
        }
        Some(address) => Ok(Header::From(address.source)),
    }
}

fn is_a_clients(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests;
