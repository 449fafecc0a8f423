//! Mail programs' operations in bulk. Each function returns one figure for one peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::mail::Client;
use sandbox::{pattern, pop3, smtp};
use tokio::task::JoinSet;

use super::measure::{Tree, percentile};
use super::peers::{Login, Peer};

/// The size of the one message in `Huge`.
pub const HUGE: u64 = 64 << 20;
/// Messages in `Small`, and their size.
pub const SMALL_COUNT: u64 = 64;
pub const SMALL: u64 = 32 << 10;
/// The size of a sent message with attachments.
pub const LARGE: u64 = 8 << 20;

const GIB: f64 = (1u64 << 30) as f64;

async fn sessions(peer: &Peer, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(peer.log_in().await);
    }
    clients
}

/// Runs `work` for all sessions at once, and returns the CPU seconds that `tree` used.
async fn cost<C, F: Future<Output = ()> + Send + 'static>(
    tree: Tree,
    clients: Vec<C>,
    work: impl Fn(C) -> F,
) -> f64 {
    let before = tree.cpu();
    let running: JoinSet<()> = clients.into_iter().map(work).collect();
    running.join_all().await;
    tree.cpu() - before
}

async fn fetch(client: &mut Client, number: u64) -> u64 {
    client.send(&format!("f FETCH {number} BODY.PEEK[]")).await;
    let line = client.line().await;
    let length = line.rsplit_once('{').and_then(|(_, rest)| rest.trim_end_matches('}').parse().ok());
    let Some(length) = length else { panic!("no literal: {line}") };
    client.stream_octets(length, |_| {}).await;
    while !client.line().await.starts_with("f OK") {}
    length
}

async fn select(client: &mut Client, mailbox: &str) {
    let answer = client.command("s", &format!("SELECT {mailbox}")).await;
    assert!(answer.last().is_some_and(|line| line.starts_with("s OK")), "{answer:?}");
}

/// CPU seconds for a GiB from the provider, over `connections`.
pub async fn down(peer: &Peer, connections: usize, octets: u64) -> f64 {
    let mut clients = sessions(peer, connections).await;
    for client in &mut clients {
        select(client, "Huge").await;
    }
    let each = (octets / HUGE / connections as u64).max(1);
    let spent = cost(peer.tree(), clients, move |mut client| async move {
        for _ in 0..each {
            fetch(&mut client, 1).await;
        }
    })
    .await;
    spent / ((each * connections as u64 * HUGE) as f64 / GIB)
}

/// CPU seconds for a GiB to the provider, over `connections`.
pub async fn up(peer: &Peer, connections: usize, octets: u64) -> f64 {
    let clients = sessions(peer, connections).await;
    let each = (octets / HUGE / connections as u64).max(1);
    let spent = cost(peer.tree(), clients, move |mut client| async move {
        for _ in 0..each {
            client.send(&format!("u APPEND INBOX {{{HUGE}}}")).await;
            assert!(client.line().await.starts_with('+'));
            let mut sent = 0;
            while sent < HUGE {
                let piece = pattern::chunk(sent, HUGE - sent);
                client.write(piece).await;
                sent += piece.len() as u64;
            }
            client.write(b"\r\n").await;
            let answer = client.until_tagged("u").await;
            assert!(answer.last().is_some_and(|line| line.starts_with("u OK")), "{answer:?}");
        }
    })
    .await;
    spent / ((each * connections as u64 * HUGE) as f64 / GIB)
}

/// CPU seconds for a GiB in messages of 32 KiB, one command each, over 8 connections.
pub async fn small(peer: &Peer, octets: u64) -> f64 {
    let mut clients = sessions(peer, 8).await;
    for client in &mut clients {
        select(client, "Small").await;
    }
    let each = octets / SMALL / 8;
    let spent = cost(peer.tree(), clients, move |mut client| async move {
        for number in 0..each {
            fetch(&mut client, number % SMALL_COUNT + 1).await;
        }
    })
    .await;
    spent / ((each * 8 * SMALL) as f64 / GIB)
}

/// CPU seconds for a GiB in sent messages of `size`, over 8 connections.
pub async fn send(peer: &Peer, octets: u64, size: u64) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = peer.connect_to_send().await;
        peer.say_auth(&mut client).await;
        clients.push(client);
    }
    let each = (octets / size / 8).max(1);
    let spent = cost(peer.tree(), clients, move |mut client| async move {
        for _ in 0..each {
            send_one(&mut client, size).await;
        }
    })
    .await;
    spent / ((each * 8 * size) as f64 / GIB)
}

/// Sends as senders do with PIPELINING (RFC 2920): the envelope in one write, then the message.
async fn send_one(client: &mut smtp::Client, size: u64) {
    let (from, to) = (super::common::ALICE, super::common::BOB);
    client.write(format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes()).await;
    for code in [250, 250, 354] {
        let reply = client.reply().await;
        assert_eq!(reply.code(), code, "{reply:?}");
    }
    let mut sent = 0;
    while sent < size {
        let piece = pattern::chunk(sent, size - sent);
        client.write(piece).await;
        sent += piece.len() as u64;
    }
    let reply = client.command("\r\n.").await;
    assert_eq!(reply.code(), 250, "{reply:?}");
}

