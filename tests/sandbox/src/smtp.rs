//! A client for tests that sends mail: TLS or STARTTLS, AUTH with a token or with a password, and then lines.
//!
//! It connects to the provider or to the proxy; a test reads like the transcript that it produces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::mail::{oauthbearer, xoauth2};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    /// The greeting; empty if the connection ended instead.
    pub greeting: Reply,
    patience: Duration,
}

/// A reply with all its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Each line without its end.
    pub lines: Vec<String>,
}

impl Reply {
    /// The code of the last line; 0 without one.
    pub fn code(&self) -> u16 {
        self.lines.last().and_then(|line| line.get(..3)).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The texts of all lines after their codes, joined by spaces.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.lines.iter().map(|line| line.get(4..).unwrap_or_default()).collect();
        texts.join(" ")
    }

    /// Whether the last line starts with this, such as `535 5.7.8`.
    pub fn starts_with(&self, start: &str) -> bool {
        self.lines.last().is_some_and(|line| line.starts_with(start))
    }

    /// Whether EHLO lists this line.
    pub fn lists(&self, line: &str) -> bool {
        self.lines.iter().skip(1).any(|listed| listed.get(4..) == Some(line))
    }

    /// The text after this word in EHLO's list, such as the mechanisms after `AUTH`.
    pub fn listed(&self, word: &str) -> Option<&str> {
        let mut texts = self.lines.iter().skip(1).filter_map(|line| line.get(4..));
        texts.find_map(|text| text.strip_prefix(word)).map(str::trim_start)
    }
}

impl Client {
    /// Connects by TLS to a server on this machine, whose certificate must be for `localhost`, and reads the
    /// greeting.
    pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        Self::connect_patiently(address, tls, crate::PATIENCE).await
    }

    /// Like [`Client::connect`], with a longer patience than [`crate::PATIENCE`], for tests with very many
    /// clients.
    pub async fn connect_patiently(address: SocketAddr, tls: &Arc<ClientConfig>, patience: Duration) -> Self {
        let mut client = Self::silent(address).await;
        client.patience = patience;
        client.begin_tls(tls).await.expect("a TLS handshake");
        client.greeting = client.reply().await;
        client
    }

    /// Connects in cleartext, and reads the greeting.
    pub async fn plain(address: SocketAddr) -> Self {
        let mut client = Self::silent(address).await;
        client.greeting = client.reply().await;
        client
    }

    /// Connects in cleartext, sends EHLO and STARTTLS, and begins TLS.
    pub async fn starttls(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        let mut client = Self::plain(address).await;
        client.command("EHLO client.example").await;
        let reply = client.command("STARTTLS").await;
        assert_eq!(reply.code(), 220, "{reply:?}");
        client.begin_tls(tls).await.expect("a TLS handshake");
        client
    }

    /// Connects in cleartext and reads nothing.
    pub async fn silent(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.expect("the server listens");
        tcp.set_nodelay(true).expect("a TCP option");
        let stream: Box<dyn Stream> = Box::new(tcp);
        Self { stream: BufReader::new(stream), greeting: Reply::default(), patience: crate::PATIENCE }
    }

    /// The TLS handshake. Cleartext that was read but not used is never used.
    pub async fn begin_tls(&mut self, tls: &Arc<ClientConfig>) -> std::io::Result<()> {
        let gone: Box<dyn Stream> = Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()));
        let stream = std::mem::replace(&mut self.stream, BufReader::new(gone)).into_inner();
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        self.stream = BufReader::new(Box::new(stream));
        Ok(())
    }

    /// Octets that were read but not used.
    pub fn unread(&self) -> &[u8] {
        self.stream.buffer()
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

    /// Closes our direction; the other stays open.
    pub async fn finish(&mut self) {
        // Fails if the server has disconnected.
        let _ = self.stream.shutdown().await;
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

    /// The next reply, up to its last line; without lines at the end of the connection.
    pub async fn reply(&mut self) -> Reply {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return Reply { lines };
            }
            let goes_on = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !goes_on {
                return Reply { lines };
            }
        }
    }

    /// Sends a line and reads its reply.
    pub async fn command(&mut self, line: &str) -> Reply {
        self.send(line).await;
        self.reply().await
    }

    /// Whether the connection has ended without unread data.
    pub async fn at_end(&mut self) -> bool {
        let read = tokio::time::timeout(self.patience, self.stream.fill_buf()).await;
        read.expect("the server answers").map_or(true, <[u8]>::is_empty)
    }

    /// The next `count` octets.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        let read = tokio::time::timeout(self.patience, self.stream.read_exact(&mut octets)).await;
        read.expect("the server answers").expect("the server sends as much as it should");
        octets
    }

    /// All octets until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(self.patience, self.stream.read_to_end(&mut rest)).await;
        let _ = read.expect("the server ends the connection");
        rest
    }

    /// Sends EHLO and returns its reply.
    pub async fn ehlo(&mut self) -> Reply {
        self.command("EHLO client.example").await
    }

    /// AUTH XOAUTH2 in two steps. A challenge is answered with an empty line.
    pub async fn xoauth2(&mut self, user: &str, token: &str) -> Reply {
        self.two_steps("AUTH XOAUTH2", &xoauth2(user, token), "").await
    }

    /// AUTH OAUTHBEARER in two steps. A challenge is answered with 0x01.
    pub async fn oauthbearer(&mut self, user: &str, token: &str) -> Reply {
        self.two_steps("AUTH OAUTHBEARER", &oauthbearer(user, token), "AQ==").await
    }

    async fn two_steps(&mut self, command: &str, message: &str, answer: &str) -> Reply {
        let asked = self.command(command).await;
        if asked.code() != 334 {
            return asked;
        }
        let reply = self.command(message).await;
        if reply.code() == 334 { self.command(answer).await } else { reply }
    }

    /// AUTH PLAIN with a password, on one line.
    pub async fn auth_plain(&mut self, user: &str, password: &str) -> Reply {
        let message = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {message}")).await
    }

    /// AUTH LOGIN with a password, in separate steps.
    pub async fn auth_login(&mut self, user: &str, password: &str) -> Reply {
        let asked = self.command("AUTH LOGIN").await;
        if asked.lines != ["334 VXNlcm5hbWU6"] {
            return asked;
        }
        let asked = self.command(&STANDARD.encode(user)).await;
        if asked.lines != ["334 UGFzc3dvcmQ6"] {
            return asked;
        }
        self.command(&STANDARD.encode(password)).await
    }

    /// Sends MAIL, RCPT and DATA, then these octets unchanged and the final dot. Returns the first unexpected
    /// reply, or the last one.
    pub async fn mail(&mut self, from: &str, to: &[&str], octets: &[u8]) -> Reply {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        for command in &commands {
            let reply = self.command(command).await;
            if reply.code() != 250 {
                return reply;
            }
        }
        let reply = self.command("DATA").await;
        if reply.code() != 354 {
            return reply;
        }
        self.write(octets).await;
        self.command(".").await
    }
}
