//! What the store costs a login: PostgreSQL beside SQLite, many accounts beside few, several instances beside one.
//!
//! Four installations run at the same time and are measured in turn, so that other work of the machine affects all of
//! them alike: either store, with a handful of accounts and with `ACCOUNTS`. PostgreSQL is a server of the bench's own
//! on a Unix socket; its CPU is that of its process tree, and its statements are those that pg_stat_statements counts.
//! Clients and providers run in this process and are not counted, but they share the machine.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::fleet::{Cost, Fleet, INSTANCES, NOTED, PEOPLE, count_statements};
use super::measure::median;
use super::postgres_server::Server;
use super::{accounts, setting};

/// How long instances without logins are watched.
const IDLE: Duration = Duration::from_secs(10);

pub async fn run() {
    let (rounds, logins) = (setting("ROUNDS", 3), setting("LOGINS", 800) as usize);
    let many = setting("ACCOUNTS", 100_000);
    let server = Server::start();
    let postmaster = count_statements(&server).await;
    let mut fleets = Vec::new();
    for accounts in [PEOPLE as u64, many] {
        fleets.push(Fleet::on_sqlite(accounts).await);
        fleets.push(Fleet::on_postgres(&server, postmaster, accounts).await);
    }
    for fleet in &fleets {
        accounts::settled(fleet.instances[0].tree()).await;
        fleet.tidy().await;
        eprintln!("{} with {} accounts is ready", fleet.name, fleet.accounts);
    }
    let unasked = idle(&fleets[1]).await;
    quiet(&fleets[1], unasked).await;
    beside(&fleets, rounds, logins, unasked).await;
    together(&[&fleets[1], &fleets[3]], rounds, logins).await;
    refreshes(&fleets[..2], (logins / 4).max(PEOPLE), unasked).await;
}

