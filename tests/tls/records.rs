//! Data on a TLS connection after its handshake: in all sizes of pieces, ended, and forged.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use imap_oauth_proxy::tls::{FULL_READ, Identity, Socket};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::AlertDescription;

use crate::harness::{Listener, MailProgram, settings};

/// A rustls client and our end of the same connection, in TLS 1.3 and 1.2.
pub(crate) async fn pairs() -> Vec<(&'static str, TlsStream<TcpStream>, Socket)> {
    let [new, old] = ["1.3", "1.2"];
    let pairs = connected(&[(new, ""), (old, "")]).await;
    [new, old].into_iter().zip(pairs).map(|(version, (client, server))| (version, client, server)).collect()
}

/// Such pairs, one for each wanted version and cipher; "" leaves the cipher to us.
async fn connected(wanted: &[(&str, &str)]) -> Vec<(TlsStream<TcpStream>, Socket)> {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), OffsetDateTime::now_utc()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let mut pairs = Vec::new();
    for (version, cipher) in wanted {
        let program = MailProgram::trusting(&identity.ca_file().unwrap()).only(cipher);
        let program = if *version == "1.2" { program.old("ECDSA") } else { program };
        let client = program.connect(listener.address, "localhost").await.unwrap();
        pairs.push((client, listener.next().await.unwrap()));
    }
    pairs
}

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Writes the pattern, of which `sent` bytes were written before, until the peer accepts no more; returns the
/// new total.
pub(crate) async fn fill(stream: &mut (impl AsyncWrite + Unpin), mut sent: usize) -> usize {
    let data = pattern(251 * 256);
    let full = poll_fn(|context| {
        loop {
            match Pin::new(&mut *stream).poll_write(context, &data[sent % data.len()..]) {
                Poll::Ready(written) => sent += written.unwrap(),
                Poll::Pending => return Poll::Ready(()),
            }
        }
    });
    // Only the full socket must stop the writer, not the task's cooperative budget.
    tokio::task::unconstrained(full).await;
    sent
}

/// Sends `data` through and returns what was received, in reads of `at_most`.
pub(crate) async fn through<W, R>(from: &mut W, to: &mut R, data: &[u8], at_most: usize) -> Vec<u8>
where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    let write = async {
        from.write_all(data).await.unwrap();
        from.flush().await.unwrap();
    };
    let read = async {
        let (mut came, mut piece) = (Vec::new(), vec![0; at_most]);
        while came.len() < data.len() {
            let count = to.read(&mut piece).await.unwrap();
            assert!(count > 0, "the end came after {} of {} bytes", came.len(), data.len());
            came.extend_from_slice(&piece[..count]);
        }
        came
    };
    tokio::join!(write, read).1
}

#[tokio::test]
async fn bytes_arrive_as_they_were_sent_however_they_are_cut() {
    for (version, mut client, mut server) in pairs().await {
        for length in [1, 100, 16_383, 16_384, 16_385, 65_536, 65_537, 300_000] {
            let data = pattern(length);
            for at_most in [1_000, 16_384, 16_385, 1 << 20] {
                assert!(
                    through(&mut client, &mut server, &data, at_most).await == data,
                    "{version} {length}"
                );
                assert!(
                    through(&mut server, &mut client, &data, at_most).await == data,
                    "{version} {length}"
                );
            }
        }
        let few = pattern(40);
        assert!(through(&mut client, &mut server, &few, 1).await == few, "{version}");
    }
}

/// Sizes of writes and reads near the limits of records and of our buffers.
const SIZES: [usize; 13] = [
    1,
    2,
    100,
    4_096,
    16_383,
    16_384,
    16_385,
    65_536,
    FULL_READ - 1,
    FULL_READ,
    FULL_READ + 1,
    300_000,
    1 << 20,
];

/// Picks from [`SIZES`], or a smaller size; deterministic by seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as usize
    }

    fn size(&mut self) -> usize {
        let size = SIZES[self.roll() % SIZES.len()];
        match self.roll() % 4 {
            0 => 1 + self.roll() % size,
            _ => size,
        }
    }
}

