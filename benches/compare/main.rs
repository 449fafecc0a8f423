//! The proxy beside nginx and HAProxy, in one run, on one machine.
//!
//! `cargo bench --bench compare` measures each of them several times in turn and prints medians and ratios.
//! `-- --crowd` measures up to 10,000 sessions, and 10,000 logins at once after an outage. `-- --accounts`
//! measures the costs that grow with the accounts in the store, `-- --store` PostgreSQL beside SQLite. `-- --soak SECONDS` runs mixed sessions and
//! fails if memory or descriptors grow. `scripts/bench` and `scripts/soak` first install missing programs.
//! Everything uses the loopback interface and is removed at the end.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a bench that fails stops")]
#![allow(unreachable_pub, missing_docs, clippy::large_futures, reason = "a program of its own")]

mod accounts;
#[path = "../../tests/common/mod.rs"]
mod common;
mod crowd;
mod fleet;
mod load;
mod measure;
mod peers;
mod plot;
#[path = "../../tests/postgres_server/mod.rs"]
mod postgres_server;
mod soak;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{ALICE, Site};
use sandbox::{DelayLine, Sandbox};

use measure::median;
use peers::Peer;

/// One line of the table: its name, and one figure for each peer and round.
struct Row {
    name: &'static str,
    goal: f64,
    figures: Vec<Vec<f64>>,
}

#[tokio::main]
async fn main() {
    // This process holds both ends of every session.
    let descriptors = rlimit::Resource::NOFILE.set(65_536, 65_536);
    if descriptors.is_err() {
        let _ = rlimit::increase_nofile_limit(u64::MAX);
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => table().await,
        ["--crowd"] => crowd::run().await,
        ["--accounts"] => accounts::run().await,
        ["--store"] => store::run().await,
        ["--ours", what] => ours(what).await,
        ["--distance"] => {
            let (site, password) = site().await;
            distance(&site, &password).await;
        }
        ["--soak", seconds] => soak::run(Duration::from_secs(seconds.parse().unwrap())).await,
        _ => panic!(
            "usage: compare [--crowd | --accounts | --store | --ours FIGURE | --distance | --soak SECONDS]"
        ),
    }
}

