//! A mail program, or an attacker, without TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::client::{Answer, tls};

/// One connection in cleartext.
pub struct Plain {
    stream: BufReader<TcpStream>,
}

impl Plain {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Connects from a chosen address: all of 127.0.0.0/8 is this machine.
    pub async fn connect_from(from: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
        Self::over(socket.connect(address).await.unwrap())
    }

    fn over(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(512, tcp) }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next line without its line end; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let _ = self.stream.read_until(b'\n', &mut line).await;
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Reads until the server closes.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&rest).into_owned()
    }

    pub async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Sends a command without literals and returns its answer.
    pub async fn command(&mut self, text: &str) -> Answer {
        self.send(format!("t1 {text}\r\n")).await;
        self.answer("t1").await
    }

    /// Reads lines up to the one with `tag`.
    pub async fn answer(&mut self, tag: &str) -> Answer {
        let mut untagged = Vec::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the connection closed without an answer to {tag}: {untagged:?}");
            match line.strip_prefix(&format!("{tag} ")) {
                Some(tagged) => return Answer { untagged, tagged: tagged.to_owned() },
                None => untagged.push(line),
            }
        }
    }

    /// Closes our direction; the other stays open.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Performs a TLS handshake on this connection.
    pub async fn into_tls(self, ca_file: &Path) -> std::io::Result<TlsStream<TcpStream>> {
        assert!(self.stream.buffer().is_empty(), "cleartext behind the answer to STARTTLS");
        let name = ServerName::try_from("localhost").unwrap();
        tls(ca_file).connect(name, self.stream.into_inner()).await
    }
}