/// Sends `data` in writes of any size, reads it in reads of any size, and returns what was received.
async fn in_any_cut<W, R>(from: &mut W, to: &mut R, data: &[u8], seed: u64) -> Vec<u8>
where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    let (mut writes, mut reads) = (Dice(seed), Dice(!seed));
    let write = async {
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(writes.size().min(rest.len()));
            from.write_all(piece).await.unwrap();
            // Flushed immediately, or with the next piece.
            if writes.roll() % 2 == 0 {
                from.flush().await.unwrap();
            }
            rest = behind;
        }
        from.flush().await.unwrap();
    };
    let read = async {
        let (mut came, mut room) = (Vec::new(), vec![0; 1 << 20]);
        while came.len() < data.len() {
            let count = to.read(&mut room[..reads.size()]).await.unwrap();
            assert!(count > 0, "the end came after {} of {} bytes", came.len(), data.len());
            came.extend_from_slice(&room[..count]);
        }
        came
    };
    tokio::join!(write, read).1
}

#[tokio::test]
async fn bytes_arrive_whatever_the_sizes_of_writes_and_reads_with_every_cipher() {
    const CIPHERS: [&str; 3] = ["AES_128_GCM", "AES_256_GCM", "CHACHA20_POLY1305"];
    let wanted = ["1.3", "1.2"].map(|version| CIPHERS.map(|cipher| (version, cipher)));
    for ((version, cipher), (client, server)) in
        wanted.as_flattened().iter().zip(connected(wanted.as_flattened()).await)
    {
        let what = server.describe();
        assert!(what.contains(&version.replace('.', "_")) && what.contains(cipher), "{what}");
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut server_reads, mut server_writes) = tokio::io::split(server);
        for seed in 0..4 {
            let (up, down) = (pattern(1_500_000), pattern(1_700_000));
            let came = tokio::join!(
                in_any_cut(&mut client_writes, &mut server_reads, &up, seed),
                in_any_cut(&mut server_writes, &mut client_reads, &down, seed + 100),
            );
            assert!(came == (up, down), "{what}, seed {seed}");
        }
    }
}

/// More data in both directions at once than all buffers hold, without a deadlock.
#[tokio::test]
async fn both_directions_move_at_once() {
    for (version, client, server) in pairs().await {
        let data = pattern(24 << 20);
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut server_reads, mut server_writes) = tokio::io::split(server);
        let (up, down) = tokio::join!(
            through(&mut client_writes, &mut server_reads, &data, 1 << 16),
            through(&mut server_writes, &mut client_reads, &data, 1 << 16),
        );
        assert!(up == data && down == data, "{version}");
    }
}

/// Each byte of the client's data arrives in a segment of its own.
#[tokio::test]
async fn a_line_that_drips_is_read_like_one_that_comes_at_once() {
    for (version, mut client, mut server) in pairs().await {
        let (tcp, tls) = client.get_mut();
        io::Write::write_all(&mut tls.writer(), b"a NOOP\r\n").unwrap();
        let mut sealed = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut sealed).unwrap();
        }
        let drip = async {
            for byte in sealed {
                tcp.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let mut line = [0; 8];
        tokio::join!(drip, async { server.read_exact(&mut line).await.unwrap() });
        assert_eq!(&line, b"a NOOP\r\n", "{version}");
    }
}

#[tokio::test]
async fn what_was_tampered_with_is_not_read_and_the_peer_is_told() {
    for (version, mut client, mut server) in pairs().await {
        client.write_all(b"first").await.unwrap();
        client.flush().await.unwrap();
        let (tcp, tls) = client.get_mut();
        io::Write::write_all(&mut tls.writer(), b"second").unwrap();
        let mut sealed = Vec::new();
        tls.write_tls(&mut sealed).unwrap();
        *sealed.last_mut().unwrap() ^= 1;
        tcp.write_all(&sealed).await.unwrap();

        let mut first = [0; 5];
        server.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"first", "{version}");
        for _ in 0..2 {
            let error = server.read_u8().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{version}: {error}");
        }
        assert!(server.write_all(b"x").await.is_err(), "{version}");
        let told = client.read_u8().await.unwrap_err().to_string();
        assert!(told.contains(&format!("{:?}", AlertDescription::BadRecordMac)), "{version}: {told}");
    }
}

