//! The life of a token on several instances, simulated from seeds.
//!
//! A run drives the product's [`Tokens`](imap_oauth_proxy::token::Tokens), with its requests and its reading of answers, over
//! a database and a provider in memory. tokio's clock advances only while every task waits. The seed decides how long
//! each step of the parts around the product takes, and whether it crashes, is suspended or loses its answer. One seed
//! is therefore one whole storm: it runs in some milliseconds, and runs the same way each time.
//!
//! ```text
//! cargo test --test simulation                                        some seeds, and the planted faults
//! SEED=42 cargo test --test simulation storm -- --nocapture           one seed, with its log
//! SEEDS=5000 FROM=1 cargo test --test simulation storm -- --nocapture so many seeds
//! MINUTES=5 cargo test --test simulation storm -- --nocapture         new seeds for so long
//! ```
//!
//! The scheduler is our own, not turmoil or madsim. turmoil moves each host in ticks of a millisecond, which makes an
//! hour of waiting for a lease cost millions of steps, and simulates sockets, which the life of a token does not use.
//! madsim replaces tokio and every crate above it. The product needs neither here: it only takes the time from a clock
//! that a test can set (`clock.rs`).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod audit;
mod chance;
mod database;
mod faults;
mod instance;
mod knobs;
mod process;
mod provider;
mod seat;
mod stories;
mod storm;
mod unused;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use faults::Fault;
use world::Report;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 150;
/// Seeds that have found a fault of the product, beside [`stories`].
const FOUND: [u64; 11] = [64, 88, 271, 499, 940, 1194, 1256, 4286, 5942, 7554, 10_025];
/// Events that must occur in a storm of these seeds; without them, finding no fault would prove nothing.
const BRINGS: [&str; 20] = [
    "clock jumps",
    "clock jumps of the database",
    "conflicts",
    "crashes",
    "cuts",
    "database away",
    "failovers",
    "leases left to a silent holder",
    "leases taken over",
    "logins",
    "logins as last known",
    "lost answers of the database",
    "lost answers of the provider",
    "orderly ends",
    "passing refusals",
    "pauses",
    "refreshes",
    "revocations",
    "statements that come late",
    "the process died",
];
/// A planted fault is found within this number of seeds.
const FOUND_WITHIN: u64 = 100;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// Fails with the whole log of the first run in `failed`.
fn tell(failed: &[Report]) {
    let Some(first) = failed.first() else { return };
    let seed = first.seed;
    println!("{}", storm::run(seed, None, true).log.join("\n"));
    let breaches: Vec<_> =
        failed.iter().map(|report| format!("seed {}: {}", report.seed, report.breaches.join("; "))).collect();
    panic!(
        "{}\nto replay: SEED={seed} cargo test --test simulation storm -- --nocapture",
        breaches.join("\n")
    );
}

#[test]
fn security_row_49_no_storm_loses_a_grant_or_spends_a_token_twice() {
    if let Some(seed) = number("SEED") {
        let report = storm::run(seed, None, true);
        println!("{}\n{:#?}", report.log.join("\n"), report.counts);
        assert!(report.breaches.is_empty(), "seed {seed}: {}", report.breaches.join("\n"));
        return;
    }
    let first = number("FROM").unwrap_or(0);
    let last = number("MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let seeds = number("SEEDS").unwrap_or(if last.is_some() { u64::MAX - first } else { SEEDS });
    let (began, mut done) = (Instant::now(), 0);
    let mut counts = BTreeMap::<&str, u64>::new();
    let mut failed = Vec::new();
    let found = FOUND.into_iter().filter(|_| last.is_none() && first == 0);
    for seed in found.chain(first..first + seeds) {
        if last.is_some_and(|last| Instant::now() > last) || failed.len() >= 20 {
            break;
        }
        let report = storm::run(seed, None, false);
        report.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
        done += 1;
        if !report.breaches.is_empty() {
            println!("seed {seed}: {}", report.breaches.join("; "));
            failed.push(report);
        }
    }
    println!("{done} seeds from {first} in {:.1} s: {counts:#?}", began.elapsed().as_secs_f64());
    tell(&failed);
    let missing: Vec<_> = BRINGS.iter().filter(|what| !counts.contains_key(**what)).collect();
    assert!(done < SEEDS || missing.is_empty(), "no storm brought {missing:?}");
}

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in 0..20 {
        let (one, other) = (storm::run(seed, None, true), storm::run(seed, None, true));
        let differs = one.log.iter().zip(&other.log).find(|(one, other)| one != other);
        assert!(differs.is_none(), "seed {seed}: {differs:?}");
        assert_eq!((one.hash, one.log.len()), (other.hash, other.log.len()), "seed {seed}");
    }
}

#[test]
fn planted_faults_are_found() {
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            let report = storm::run(seed, Some(fault), false);
            let harm = report.breaches.iter().find(|breach| breach.contains(fault.harm()));
            harm.map(|harm| (seed, harm.clone()))
        });
        match found {
            Some((seed, breach)) => println!("{fault:?} is found by seed {seed}: {breach}"),
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "not found in {FOUND_WITHIN} seeds: {missed:?}");
}
