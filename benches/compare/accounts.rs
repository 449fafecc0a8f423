//! Costs that may grow with the accounts in the store.

use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions as _;
use tokio::io::AsyncReadExt as _;

use super::common::{ALICE, Site};
use super::measure::{Tree, median};
use super::setting;
use sandbox::Sandbox;

/// Adds accounts with a grant, an alias and an app password each. None of their secrets opens, and no grant
/// is due.
pub const FILL: &str = "
    CREATE TEMP TABLE more AS WITH RECURSIVE n(i) AS (SELECT (SELECT count(*) FROM accounts) UNION ALL SELECT i + 1 FROM n \
        WHERE i + 1 < COUNT) SELECT i FROM n;
    BEGIN;
    INSERT INTO grants (id, revision, provider, owner, owner_folded, scopes, refresh_token, access_token, access_expires_at, \
        state, authorized_at, refreshed_at)
        SELECT 'grant-number-' || i, 1, g.provider, 'user' || i, 'user' || i, g.scopes, g.refresh_token, g.access_token, \
        g.access_expires_at, g.state, g.authorized_at, unixepoch() FROM (SELECT * FROM grants WHERE owner NOT LIKE 'user%' LIMIT 1) g, more;
    INSERT INTO accounts (id, name, grant_id) \
        SELECT 'account-number-' || i, 'user' || i || '@example.com', 'grant-number-' || i FROM more;
    INSERT INTO login_names SELECT 'user' || i || '@example.com', 'user' || i || '@example.com', 'account-number-' || i FROM more;
    INSERT INTO login_names SELECT 'corp\\' || i, 'CORP\\' || i, 'account-number-' || i FROM more;
    INSERT INTO passwords (id, account_id, name, generated, created_at) \
        SELECT 'password-number-' || i, 'account-number-' || i, 'default', x'00', unixepoch() FROM more;
    COMMIT";

/// How long an idle `serve` is measured after it has read all accounts.
const IDLE: Duration = Duration::from_secs(30);

pub async fn run() {
    let site = Site::with(Sandbox::builder().user(ALICE)).await;
    let settings = site.authorize(ALICE).await;
    println!(
        "| accounts | start, ms | LOGIN to OK, ms | tokens list --json, s | its peak, MiB | idle, % of a core | idle, MiB (RSS) |\n\
         |---:|---:|---:|---:|---:|---:|---:|"
    );
    let most = setting("ACCOUNTS", 100_000);
    for count in [1_000, 10_000, 100_000].into_iter().filter(|count| *count <= most) {
        fill(&site, count).await;

        let start = Instant::now();
        let serving = site.serve().await;
        let started = start.elapsed();
        let tree = Tree(serving.process().0);
        let mut took = Vec::new();
        for _ in 0..11 {
            let start = Instant::now();
            drop(serving.log_in(&settings).await);
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let (listed, peak) = list(&site, count).await;
        settled(tree).await;
        let (cpu, start) = (tree.cpu(), Instant::now());
        tokio::time::sleep(IDLE).await;
        let share = (tree.cpu() - cpu) / start.elapsed().as_secs_f64() * 100.0;
        println!(
            "| {count} | {:.0} | {:.1} | {listed:.2} | {:.0} | {share:.2} | {:.0} |",
            started.as_secs_f64() * 1e3,
            median(&took),
            peak / 1024.0,
            serving.process().resident() as f64 / 1024.0
        );
        serving.stop().await;
    }
}

/// Fills a store in SQLite up to `count` accounts.
pub async fn fill(site: &Site, count: u64) {
    let sql = FILL.replace("COUNT", &count.to_string());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.state().join("store.sqlite"));
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
}

/// Seconds and KiB of `tokens list --json`; its output is read while it is produced.
async fn list(site: &Site, count: u64) -> (f64, f64) {
    let start = Instant::now();
    let mut command = site.command(&["tokens", "list", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, tree) = (child.stdout.take().unwrap(), Tree(child.id().unwrap()));
    let (mut text, mut peak) = (Vec::new(), 0.0_f64);
    loop {
        let read = out.read_buf(&mut text).await.unwrap();
        if read == 0 {
            break;
        }
        if text.len() % (1 << 20) < read {
            peak = peak.max(tree.peak());
        }
    }
    child.wait().await.unwrap();
    let took = start.elapsed().as_secs_f64();
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(listed.len() as u64, count);
    (took, peak)
}

/// Waits until the process has finished its reads after the start.
pub async fn settled(tree: Tree) {
    let mut before = tree.cpu();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let now = tree.cpu();
        if now - before < 0.1 {
            return;
        }
        before = now;
    }
}
