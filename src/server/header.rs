//! The PROXY protocol header of a load balancer, which names the client before the client's first byte.
//!
//! Version 1 is a line and version 2 is binary (HAProxy's proxy-protocol.txt). [`next`] decides, sans-I/O, how
//! many more bytes belong to a header, so that no byte behind it is read: the client's TLS hello follows at once.
//! The crate `proxy-header` parses the complete header. A broken header ends the connection: with the balancer's
//! own address instead, every client of the balancer would get the rights of that address.

mod fields;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::protocol::is_hang_up;
use crate::text::proxy_header;

/// A balancer sends the header with the connection, so this allows for a lost segment.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// The longest header of version 2 that every receiver accepts (proxy-protocol.txt §2.2).
const LONGEST: usize = 536;
/// Length of the bytes that tell the versions apart.
const SIGNATURE: usize = 12;
/// Length of signature, version and command, family, and length field.
const FIXED: usize = 16;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The client has this address.
    From(SocketAddr),
    /// The balancer opened the connection for itself, as a health check, or does not know its client.
    Local,
}

/// The next step for an incomplete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read at most this number of bytes, all of which belong to the header.
    Read(usize),
    /// The header is complete.
    Done(Header),
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The settings of the balancer and the listener do not match, or another program on that machine connects.
    #[error("no PROXY protocol header came")]
    Missing,
    /// A fault of the balancer, or an attacker on its machine.
    #[error("the PROXY protocol header is broken: {0}")]
    Broken(&'static str),
    /// The connection ended within the header.
    #[error("the PROXY protocol header did not come whole")]
    Truncated,
    /// The connection ended without a byte: the balancer checked that the port is open.
    #[error("the connection ended without a byte")]
    Probe,
    /// The network failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header from `tcp`, and no byte more. Returns also whether the client used TLS, if the header says so.
pub(super) async fn read(tcp: &mut TcpStream) -> Result<(Header, Option<bool>), HeaderError> {
    let mut begun = Vec::new();
    let reading = read_whole(tcp, &mut begun);
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read.map(|header| (header, says_tls(&begun, header))),
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
        match (&mut *tcp).take(wanted).read_buf(begun).await {
            Ok(0) if begun.is_empty() => return Err(HeaderError::Probe),
            Ok(0) => return Err(HeaderError::Truncated),
            Ok(_) => {}
            Err(error) if begun.is_empty() && is_hang_up(&error) => return Err(HeaderError::Probe),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next step after `begun`, the first bytes of a connection.
pub fn next(begun: &[u8]) -> Result<Next, HeaderError> {
    match proxy_header(begun) {
        None => Err(HeaderError::Missing),
        // The shortest line is longer than this, so no byte behind a line is read.
        Some(_) if begun.len() < SIGNATURE => Ok(Next::Read(SIGNATURE - begun.len())),
        Some(_) if begun.starts_with(b"PROXY ") => line(begun),
        Some(_) => binary(begun),
    }
}

/// Version 1, byte by byte, because only the line end tells its length.
fn line(begun: &[u8]) -> Result<Next, HeaderError> {
    match memchr::memchr(b'\n', begun) {
        Some(end) if end + 1 == begun.len() && begun.len() <= LONGEST_LINE => match parse(begun)? {
            Header::From(_) if !has_plain_ports(begun) => Err(HeaderError::Broken("its ports are none")),
            header => Ok(Next::Done(header)),
        },
        Some(end) if end + 1 < begun.len() => Err(HeaderError::Broken("its line is too short")),
        None if begun.len() < LONGEST_LINE => Ok(Next::Read(1)),
        _ => Err(HeaderError::Broken("its line is longer than 107 bytes")),
    }
}

/// Whether both ports of a line are digits without a sign or a leading zero (proxy-protocol.txt §2.1).
fn has_plain_ports(line: &[u8]) -> bool {
    let mut words = line.trim_ascii_end().rsplit(|&byte| byte == b' ');
    words.by_ref().take(2).all(|port| matches!(port, [b'0'] | [b'1'..=b'9', ..]))
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

/// Parses a complete header.
fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
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
        Some(address) if !fields::are_whole(fields(bytes, &address.source)) => {
            Err(HeaderError::Broken("one of its fields is longer than the header"))
        }
        Some(address)
            if !fields::checksum_fits(bytes, bytes.len() - fields(bytes, &address.source).len()) =>
        {
            Err(HeaderError::Broken("its checksum is wrong"))
        }
        Some(address) => Ok(Header::From(address.source)),
    }
}

/// The fields of a whole header: in version 2 behind two addresses of the source's family and two ports.
fn fields<'a>(header: &'a [u8], source: &SocketAddr) -> &'a [u8] {
    let at = FIXED + if source.is_ipv4() { 2 * 4 + 4 } else { 2 * 16 + 4 };
    let is_binary = !header.starts_with(b"PROXY ");
    header.get(at..).filter(|_| is_binary).unwrap_or_default()
}

/// Whether the client used TLS, if `begun`, a whole header, says so.
fn says_tls(begun: &[u8], header: Header) -> Option<bool> {
    match header {
        Header::From(source) => fields::tls(fields(begun, &source)),
        Header::Local => None,
    }
}

fn is_a_clients(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests;