/// A provider with a huge and many small messages, and a proxy whose limits do not interfere.
async fn site() -> (Site, String) {
    let builder = Sandbox::builder().user(ALICE).huge_message(ALICE, "Huge", load::HUGE).big_mailbox(
        ALICE,
        "Small",
        load::SMALL_COUNT as usize,
        load::SMALL as usize,
    );
    let inbox = (load::SMALL_COUNT as usize, load::SMALL as usize);
    let builder = builder.big_mailbox(ALICE, "INBOX", inbox.0, inbox.1).submission().pop3();
    let limits = "[limits]\nconnections = 20000\nconnections_per_address = 20000\n";
    let site = Site::with_config(builder, limits).await;
    // Sent messages are counted and not kept.
    site.sandbox.controls().submission(|submission| submission.sink_above = 0);
    // Real mailboxes take one session each; the bench has one mailbox.
    site.configure_provider("pop3_max_connections_per_account = 64");
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap().to_owned();
    (site, password)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Repeats one figure for the proxy alone: for a profile, or to compare two builds.
async fn ours(what: &str) {
    let (site, password) = site().await;
    let peer = Arc::new(peers::proxy(&site, &password).await);
    let octets = setting("MIB", 512) << 20;
    eprintln!("process {}", peer.tree().0);
    for round in 1..=setting("ROUNDS", 3) {
        let cost = match what {
            "down" => load::down(&peer, 1, octets).await,
            "down8" => load::down(&peer, 8, octets).await,
            "up" => load::up(&peer, 1, octets).await,
            "up8" => load::up(&peer, 8, octets).await,
            "small" => load::small(&peer, octets / 4).await,
            "noop" => load::noop(&peer, 32, 400).await[0],
            "login" => load::login(&peer, setting("LOGINS", 800) as usize).await,
            "idle" => load::idle(&peer, setting("IDLE", 2000) as usize).await,
            "send" => load::send(&peer, octets / 4, load::SMALL).await,
            "send8m" => load::send(&peer, octets, load::LARGE).await,
            "auth" => load::login_to_send(&peer, setting("LOGINS", 800) as usize).await,
            "retr" => load::retrieve(&peer, octets / 4).await,
            "pass" => load::login_to_fetch(&peer, setting("LOGINS", 800) as usize).await,
            _ => panic!(
                "figures: down, down8, up, up8, small, noop, login, idle, send, send8m, auth, retr, pass"
            ),
        };
        println!("round {round}: {cost:.3}");
    }
}

#[allow(clippy::too_many_lines, reason = "a list of figures")]
async fn table() {
    let (rounds, octets) = (setting("ROUNDS", 3), setting("MIB", 512) << 20);
    let (logins, idle) = (setting("LOGINS", 800) as usize, setting("IDLE", 2000) as usize);
    let (site, password) = site().await;
    let mut all = vec![peers::proxy(&site, &password).await];
    all.extend(peers::relays(&site).await);
    let all: Vec<Arc<Peer>> = all.into_iter().map(Arc::new).collect();

    let names = [
        ("CPU-s per GiB down, 1 connection", 0.65),
        ("CPU-s per GiB down, 8 connections", 0.65),
        ("CPU-s per GiB up, 1 connection", 0.65),
        ("CPU-s per GiB up, 8 connections", 0.65),
        ("CPU-s per GiB in 32 KiB messages", 0.65),
        ("CPU-µs per NOOP, 32 connections", f64::NAN),
        ("NOOP round trip p50, 1 connection, µs", 1.0),
        ("NOOP round trip p99, 1 connection, µs", 1.0),
        ("NOOP round trip mean, 32 connections, µs", f64::NAN),
        ("NOOP round trip p50, 32 connections, µs", 1.0),
        ("NOOP round trip p99, 32 connections, µs", 1.0),
        ("CPU-ms per login", 0.6),
        ("CPU-s per GiB sent in 32 KiB messages", 0.65),
        ("CPU-s per GiB sent in 8 MiB messages", 0.65),
        ("CPU-ms per login of a sender", 0.6),
        ("CPU-s per GiB fetched by POP3 in 32 KiB messages", 0.65),
        ("CPU-ms per login by POP3", 0.6),
    ];
    let mut rows: Vec<Row> =
        names.iter().map(|&(name, goal)| Row { name, goal, figures: vec![Vec::new(); all.len()] }).collect();
    for round in 1..=rounds {
        for (at, peer) in all.iter().enumerate() {
            let [_, _, alone_p50, alone_p99] = load::noop(peer, 1, 4000).await;
            let [cpu, mean, p50, p99] = load::noop(peer, 32, 400).await;
            let figures = [
                load::down(peer, 1, octets).await,
                load::down(peer, 8, octets).await,
                load::up(peer, 1, octets).await,
                load::up(peer, 8, octets).await,
                load::small(peer, octets / 4).await,
                cpu,
                alone_p50,
                alone_p99,
                mean,
                p50,
                p99,
                load::login(peer, logins).await,
                load::send(peer, octets / 4, load::SMALL).await,
                load::send(peer, octets, load::LARGE).await,
                load::login_to_send(peer, logins).await,
                load::retrieve(peer, octets / 4).await,
                load::login_to_fetch(peer, logins).await,
            ];
            eprintln!("round {round} of {rounds}, {}: {figures:.2?}", peer.name);
            rows.iter_mut().zip(figures).for_each(|(row, figure)| row.figures[at].push(figure));
        }
    }
    let mut memory =
        Row { name: "KiB (Pss) per idle session", goal: f64::NAN, figures: vec![Vec::new(); all.len()] };
    for (at, peer) in all.iter().enumerate() {
        memory.figures[at].push(load::idle(peer, idle).await);
    }
    rows.push(memory);
    print_table(&rows, &all, rounds);
    drop(all);
    distance(&site, &password).await;
    site.sandbox.assert_no_violations();
}

fn print_table(rows: &[Row], all: &[Arc<Peer>], rounds: u64) {
    println!("\nMedians of {rounds} alternating rounds; memory once.\n");
    let names: Vec<&str> = all.iter().map(|peer| peer.name).collect();
    println!("| | {} | ours ÷ nginx | goal |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len() + 2));
    for row in rows {
        let figures: Vec<f64> = row.figures.iter().map(|figures| median(figures)).collect();
        let shown: Vec<String> = figures.iter().map(|figure| format!("{figure:.2}")).collect();
        let ratio = figures.get(1).map_or(String::new(), |nginx| format!("{:.2}", figures[0] / nginx));
        let goal = if row.goal.is_nan() { String::new() } else { format!("≤ {:.2}", row.goal) };
        println!("| {} | {} | {ratio} | {goal} |", row.name, shown.join(" | "));
    }
    if let Some(file) = std::env::var_os("SVG") {
        let figures = |row: &Row| row.figures.iter().map(|figures| median(figures)).collect();
        let rows: Vec<_> = rows.iter().map(|row| (row.name, figures(row))).collect();
        plot::write(file.as_ref(), &names, &rows);
    }
}

/// The time from LOGIN to OK with a round trip of 50 ms between the proxy and the provider.
async fn distance(site: &Site, password: &str) {
    let line = DelayLine::start(site.sandbox.imap_address(), Duration::from_millis(25)).await;
    let text = std::fs::read_to_string(&site.config).unwrap();
    let (near, far) = (site.sandbox.imap_address().to_string(), line.address().to_string());
    // Known by the presets for Gmail and Exchange, so that the proxy sends no CAPABILITY command.
    let known = "[providers.sandbox]\nsasl_ir = true\n";
    let text = text.replace(&near, &far).replace("[providers.sandbox]\n", known);
    std::fs::write(&site.config, text).unwrap();
    let peer = peers::proxy(site, password).await;
    let mut took = Vec::new();
    for _ in 0..11 {
        let mut client = peer.connect().await;
        let start = Instant::now();
        peer.say_login(&mut client).await;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "\nLOGIN to OK with 50 ms round trip to the provider: first {:.0} ms, then {:.0} ms (median of 10); TCP, TLS, greeting and AUTHENTICATE are 200 ms on this line.",
        took[0],
        median(&took[1..])
    );
}