#[tokio::test]
async fn nonsense_and_records_that_are_too_long_are_errors_and_no_hang() {
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[23, 3, 3, 0xff, 0xff], &[20, 3, 3, 0, 1, 1], &[23, 3, 3, 0, 0]]
    {
        for (version, mut client, mut server) in pairs().await {
            client.get_mut().0.write_all(garbage).await.unwrap();
            let read = tokio::time::timeout(Duration::from_secs(10), server.read_u8()).await.unwrap();
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData, "{version} {garbage:?}");
        }
    }
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_record_is_an_end_and_noted() {
    for (version, mut client, mut server) in pairs().await {
        client.get_mut().0.write_all(&[23, 3, 3, 0, 100, 1, 2, 3]).await.unwrap();
        client.into_inner().0.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0, "{version}");
        assert!(server.was_truncated(), "{version}");
        assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0, "{version}: and it stays one");
    }
}

/// close_notify is the end even if the connection stays open and more data follows.
#[tokio::test]
async fn nothing_is_read_behind_close_notify() {
    for (version, mut client, mut server) in pairs().await {
        let (tcp, tls) = client.get_mut();
        io::Write::write_all(&mut tls.writer(), b"bye").unwrap();
        tls.send_close_notify();
        let mut sealed = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut sealed).unwrap();
        }
        sealed.extend_from_slice(&[23, 3, 3, 0, 20]);
        sealed.extend_from_slice(&[0; 20]);
        tcp.write_all(&sealed).await.unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!((heard.as_str(), server.was_truncated()), ("bye", false), "{version}");
        server.write_all(b"still here").await.unwrap();
        server.shutdown().await.unwrap();
        assert!(server.write_all(b"too late").await.is_err(), "{version}");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "still here", "{version}");
    }
}

/// A peer that does not read costs a bounded buffer and no CPU.
#[tokio::test]
async fn a_writer_waits_for_a_peer_that_does_not_read() {
    for (version, client, mut server) in pairs().await {
        let sent = fill(&mut server, 0).await;
        assert!(sent < 64 << 20, "{version}: {sent} bytes went nowhere");
        drop(client);
        let end = async { while server.write(b"x").await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), end).await.expect("an error, and no hang");
    }
}

#[tokio::test]
async fn openssl_speaks_to_us() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), OffsetDateTime::now_utc()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let openssl = tokio::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &listener.address.to_string(), "-servername", "localhost"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut openssl) = openssl else {
        eprintln!("openssl is not installed; nothing was tested");
        return;
    };
    let mut server = listener.next().await.unwrap();
    let mut stdin = openssl.stdin.take().unwrap();
    let mut stdout = openssl.stdout.take().unwrap();
    for line in ["one\n", "two\n", "three\n"] {
        stdin.write_all(line.as_bytes()).await.unwrap();
        let mut came = vec![0; line.len()];
        server.read_exact(&mut came).await.unwrap();
        assert_eq!(came, line.as_bytes());
        server.write_all(format!("<{line}").as_bytes()).await.unwrap();
        server.flush().await.unwrap();
        let (mut heard, mut byte) = (String::new(), [0]);
        while !heard.ends_with(&format!("<{line}")) {
            assert_eq!(stdout.read(&mut byte).await.unwrap(), 1, "{heard}");
            heard.push(byte[0].into());
        }
    }
}

/// Each byte of the client's handshake, and of the data after it, arrives alone.
#[tokio::test]
async fn a_handshake_that_drips_is_a_handshake() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), OffsetDateTime::now_utc()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let dripping = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, target) = (dripping.local_addr().unwrap(), listener.address);
    tokio::spawn(async move {
        let (mut near, _) = dripping.accept().await.unwrap();
        let mut far = TcpStream::connect(target).await.unwrap();
        far.set_nodelay(true).unwrap();
        let (mut near_reads, mut near_writes) = near.split();
        let (mut far_reads, mut far_writes) = far.split();
        let up = async {
            while let Ok(byte) = near_reads.read_u8().await {
                far_writes.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(up, async { tokio::io::copy(&mut far_reads, &mut near_writes).await.unwrap() });
    });
    let program = MailProgram::trusting(&identity.ca_file().unwrap());
    let mut client = program.connect(address, "localhost").await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut server = listener.next().await.unwrap();
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

/// `read_exact` and similar calls return with a partly filled buffer.
#[tokio::test]
async fn a_record_longer_than_the_rest_of_a_filled_buffer_is_no_end() {
    for (version, mut client, mut server) in pairs().await {
        for piece in [&b"half of "[..], b"this and more", b"."] {
            client.write_all(piece).await.unwrap();
            client.flush().await.unwrap();
        }
        let mut came = [0; 12];
        server.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"half of this", "{version}");
        let mut rest = [0; 10];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b" and more.", "{version}");
    }
}

