//! Mixed sessions for a chosen time; memory and descriptors must not grow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::mail::Client;
use tokio::task::JoinSet;

use super::peers::{self, Peer};
use super::{load, measure::Tree};

/// Concurrent mail programs.
const PROGRAMS: u64 = 64;
/// Growth after the first part that the allocator is allowed, in KiB.
const SLACK: f64 = 4096.0;

/// Runs for `time`, compares the second half with the first, and panics if it used more.
pub async fn run(time: Duration) {
    let (site, password) = super::site().await;
    let peer = Arc::new(peers::proxy(&site, &password).await);
    let fresh = peer.tree().descriptors();
    let start = Instant::now();
    let end = start + time;
    println!("|  s | MiB (Pss) | descriptors |\n|---:|---:|---:|");
    let middle = part(&peer, start, end - time / 2).await;
    let last = part(&peer, start, end).await;
    println!(
        "\nAt rest, half-way and at the end: {:.1} and {:.1} MiB, {} and {} descriptors ({fresh} when fresh); {} sessions in all",
        middle.0 / 1024.0,
        last.0 / 1024.0,
        middle.1,
        last.1,
        site.sandbox.controls().stats().logins
    );
    assert!(last.0 <= middle.0 + SLACK, "memory grew from {:.0} to {:.0} KiB", middle.0, last.0);
    assert!(last.1 <= fresh + 8, "descriptors grew from {fresh} to {}", last.1);
    site.sandbox.assert_no_violations();
}

/// Runs sessions until `end`; returns the proxy's memory and descriptors after all have ended.
async fn part(peer: &Arc<Peer>, start: Instant, end: Instant) -> (f64, usize) {
    let mut running = JoinSet::new();
    for seed in 0..PROGRAMS {
        let peer = peer.clone();
        running.spawn(async move {
            let mut turn = seed;
            while Instant::now() < end {
                session(&peer, turn).await;
                turn += 1;
            }
        });
    }
    let mut shown = Instant::now();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200).min(end - Instant::now())).await;
        // About a dozen lines in all, however long the run.
        if shown.elapsed() > (end - start) / 6 {
            shown = Instant::now();
            show(peer.tree(), start);
        }
    }
    running.join_all().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while peer.tree().descriptors() > 24 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (peer.tree().pss(), peer.tree().descriptors())
}

fn show(tree: Tree, start: Instant) {
    println!("| {} | {:.1} | {} |", start.elapsed().as_secs(), tree.pss() / 1024.0, tree.descriptors());
}

/// One of several operations of mail programs.
async fn session(peer: &Peer, turn: u64) {
    let mut client = peer.log_in().await;
    match turn % 5 {
        0 => {
            client.command("s", "SELECT Small").await;
            for number in 1..=8 {
                client.command("f", &format!("FETCH {number} BODY.PEEK[HEADER]")).await;
            }
            client.command("q", "LOGOUT").await;
        }
        1 => append(&mut client).await,
        2 => {
            client.command("s", "SELECT INBOX").await;
            client.send("i IDLE").await;
            client.line().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.send("DONE").await;
            client.until_tagged("i").await;
        }
        // Disconnects in the middle of an answer.
        3 => {
            client.command("s", "SELECT Huge").await;
            client.send("f FETCH 1 BODY.PEEK[]").await;
            client.line().await;
            client.stream_octets(load::SMALL, |_| {}).await;
        }
        _ => drop(client),
    }
}

/// Appends a message that the sandbox accepts and discards.
async fn append(client: &mut Client) {
    let octets = 33 << 20;
    client.send(&format!("u APPEND INBOX {{{octets}}}")).await;
    client.line().await;
    let mut sent = 0;
    while sent < octets {
        let piece = sandbox::pattern::chunk(sent, octets - sent);
        client.write(piece).await;
        sent += piece.len() as u64;
    }
    client.write(b"\r\n").await;
    client.until_tagged("u").await;
}
