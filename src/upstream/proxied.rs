//! Asks a proxy for a connection to a server, by the server's name.
//!
//! No byte is read beyond the proxy's answer, because a mail server that speaks first does so on the same
//! connection. The answer is bounded in size and in time.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use zeroize::Zeroizing;

use crate::config::{Endpoint, NetworkProxy, ProxyKind};

/// Proxies answer with some hundred bytes.
const LONGEST_ANSWER: usize = 8 * 1024;
/// A proxy answers when its own connection is established or has failed. This is less than the time that a login has
/// for the whole sign-in (three quarters of `limits.login_seconds`, by default 45 s), and less than the 20 s of this
/// step in a check.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a proxy gave no connection.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy is unreachable, or closed the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The proxy accepted the connection and sent no answer.
    #[error("it has not answered after {} s", .0.as_secs())]
    Silent(Duration),
    /// The proxy requires a user name and password, or rejects those given.
    #[error("it does not accept the name and the password")]
    Credentials,
    /// The proxy's rules forbid the connection.
    #[error("it does not allow this connection ({0})")]
    Forbidden(String),
    /// The proxy could not reach the server.
    #[error("it does not reach the server ({0})")]
    Unreached(String),
    /// The answer does not follow the protocol of `network.proxy`.
    #[error("its answer is not that of such a proxy")]
    Garbage,
}

impl ProxyError {
    /// What the administrator can do.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::Silent(_) => "check that the proxy runs, and its host and port",
            Self::Credentials => "write NAME:PASSWORD@ before its host",
            Self::Forbidden(_) => "let its administrator allow it",
            Self::Unreached(_) => "check the server's name, and the proxy's own network",
            Self::Garbage => "check its port, and whether it is socks5:// or http://",
        }
    }
}

/// Asks `proxy`, to which `tcp` is connected, for a connection to `server`.
pub(super) async fn ask(
    proxy: &NetworkProxy,
    tcp: TcpStream,
    server: &Endpoint,
) -> Result<TcpStream, ProxyError> {
    ask_within(PATIENCE, proxy, tcp, server).await
}

async fn ask_within(
    patience: Duration,
    proxy: &NetworkProxy,
    tcp: TcpStream,
    server: &Endpoint,
) -> Result<TcpStream, ProxyError> {
    let asked = async {
        match proxy.kind {
            ProxyKind::Socks5 => ask_socks(proxy, tcp, server).await,
            ProxyKind::Http => ask_http(proxy, tcp, server).await,
        }
    };
    tokio::time::timeout(patience, asked).await.unwrap_or(Err(ProxyError::Silent(patience)))
}

async fn ask_socks(proxy: &NetworkProxy, tcp: TcpStream, server: &Endpoint) -> Result<TcpStream, ProxyError> {
    let target = (server.host.as_str(), server.port);
    let asked = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(tcp, target).await,
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(tcp, target, user, password.expose()).await
        }
    };
    Ok(asked.map_err(of_socks)?.into_inner())
}

fn of_socks(error: tokio_socks::Error) -> ProxyError {
    use tokio_socks::Error;
    match error {
        Error::Io(error) => ProxyError::Io(error),
        Error::NoAcceptableAuthMethods
        | Error::PasswordAuthFailure(_)
        | Error::InvalidAuthValues(_)
        | Error::AuthorizationRequired => ProxyError::Credentials,
        Error::ConnectionNotAllowedByRuleset => ProxyError::Forbidden("SOCKS reply 2".to_owned()),
        Error::GeneralSocksServerFailure => ProxyError::Unreached("general failure".to_owned()),
        Error::NetworkUnreachable => ProxyError::Unreached("network unreachable".to_owned()),
        Error::HostUnreachable => ProxyError::Unreached("host unreachable".to_owned()),
        Error::ConnectionRefused => ProxyError::Unreached("connection refused".to_owned()),
        Error::TtlExpired => ProxyError::Unreached("no answer from there".to_owned()),
        Error::AddressTypeNotSupported => ProxyError::Unreached("it takes no such address".to_owned()),
        _ => ProxyError::Garbage,
    }
}

async fn ask_http(
    proxy: &NetworkProxy,
    mut tcp: TcpStream,
    server: &Endpoint,
) -> Result<TcpStream, ProxyError> {
    let mut request = Zeroizing::new(format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n"));
    if let Some((user, password)) = &proxy.credentials {
        let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
        request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", encoded.as_str()));
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes()).await?;
    match status(&head(&mut tcp).await?)? {
        200..300 => Ok(tcp),
        407 => Err(ProxyError::Credentials),
        code @ (500..600 | 404) => Err(ProxyError::Unreached(format!("HTTP {code}"))),
        code => Err(ProxyError::Forbidden(format!("HTTP {code}"))),
    }
}

/// The answer up to the first empty line. Read byte by byte, because the bytes after it are the server's.
async fn head(tcp: &mut TcpStream) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == LONGEST_ANSWER {
            return Err(ProxyError::Garbage);
        }
        head.push(tcp.read_u8().await?);
        // Detects a server of another kind immediately, instead of waiting for the end of a header.
        if !head.starts_with(b"HTTP/") && !b"HTTP/".starts_with(&head) {
            return Err(ProxyError::Garbage);
        }
    }
    Ok(head)
}

/// The status code in `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Result<u16, ProxyError> {
    let line = head.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    let version = words.next().filter(|word| ["HTTP/1.0", "HTTP/1.1"].contains(word));
    let code = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse().ok());
    version.and(code).ok_or(ProxyError::Garbage)
}

#[cfg(test)]
mod tests;
