//! A mail client for tests: TLS, `AUTHENTICATE` with a token or `LOGIN` with a password, and then lines.
//!
//! It connects to the provider or to the proxy; a test reads like the transcript that it produces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection after the greeting.
pub struct Client {
    stream: BufReader<TlsStream<TcpStream>>,
    /// The greeting, without its line end.
    pub greeting: String,
    /// How long the client waits for an answer.
    patience: Duration,
}

/// The initial response of XOAUTH2, in base64.
pub fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// The initial response of OAUTHBEARER (RFC 7628), in base64, without host and port.
pub fn oauthbearer(user: &str, token: &str) -> String {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    STANDARD.encode(format!("n,a={user},\x01auth=Bearer {token}\x01\x01"))
}

impl Client {
    /// Connects to a server on this machine, whose certificate must be for `localhost`. Panics on failure.
    pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        Self::connect_patiently(address, tls, crate::PATIENCE).await
    }

    /// Like [`Client::connect`], with a longer patience than [`crate::PATIENCE`], for tests with very many
    /// clients.
    pub async fn connect_patiently(address: SocketAddr, tls: &Arc<ClientConfig>, patience: Duration) -> Self {
        let tcp = TcpStream::connect(address).await.expect("the server listens");
        tcp.set_nodelay(true).expect("a TCP option");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.expect("a TLS handshake");
        let mut client = Self { stream: BufReader::new(stream), greeting: String::new(), patience };
        client.greeting = client.line().await;
        client
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.write(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends octets unchanged.
    pub async fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// The next line without its end; empty at the end of the connection.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        let came = tokio::time::timeout(self.patience, read).await.expect("the server answers");
        // A connection without close_notify counts as ended too.
        came.unwrap_or(0);
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The next `count` octets.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.stream.read_exact(&mut octets).await.expect("the server sends as much as it said");
        octets
    }

    /// Passes the next `count` octets to `take` as they arrive.
    pub async fn stream_octets(&mut self, mut count: u64, mut take: impl FnMut(&[u8])) {
        while count > 0 {
            let buffer = self.stream.fill_buf().await.expect("the server sends as much as it said");
            assert!(!buffer.is_empty(), "the connection ended {count} octets too early");
            let now = buffer.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            take(&buffer[..now]);
            self.stream.consume(now);
            count -= now as u64;
        }
    }

    /// The next octets to arrive, at least one; empty at the end of the connection.
    pub async fn some_octets(&mut self) -> Vec<u8> {
        let read = tokio::time::timeout(self.patience, self.stream.fill_buf()).await;
        let came = read.expect("the server answers").map(<[u8]>::to_vec).unwrap_or_default();
        self.stream.consume(came.len());
        came
    }

    /// Whether the connection has ended without unread data.
    pub async fn at_end(&mut self) -> bool {
        let read = tokio::time::timeout(self.patience, self.stream.fill_buf()).await;
        read.expect("the server answers").map_or(true, <[u8]>::is_empty)
    }

    /// Sends `TAG COMMAND` and returns all lines up to the tagged one, including literals, or up to the end
    /// of the connection.
    pub async fn command(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.send(&format!("{tag} {command}")).await;
        self.until_tagged(tag).await
    }

    /// All lines up to the tagged one.
    pub async fn until_tagged(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() && self.at_end().await {
                return lines;
            }
            let last = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Signs in with a token and an initial response; all lines up to the tagged one.
    pub async fn authenticate(&mut self, user: &str, token: &str) -> Vec<String> {
        self.command("auth", &format!("AUTHENTICATE XOAUTH2 {}", xoauth2(user, token))).await
    }

    /// Signs in with a password, as old programs do.
    pub async fn login(&mut self, user: &str, password: &str) -> Vec<String> {
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        self.command("login", &format!("LOGIN \"{}\" \"{}\"", quote(user), quote(password))).await
    }
}
