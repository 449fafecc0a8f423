//! Peers that change their keys during a session, and request a change of ours (RFC 8446 §4.6.3).

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use imap_oauth_proxy::tls::{Identity, Socket};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_rustls::client::TlsStream;

use crate::harness::{Listener, now, settings};
use crate::records::{fill, pairs, pattern, through};

/// A TLS 1.3 connection, because TLS 1.2 has no key updates.
async fn pair() -> (TlsStream<TcpStream>, Socket) {
    let (_, client, server) = pairs().await.swap_remove(0);
    (client, server)
}

#[tokio::test]
async fn a_peer_may_change_its_key_and_ask_for_ours_as_often_as_there_is_data() {
    let (mut client, mut server) = pair().await;
    for round in 0..100_usize {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        let data = pattern(1 + round * 500);
        assert!(through(&mut client, &mut server, &data, 1 << 16).await == data);
        assert!(through(&mut server, &mut client, &data, 1 << 16).await == data);
    }
}

/// A client that changes its key and requests ours three times in a row, after the same number of bytes each time.
struct Restless {
    tls: TlsStream<TcpStream>,
    written: usize,
    changes: usize,
}

const BETWEEN_CHANGES: usize = 1_200_000;

impl AsyncWrite for Restless {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.written >= BETWEEN_CHANGES {
            self.written = 0;
            for _ in 0..3 {
                self.tls.get_mut().1.refresh_traffic_keys().unwrap();
                self.changes += 1;
            }
        }
        let bytes = &bytes[..bytes.len().min(BETWEEN_CHANGES - self.written)];
        let written = ready!(Pin::new(&mut self.tls).poll_write(context, bytes))?;
        self.written += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

impl AsyncRead for Restless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

#[tokio::test]
async fn keys_change_while_data_moves_both_ways() {
    let (client, server) = pair().await;
    let data = pattern(12 << 20);
    let (mut client_reads, mut client_writes) =
        tokio::io::split(Restless { tls: client, written: 0, changes: 0 });
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let (up, down) = tokio::join!(
        through(&mut client_writes, &mut server_reads, &data, 1 << 16),
        through(&mut server_writes, &mut client_reads, &data, 1 << 16),
    );
    assert!(up == data && down == data);
    // If the other direction finished first, rustls would refuse more than 32 answers.
    assert_eq!(client_reads.unsplit(client_writes).changes, 30);
}

#[tokio::test]
async fn key_updates_without_data_end_the_connection_some_time() {
    let (mut client, mut server) = pair().await;
    for _ in 0..40 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
    }
    client.flush().await.unwrap();
    let error = server.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    // And the client learns it.
    assert!(client.read_u8().await.unwrap_err().to_string().contains("UnexpectedMessage"));
}

/// Unsent data must not delay the answer to a key update (RFC 8446 §4.6.3).
#[tokio::test]
async fn a_key_update_is_answered_though_data_waits() {
    const KEY_UPDATE: usize = 5 + 1 + 16;
    let (mut client, mut server) = pair().await;
    fill(&mut server, 0).await;

    client.get_mut().1.refresh_traffic_keys().unwrap();
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');

    let flush = async { server.flush().await.unwrap() };
    let look = async {
        let tcp = client.get_mut().0;
        let mut header = [0; 5];
        loop {
            tcp.read_exact(&mut header).await.unwrap();
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            tcp.read_exact(&mut vec![0; length]).await.unwrap();
            if length == KEY_UPDATE {
                break;
            }
        }
    };
    let both = async { tokio::join!(flush, look) };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("a new key");
}

#[tokio::test]
async fn what_waited_while_keys_changed_arrives_and_so_does_what_is_written_then() {
    let (mut client, mut server) = pair().await;
    let waits = fill(&mut server, 0).await;
    for word in [b"one", b"two"] {
        for _ in 0..3 {
            client.get_mut().1.refresh_traffic_keys().unwrap();
        }
        client.write_all(word).await.unwrap();
        client.flush().await.unwrap();
        let mut came = [0; 3];
        server.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, word);
    }

    let more = 3 << 20;
    let all = pattern(waits + more);
    let write = async {
        server.write_all(&all[waits..]).await.unwrap();
        server.flush().await.unwrap();
    };
    let mut came = vec![0; all.len()];
    let ((), read) = tokio::join!(write, client.read_exact(&mut came));
    read.unwrap();
    assert!(came == all);
}

/// `openssl s_client` with its interactive commands, and only data in its output.
struct Openssl {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: BufReader<ChildStderr>,
}

impl Openssl {
    /// `None` if openssl is not installed.
    fn connect(listener: &Listener) -> Option<Self> {
        let address = listener.address.to_string();
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-no_ign_eof", "-connect", &address, "-servername", "localhost"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let (stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
        let stderr = BufReader::new(child.stderr.take()?);
        Some(Self { _child: child, stdin, stdout, stderr })
    }
}

/// Sends `k` (changes its key) and `K` (also requests ours), singly and several in a row, between lines that
/// it sends, during a large transfer to it.
#[tokio::test]
async fn openssl_changes_keys_and_asks_for_ours_while_data_moves_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let Some(Openssl { _child, mut stdin, mut stdout, mut stderr }) = Openssl::connect(&listener) else {
        eprintln!("openssl is not installed; nothing was tested");
        return;
    };
    let (mut server_reads, mut server_writes) = tokio::io::split(listener.next().await.unwrap());
    let rounds = ["K", "k", "KKK", "kkk", "kKkK", ""];
    let data = pattern(rounds.len() << 20);

    let talk = async {
        for (commands, piece) in rounds.into_iter().zip(data.chunks(1 << 20)) {
            let up = async {
                // Starts with a character that is no openssl command.
                let line = format!("{}\n", "0123456789".repeat(300));
                stdin.write_all(line.as_bytes()).await.unwrap();
                let mut came = vec![0; line.len()];
                server_reads.read_exact(&mut came).await.unwrap();
                assert!(came == line.as_bytes(), "before {commands}");
                for command in commands.chars() {
                    stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
                    // Otherwise openssl takes the next bytes for a part of the command.
                    wait_for_line(&mut stderr, "KEYUPDATE").await;
                }
            };
            let down = async {
                server_writes.write_all(piece).await.unwrap();
                server_writes.flush().await.unwrap();
            };
            tokio::join!(up, down);
        }
    };
    let mut came = vec![0; data.len()];
    let ((), read) = tokio::join!(talk, stdout.read_exact(&mut came));
    read.unwrap();
    assert!(came == data);
}

async fn wait_for_line(output: &mut BufReader<ChildStderr>, wanted: &str) {
    let mut line = String::new();
    while line.trim_end() != wanted {
        line.clear();
        assert!(output.read_line(&mut line).await.unwrap() > 0, "the end came before {wanted}");
    }
}
