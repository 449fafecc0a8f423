//! A client for tests that fetches mail: TLS or STLS, a login with a token or with a password, and then lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::ClientConfig;

use crate::mail::xoauth2;
use crate::smtp;

/// One connection.
pub struct Client {
    lines: smtp::Client,
    /// The greeting; empty if the connection ended instead.
    pub greeting: String,
}

impl Client {
    /// Connects by TLS to a server on this machine, whose certificate must be for `localhost`, and reads the greeting.
    pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        Self::connect_patiently(address, tls, crate::PATIENCE).await
    }

    /// Like [`Client::connect`], with a longer patience than [`crate::PATIENCE`], for tests with very many clients.
    pub async fn connect_patiently(address: SocketAddr, tls: &Arc<ClientConfig>, patience: Duration) -> Self {
        // A greeting is one line in both protocols.
        let lines = smtp::Client::connect_patiently(address, tls, patience).await;
        let greeting = lines.greeting.lines.first().cloned().unwrap_or_default();
        Self { lines, greeting }
    }

    /// Connects in cleartext, and reads the greeting.
    pub async fn plain(address: SocketAddr) -> Self {
        let mut lines = smtp::Client::silent(address).await;
        let greeting = lines.line().await;
        Self { lines, greeting }
    }

    /// Connects in cleartext, says STLS, and begins TLS.
    pub async fn stls(address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        let mut client = Self::plain(address).await;
        let answer = client.command("STLS").await;
        assert!(answer.starts_with("+OK"), "{answer:?}");
        client.begin_tls(tls).await.expect("a TLS handshake");
        client
    }

    /// The TLS handshake. Cleartext that was read but not used is never used.
    pub async fn begin_tls(&mut self, tls: &Arc<ClientConfig>) -> std::io::Result<()> {
        self.lines.begin_tls(tls).await
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.lines.send(line).await;
    }

    /// Sends octets unchanged.
    pub async fn write(&mut self, octets: &[u8]) {
        self.lines.write(octets).await;
    }

    /// Closes our direction; the other stays open.
    pub async fn finish(&mut self) {
        self.lines.finish().await;
    }

    /// The next line without its end; empty at the end of the connection.
    pub async fn line(&mut self) -> String {
        self.lines.line().await
    }

    /// Sends a line and reads the first line of its answer.
    pub async fn command(&mut self, line: &str) -> String {
        self.send(line).await;
        self.line().await
    }

    /// The lines up to the final dot, without that dot.
    pub async fn listed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            // An empty line of mail and the end of the connection look alike.
            if line == "." || (line.is_empty() && self.lines.at_end().await) {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Sends a line, and reads its answer of several lines.
    pub async fn list(&mut self, line: &str) -> Vec<String> {
        let answer = self.command(line).await;
        assert!(answer.starts_with("+OK"), "{line}: {answer:?}");
        self.listed().await
    }

    /// Reads this many octets.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        self.lines.octets(count).await
    }

    /// All that comes until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        self.lines.rest().await
    }

    /// Whether the connection has ended without unread data.
    pub async fn at_end(&mut self) -> bool {
        self.lines.at_end().await
    }

    /// Sends USER and PASS. Returns the answer to PASS, or to a refused USER.
    pub async fn user_pass(&mut self, user: &str, password: &str) -> String {
        let answer = self.command(&format!("USER {user}")).await;
        if !answer.starts_with("+OK") {
            return answer;
        }
        self.command(&format!("PASS {password}")).await
    }

    /// Sends AUTH PLAIN with a password, on one line.
    pub async fn auth_plain(&mut self, user: &str, password: &str) -> String {
        let message = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {message}")).await
    }

    /// Sends AUTH XOAUTH2 in two steps. Answers a challenge with an empty line.
    pub async fn xoauth2(&mut self, user: &str, token: &str) -> String {
        let asked = self.command("AUTH XOAUTH2").await;
        if !asked.starts_with("+ ") && asked != "+" {
            return asked;
        }
        let answer = self.command(&xoauth2(user, token)).await;
        if answer.starts_with("+ ") { self.command("").await } else { answer }
    }
}
