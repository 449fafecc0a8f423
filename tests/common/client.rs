//! A mail program that shows the lines on the wire.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// A connection under TLS.
pub struct Client {
    stream: BufReader<TlsStream<TcpStream>>,
    pub greeting: String,
    next_tag: u32,
}

/// The answer to one command.
#[derive(Debug)]
pub struct Answer {
    pub untagged: Vec<String>,
    /// The tagged line without its tag.
    pub tagged: String,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// Whether the answer is a NO with this response code.
    pub fn refused_with(&self, code: &str) -> bool {
        self.tagged.starts_with(&format!("NO [{code}] "))
    }
}

/// A connector that trusts only `ca_file`.
pub fn tls(ca_file: &Path) -> TlsConnector {
    TlsConnector::from(tls_config(ca_file))
}

/// The configuration of that connector.
pub fn tls_config(ca_file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl Client {
    pub async fn connect(address: SocketAddr, ca_file: &Path) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let stream = tls(ca_file).connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let mut client = Self { stream: BufReader::new(stream), greeting: String::new(), next_tag: 1 };
        client.greeting = client.line().await;
        client
    }

    /// A client after STARTTLS, which gets no second greeting.
    pub fn upgraded(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: BufReader::new(stream), greeting: String::new(), next_tag: 1 }
    }

    /// Closes our direction; the other stays open.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line without its line end.
    pub async fn line(&mut self) -> String {
        self.next_line().await.expect("a line before the end of the stream")
    }

    /// The next line without its line end; `None` at the end of the stream.
    pub async fn next_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await.unwrap();
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next line with its line end, in bytes; `None` at the end of the stream.
    pub async fn next_line_of_bytes(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await.unwrap();
        (read > 0).then_some(line)
    }

    /// Whether the server has closed the connection (with or without close_notify).
    pub async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest).await {
            Ok(_) => rest.is_empty(),
            Err(_) => true,
        }
    }

    /// The next bytes; empty at the end of the stream, however it ends.
    pub async fn read_some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        let read = self.stream.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    pub async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Sends a command without literals and returns its answer.
    pub async fn command(&mut self, text: &str) -> Answer {
        let tag = format!("t{}", self.next_tag);
        self.next_tag += 1;
        self.send(format!("{tag} {text}\r\n")).await;
        self.answer(&tag).await
    }

    /// Reads lines up to the one with `tag`.
    pub async fn answer(&mut self, tag: &str) -> Answer {
        let mut untagged = Vec::new();
        loop {
            let line = self.next_line().await;
            let line = line
                .unwrap_or_else(|| panic!("the connection closed without an answer to {tag}: {untagged:?}"));
            match line.strip_prefix(&format!("{tag} ")) {
                Some(tagged) => return Answer { untagged, tagged: tagged.to_owned() },
                None => untagged.push(line),
            }
        }
    }
}