/// CPU seconds a GiB in messages of 32 KiB, fetched by POP3 over 8 connections.
pub async fn retrieve(peer: &Peer, octets: u64) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = peer.connect_to_fetch().await;
        peer.say_pass(&mut client).await;
        // The messages of the bench lie behind those that every mailbox has.
        let all = client.list("LIST").await.len() as u64;
        let first = all - SMALL_COUNT + 1;
        let length = octets_of(&mut client, first).await;
        clients.push((client, first, length));
    }
    let each = octets / SMALL / 8;
    let spent = cost(peer.tree(), clients, move |(mut client, first, length)| async move {
        for number in 0..each {
            let status = client.command(&format!("RETR {}", first + number % SMALL_COUNT)).await;
            assert!(status.starts_with("+OK"), "{status}");
            client.octets(length).await;
        }
    })
    .await;
    spent / ((each * 8 * SMALL) as f64 / GIB)
}

/// Reads the rest of the answer to RETR, after its first line.
async fn octets_of(client: &mut pop3::Client, number: u64) -> usize {
    let lines = client.list(&format!("RETR {number}")).await;
    lines.iter().map(|line| line.len() + 2).sum::<usize>() + ".\r\n".len()
}

/// NOOPs over `connections`: CPU µs for each, and the mean, median and 99th percentile of the round trip in
/// µs.
pub async fn noop(peer: &Peer, connections: usize, each: usize) -> [f64; 4] {
    let clients = sessions(peer, connections).await;
    let before = peer.tree().cpu();
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let mut took = Vec::with_capacity(each);
            for _ in 0..each {
                let start = Instant::now();
                client.command("n", "NOOP").await;
                took.push(start.elapsed().as_secs_f64() * 1e6);
            }
            took
        });
    }
    let took: Vec<f64> = running.join_all().await.into_iter().flatten().collect();
    let spent = peer.tree().cpu() - before;
    let count = took.len() as f64;
    let mean = took.iter().sum::<f64>() / count;
    [spent * 1e6 / count, mean, percentile(&took, 50.0), percentile(&took, 99.0)]
}

/// CPU ms for a login, eight at a time, each on a new connection with a full handshake. For the proxy this
/// includes the password and the sign-in; for a relay it ends at the provider's greeting.
pub async fn login(peer: &Arc<Peer>, count: usize) -> f64 {
    logins(peer, count, |peer| async move {
        let mut client = peer.connect().await;
        if let Login::Password(_) = peer.login {
            peer.say_login(&mut client).await;
        }
    })
    .await
}

/// CPU ms for a sender's login.
pub async fn login_to_send(peer: &Arc<Peer>, count: usize) -> f64 {
    logins(peer, count, |peer| async move {
        let mut client = peer.connect_to_send().await;
        if let Login::Password(_) = peer.login {
            peer.say_auth(&mut client).await;
        }
    })
    .await
}

/// CPU ms for a login by POP3.
pub async fn login_to_fetch(peer: &Arc<Peer>, count: usize) -> f64 {
    logins(peer, count, |peer| async move {
        let mut client = peer.connect_to_fetch().await;
        if let Login::Password(_) = peer.login {
            peer.say_pass(&mut client).await;
        }
    })
    .await
}

async fn logins<F>(peer: &Arc<Peer>, count: usize, log_in: fn(Arc<Peer>) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = peer.tree().cpu();
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let peer = peer.clone();
        running.spawn(async move {
            for _ in 0..count / 8 {
                log_in(peer.clone()).await;
            }
        });
    }
    running.join_all().await;
    // Includes the cost of closing the last sessions.
    tokio::time::sleep(Duration::from_millis(200)).await;
    (peer.tree().cpu() - before) * 1e3 / (count / 8 * 8) as f64
}

/// Logs `count` sessions in, `at_once` at a time, and leaves them in IDLE.
pub async fn idlers(peer: &Arc<Peer>, count: usize, at_once: usize) -> Vec<Client> {
    let mut running = JoinSet::new();
    for worker in 0..at_once {
        let peer = peer.clone();
        let share = count / at_once + usize::from(worker < count % at_once);
        running.spawn(async move {
            let mut clients = Vec::new();
            for _ in 0..share {
                let mut client = peer.log_in().await;
                select(&mut client, "INBOX").await;
                client.send("i IDLE").await;
                while !client.line().await.starts_with('+') {}
                clients.push(client);
            }
            clients
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// KiB of the process tree for each of `count` sessions in IDLE.
pub async fn idle(peer: &Arc<Peer>, count: usize) -> f64 {
    let before = peer.tree().pss();
    let clients = idlers(peer, count, 16).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = peer.tree().pss();
    drop(clients);
    (after - before) / count as f64
}