/// Writes of every size without a flush, key updates in both directions, a reader of changing speed, and tiny
/// socket buffers: waiting data is sent once and in order.
#[tokio::test]
async fn what_waits_goes_out_once_and_in_order() {
    for (version, mut client, server) in pairs().await {
        let socket = socket2::SockRef::from(server.tcp());
        socket.set_send_buffer_size(4096).unwrap();
        let sizes = (0..600_usize).map(|round| match round.wrapping_mul(2_654_435_761) % 11 {
            0 => 40_000,
            1 => 16_384,
            2 => 300_000,
            few => few * 7,
        });
        let sizes: Vec<usize> = sizes.collect();
        let data = pattern(sizes.iter().sum());
        let (mut reads, mut writes) = tokio::io::split(server);
        let write = async {
            let mut rest = data.as_slice();
            for size in sizes {
                let (now, later) = rest.split_at(size.min(rest.len()));
                writes.write_all(now).await.unwrap();
                rest = later;
            }
            writes.flush().await.unwrap();
        };
        let look = async {
            let (mut came, mut piece) = (Vec::new(), vec![0; 100_000]);
            let mut asked = 0_u8;
            while came.len() < data.len() {
                if version == "1.3" {
                    client.get_mut().1.refresh_traffic_keys().unwrap();
                }
                asked = asked.wrapping_add(1);
                client.write_all(&[asked]).await.unwrap();
                client.flush().await.unwrap();
                let at_most = 1 + usize::from(asked) * 390;
                let count = client.read(&mut piece[..at_most]).await.unwrap();
                assert!(count > 0, "{version}: the end came after {} of {} bytes", came.len(), data.len());
                came.extend_from_slice(&piece[..count]);
            }
            client.shutdown().await.unwrap();
            came
        };
        let hear = async {
            let mut heard = Vec::new();
            reads.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let all = async { tokio::join!(write, look, hear) };
        let ((), came, heard) = tokio::time::timeout(Duration::from_secs(60), all).await.expect("no hang");
        assert!(came == data, "{version}");
        let asked: Vec<u8> = (0..heard.len()).map(|at| (at + 1) as u8).collect();
        assert!(heard == asked, "{version}");
    }
}

/// The smallest records, and more of them than one read of the socket takes.
#[tokio::test]
async fn a_flood_of_tiny_records_is_read_whole() {
    for (version, mut client, mut server) in pairs().await {
        let data = pattern(60_000);
        let mut sealed = Vec::new();
        let (tcp, tls) = client.get_mut();
        for byte in &data {
            io::Write::write_all(&mut tls.writer(), &[*byte]).unwrap();
            tls.write_tls(&mut sealed).unwrap();
        }
        let read = async {
            let (mut came, mut piece) = (Vec::new(), vec![0; FULL_READ]);
            let mut at_most = [FULL_READ, 4096, FULL_READ - 1, 17, 18, 1000].into_iter().cycle();
            while came.len() < data.len() {
                let room = &mut piece[..at_most.next().unwrap()];
                let count = server.read(room).await.unwrap();
                assert!(count > 0, "{version}: the end came after {} bytes", came.len());
                came.extend_from_slice(&room[..count]);
            }
            came
        };
        let all = async { tokio::join!(async { tcp.write_all(&sealed).await.unwrap() }, read) };
        let ((), came) = tokio::time::timeout(Duration::from_secs(60), all).await.expect("no hang");
        assert!(came == data, "{version}");
    }
}