/// The statements of instances without logins, a second and in all instances together, by kind.
async fn idle(fleet: &Fleet<'_>) -> [f64; 4] {
    let (tree, among) = (fleet.database().unwrap(), fleet.instances.len() as f64);
    let (statements, cpu, start) = (fleet.statements().await, tree.threads(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let seconds = start.elapsed().as_secs_f64() * among;
    let counts = fleet.statements_since(&statements).await;
    println!(
        "\nAn instance without logins: {:.1} statements and {:.2} ms CPU of the database a second.",
        counts.iter().sum::<f64>() / seconds,
        // The other installation has as many instances at the same server.
        tree.since(&cpu) * 1e3 / seconds / 2.0,
    );
    counts.map(|count| count / seconds * among)
}

/// Logins with pauses, in which connections become old enough to be asked whether the server still takes writes.
async fn quiet(fleet: &Fleet<'_>, unasked: [f64; 4]) {
    let (before, start) = (fleet.statements().await, Instant::now());
    for _ in 0..2 * PEOPLE {
        fleet.log_in(1, 1, 1).await;
    }
    let [read, _, asked, _] = fleet.statements_since(&before).await;
    let questions = (asked - unasked[2] * start.elapsed().as_secs_f64()).max(0.0);
    let logins = 2.0 * PEOPLE as f64;
    println!(
        "A login after a pause of {} ms: {:.2} reads and {:.2} questions whether the server takes writes.",
        NOTED.as_millis(),
        read / logins,
        questions / logins
    );
}

/// One instance, either store, few and many accounts; `unasked` are a database's statements a second without logins.
async fn beside(fleets: &[Fleet<'_>], rounds: u64, logins: usize, unasked: [f64; 4]) {
    let mut alone = vec![Vec::new(); fleets.len()];
    let mut eight = vec![Vec::new(); fleets.len()];
    let mut counted = vec![[0.0; 5]; fleets.len()];
    let first_logins = 2 * PEOPLE;
    for fleet in fleets {
        fleet.log_in(1, first_logins, 1).await;
    }
    for round in 1..=rounds {
        for (at, fleet) in fleets.iter().enumerate() {
            alone[at].push(fleet.log_in(1, logins / 4, 1).await);
            let (before, start) = (fleet.statements().await, Instant::now());
            eight[at].push(fleet.log_in(1, logins, 8).await);
            let since = fleet.statements_since(&before).await;
            let seconds = start.elapsed().as_secs_f64();
            let counts = since.into_iter().chain([seconds]);
            counted[at].iter_mut().zip(counts).for_each(|(sum, more)| *sum += more);
        }
        eprintln!("round {round} of {rounds} of one instance");
    }
    println!(
        "\nOne instance, eight logins at once; LOGIN to OK: one at a time. Medians of {rounds} rounds in turn.\n"
    );
    println!(
        "| store | accounts | CPU-ms a login | the database's | LOGIN to OK, ms | statements that it waits for | notes a login | others a second and instance |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (at, fleet) in fleets.iter().enumerate() {
        let done = (logins / 8 * 8) as f64 * rounds as f64;
        let [read, note, asked, other, seconds] = counted[at];
        let others = asked.min(unasked[2] * seconds);
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.2} | {:.3} | {:.3} | {:.1} |",
            fleet.name,
            fleet.accounts,
            of(&eight[at], |cost| cost.cpu),
            of(&eight[at], |cost| cost.database),
            of(&alone[at], |cost| cost.took),
            (read + asked - others) / done,
            note / done,
            other / seconds / fleet.instances.len() as f64,
        );
    }
    compare(&alone, &eight);
}

fn of(costs: &[Cost], figure: fn(&Cost) -> f64) -> f64 {
    median(&costs.iter().map(figure).collect::<Vec<_>>())
}

/// Prints how many accounts compare with few, and PostgreSQL with SQLite, with the goals.
fn compare(alone: &[Vec<Cost>], eight: &[Vec<Cost>]) {
    let ratio = |costs: &[Vec<Cost>], over: usize, under: usize, figure: fn(&Cost) -> f64| {
        of(&costs[over], figure) / of(&costs[under], figure)
    };
    println!("\n| ratio | CPU | LOGIN to OK | goal |\n|---|---:|---:|---:|");
    for (name, over, under, goal) in [
        ("PostgreSQL ÷ SQLite, few accounts", 1, 0, ""),
        ("PostgreSQL ÷ SQLite, many accounts", 3, 2, ""),
        ("many ÷ few accounts, SQLite", 2, 0, "≤ 1.10"),
        ("many ÷ few accounts, PostgreSQL", 3, 1, "≤ 1.10"),
    ] {
        let cpu = ratio(eight, over, under, |cost| cost.cpu);
        let took = ratio(alone, over, under, |cost| cost.took);
        println!("| {name} | {cpu:.2} | {took:.2} | {goal} |");
    }
    let database = ratio(eight, 3, 1, |cost| cost.database);
    println!("| many ÷ few accounts, CPU of the database | {database:.2} | | ≤ 1.10 |");
}

/// One, two and four instances on one database.
async fn together(fleets: &[&Fleet<'_>], rounds: u64, logins: usize) {
    let mut costs: HashMap<(usize, usize), Vec<Cost>> = HashMap::new();
    for round in 1..=rounds {
        for among in INSTANCES {
            for (at, fleet) in fleets.iter().enumerate() {
                fleet.log_in(among, 2 * 16, 16).await;
                costs.entry((at, among)).or_default().push(fleet.log_in(among, logins, 16).await);
            }
        }
        eprintln!("round {round} of {rounds} of several instances");
    }
    println!("\nSixteen logins at once, on PostgreSQL. Clients and providers share the processors.\n");
    println!(
        "| instances | accounts | logins a second | CPU-ms a login | the database's | LOGIN to OK, ms |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for among in INSTANCES {
        for (at, fleet) in fleets.iter().enumerate() {
            let of = |figure| of(&costs[&(at, among)], figure);
            println!(
                "| {among} | {} | {:.0} | {:.3} | {:.3} | {:.2} |",
                fleet.accounts,
                of(|cost| cost.a_second),
                of(|cost| cost.cpu),
                of(|cost| cost.database),
                of(|cost| cost.took)
            );
        }
    }
}

/// Logins whose access token the provider no longer takes; `unasked` are the database's statements a second without logins.
async fn refreshes(fleets: &[Fleet<'_>], count: usize, unasked: [f64; 4]) {
    println!(
        "\nLogins whose access token the provider refuses: a refresh and a second sign-in, eight at once.\n"
    );
    println!(
        "| store | refreshes | CPU-ms a login | the database's | statements a login | LOGIN to OK, ms |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for fleet in fleets {
        let controls = fleet.site.sandbox.controls();
        let (asked, before, start) = (controls.stats().refreshes, fleet.statements().await, Instant::now());
        let mut costs = Vec::new();
        for _ in 0..count / PEOPLE {
            controls.revoke_access_tokens();
            costs.push(fleet.log_in(1, PEOPLE, PEOPLE).await);
        }
        let refreshed = controls.stats().refreshes - asked;
        let statements: f64 = fleet.statements_since(&before).await.iter().sum();
        let others = unasked.iter().sum::<f64>() * start.elapsed().as_secs_f64();
        let others = if fleet.database.is_some() { others } else { 0.0 };
        let mean = |figure: fn(&Cost) -> f64| costs.iter().map(figure).sum::<f64>() / costs.len() as f64;
        println!(
            "| {} | {refreshed} | {:.2} | {:.2} | {:.1} | {:.2} |",
            fleet.name,
            mean(|cost| cost.cpu),
            mean(|cost| cost.database),
            (statements - others) / (costs.len() * PEOPLE) as f64,
            mean(|cost| cost.took)
        );
    }
}
