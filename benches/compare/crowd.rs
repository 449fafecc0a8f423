//! Costs by the number of sessions, and the reconnection of all clients at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{load, peers};

/// Holds 10 to 10,000 sessions in IDLE and measures memory, descriptors and CPU for each login. Then as many
/// logins at once as in the last line, with an expired access token.
pub async fn run() {
    // This process holds both ends of every session.
    let affordable = rlimit::Resource::NOFILE.get_soft().unwrap() / 2 - 500;
    let most = usize::try_from(super::setting("CROWD", 10_000).min(affordable)).unwrap();
    let (site, password) = super::site().await;
    println!(
        "| sessions | MiB (Pss) | KiB a session | descriptors | CPU-ms a login |\n|---:|---:|---:|---:|---:|"
    );
    let steps = [10, 100, 1_000, 10_000];
    for count in steps.into_iter().filter(|&count| count < most).chain([most]) {
        let peer = Arc::new(peers::proxy(&site, &password).await);
        // Excludes one-time costs of the first sessions.
        drop(load::idlers(&peer, 8, 8).await);
        let (before, cpu) = (peer.tree().pss(), peer.tree().cpu());
        let clients = load::idlers(&peer, count, 8).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (after, cpu) = (peer.tree().pss(), peer.tree().cpu() - cpu);
        println!(
            "| {count} | {:.1} | {:.1} | {} | {:.2} |",
            after / 1024.0,
            (after - before) / count as f64,
            peer.tree().descriptors(),
            cpu * 1e3 / count as f64
        );
        drop(clients);
    }
    all_at_once(&site, &password, most).await;
}

/// `most` logins at once after all access tokens were revoked.
async fn all_at_once(site: &super::Site, password: &str, most: usize) {
    let peer = Arc::new(peers::proxy(site, password).await);
    site.sandbox.controls().expire_access_tokens();
    site.sandbox.controls().revoke_access_tokens();
    let refreshes = site.sandbox.controls().stats().refreshes;
    let before = peer.tree().cpu();
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..most {
        let peer = peer.clone();
        running.spawn(async move {
            let mut client = peer.connect().await;
            let answer = peer.try_login(&mut client).await;
            (answer, start.elapsed().as_secs_f64(), client)
        });
    }
    // Sessions stay open until the last login is answered.
    let (mut done, mut refusals) = (Vec::new(), BTreeMap::<String, usize>::new());
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((Ok(()), took, client)) => done.push((took, client)),
            Ok((Err(answer), ..)) => *refusals.entry(answer).or_default() += 1,
            Err(_) => *refusals.entry("no answer".to_owned()).or_default() += 1,
        }
    }
    for (answer, count) in refusals {
        println!("{count} were refused: {answer}");
    }
    let took: Vec<f64> = done.iter().map(|(took, _)| *took).collect();
    println!(
        "\n{} of {most} logins at once got in, after every access token had been revoked; median {:.1} s, last {:.1} s; \
         CPU {:.2} ms each; peak memory {:.0} MiB; {} refreshes",
        took.len(),
        super::measure::median(&took),
        took.iter().copied().fold(0.0, f64::max),
        (peer.tree().cpu() - before) * 1e3 / took.len() as f64,
        peer.tree().peak() / 1024.0,
        site.sandbox.controls().stats().refreshes - refreshes
    );
}
