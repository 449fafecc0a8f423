//! A company's network proxy: SOCKS5 (RFC 1928, 1929) or HTTP CONNECT. It records the requested hosts.
//!
//! Every name leads to this machine, so a host without a DNS entry can be reached only through this proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A host that only this proxy resolves. The provider's certificate covers it.
pub const ELSEWHERE: &str = "provider.elsewhere.invalid";

/// The proxy's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// RFC 1928.
    Socks5,
    /// HTTP CONNECT.
    Http,
}

/// The proxy's reaction to a request.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Connects.
    Well,
    /// Connects, and answers only after the server has spoken, in one write with the server's first words.
    Late,
    /// Connects if the client sends this name and password.
    To(&'static str, &'static str),
    /// Refuses: SOCKS5 with this reply, HTTP with this status.
    No(u16),
    /// Accepts the connection and sends nothing.
    Nothing,
    /// Sends these octets at once.
    With(Vec<u8>),
}

/// A running proxy. Dropping it closes it.
pub struct Proxy {
    /// The proxy's address.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts a proxy.
    pub async fn start(speaks: Speaks, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let session = Session { tcp, answers: answers.clone(), asked: record.clone() };
                tokio::spawn(session.run(speaks));
            }
        });
        Self { address, asked, task: task.abort_handle() }
    }

    /// Every requested `host:port`, in order; an address instead of a name is prefixed with `address `.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    tcp: TcpStream,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Session {
    /// Runs until the client disconnects.
    async fn run(mut self, speaks: Speaks) -> std::io::Result<()> {
        match &self.answers {
            Answers::Nothing => {
                tokio::io::copy(&mut self.tcp, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            Answers::With(bytes) => {
                let bytes = bytes.clone();
                self.tcp.write_all(&bytes).await?;
                tokio::io::copy(&mut self.tcp, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            _ => {}
        }
        let port = match speaks {
            Speaks::Socks5 => self.socks5().await?,
            Speaks::Http => self.http().await?,
        };
        let Some(port) = port else { return Ok(()) };
        let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut first = match speaks {
            Speaks::Socks5 => vec![5, 0, 0, 1, 127, 0, 0, 1, 0, 0],
            Speaks::Http => b"HTTP/1.1 200 Connection established\r\nVia: sandbox\r\n\r\n".to_vec(),
        };
        if matches!(self.answers, Answers::Late) {
            server.read_buf(&mut first).await?;
        }
        self.tcp.write_all(&first).await?;
        tokio::io::copy_bidirectional(&mut self.tcp, &mut server).await.map(drop)
    }

    fn record(&self, asked: String) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }

    /// The port to connect to; `None` after a refusal.
    async fn socks5(&mut self) -> std::io::Result<Option<u16>> {
        let [_, count] = self.read::<2>().await?;
        let mut methods = vec![0; count.into()];
        self.tcp.read_exact(&mut methods).await?;
        let wanted = if matches!(self.answers, Answers::To(..)) { 2 } else { 0 };
        if !methods.contains(&wanted) {
            self.tcp.write_all(&[5, 0xff]).await?;
            return Ok(None);
        }
        self.tcp.write_all(&[5, wanted]).await?;
        if let Answers::To(user, password) = self.answers {
            self.read::<1>().await?;
            let given = (self.counted().await?, self.counted().await?);
            let right = given == (user.as_bytes().to_vec(), password.as_bytes().to_vec());
            self.tcp.write_all(&[1, u8::from(!right)]).await?;
            if !right {
                return Ok(None);
            }
        }
        let [_, _, _, kind] = self.read::<4>().await?;
        let host = match kind {
            3 => String::from_utf8_lossy(&self.counted().await?).into_owned(),
            1 => format!("address {}", std::net::Ipv4Addr::from(self.read::<4>().await?)),
            _ => format!("address {}", std::net::Ipv6Addr::from(self.read::<16>().await?)),
        };
        let port = self.tcp.read_u16().await?;
        self.record(format!("{host}:{port}"));
        if let Answers::No(reply) = self.answers {
            let reply = u8::try_from(reply).expect("a reply of SOCKS5");
            self.tcp.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            return Ok(None);
        }
        Ok(Some(port))
    }

    async fn http(&mut self) -> std::io::Result<Option<u16>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.tcp.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
        let target = target.expect("CONNECT and a host").to_owned();
        let refusal = match self.answers {
            Answers::No(status) => Some(status),
            Answers::To(user, password) => {
                let right = format!("basic {}", STANDARD.encode(format!("{user}:{password}")));
                let mut given = head.lines().filter_map(|line| line.split_once(": "));
                let given = given.find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
                let is_right = given.is_some_and(|(_, value)| {
                    value.split_once(' ').map(|(scheme, rest)| format!("{} {rest}", scheme.to_lowercase()))
                        == Some(right)
                });
                (!is_right).then_some(407)
            }
            _ => None,
        };
        if refusal != Some(407) {
            self.record(target.clone());
        }
        if let Some(status) = refusal {
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            self.tcp.write_all(answer.as_bytes()).await?;
            return Ok(None);
        }
        let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Ok(Some(port.expect("a port")))
    }

    async fn read<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.tcp.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn counted(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.tcp.read_u8().await?.into()];
        self.tcp.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}
