//! The cleartext of a server with STARTTLS: it offers only STARTTLS. After its OK it sends what an attacker on the line
//! would inject, which must never be read.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::state::Shared;

/// The injected lines: an offer of mechanisms, and an open mailbox.
const INJECTED: &str =
    "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nP1 OK done\r\na1 OK [CAPABILITY IMAP4rev1] injected\r\n";

/// From the greeting to the answer that the handshake follows.
pub(super) async fn begin(tcp: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    tcp.write_all(b"* OK ready, in cleartext\r\n").await?;
    loop {
        let line = line(tcp).await?;
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK done\r\n"),
            "STARTTLS" => format!("{tag} OK Begin TLS negotiation now.\r\n{INJECTED}"),
            other => {
                shared.violation(format!("in cleartext: {other:?}"));
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        tcp.write_all(answer.as_bytes()).await?;
        if command == "STARTTLS" {
            return Ok(());
        }
    }
}

/// A line without its end.
async fn line(tcp: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(tcp.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}
