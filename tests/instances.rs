//! Several instances on one PostgreSQL database, with real logins. `scripts/test` installs PostgreSQL and runs them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helper aborts the test")]

#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "simulation/chance.rs"]
mod chance;
mod common;
#[path = "instances/loops.rs"]
mod loops;
mod postgres_server;
#[path = "instances/rotation.rs"]
mod rotation;
#[path = "instances/shared.rs"]
mod shared;
#[path = "instances/together.rs"]
mod together;

use std::path::PathBuf;
use std::time::Duration;

use common::client::{Answer, Client};
use common::{ALICE, BOB, Ran, Serving, Site};
use postgres_server::Server;
use sandbox::{Builder, Gate, Rotation, Sandbox, TokenFault};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

/// A change on one instance holds on the others within this time.
const SOON: Duration = Duration::from_secs(5);

/// An installation whose store is in a database, and a second machine's state directory for it.
struct Machines {
    site: Site,
    url: String,
    other: PathBuf,
}

impl Machines {
    async fn on(server: &Server) -> Self {
        Self::with(server, "").await
    }

    async fn with(server: &Server, more: &str) -> Self {
        Self::at(server.database().await, more).await
    }

    async fn at(url: String, more: &str) -> Self {
        Self::by(Sandbox::builder().user(ALICE).user(BOB), url, more).await
    }

    async fn by(provider: Builder, url: String, more: &str) -> Self {
        let more = &format!("{more}\n[metrics]\naddress = \"127.0.0.1:0\"");
        let key = "key_file = \"shared.key\"";
        let site = Site::with_config(provider, &format!("[store]\nurl = \"{url}\"\n{key}\n{more}")).await;
        let other = site.home.path().join("other.toml");
        let text = std::fs::read_to_string(&site.config).unwrap();
        std::fs::write(&other, text.replace("\"state\"", "\"other\"")).unwrap();
        common::set_mode(&other, 0o600);
        Self { site, url, other }
    }

    /// Runs a command on the second machine.
    async fn run_on_other(&self, words: &[&str]) -> Ran {
        self.site.run_at(&self.other, words, "").await
    }

    async fn serve_both(&self) -> (Serving, Serving) {
        (self.site.serve().await, self.site.serve_at(&self.other).await)
    }
}

async fn try_to_log_in(serving: &Serving, settings: &Value) -> (Client, Answer) {
    let mut client = Client::connect(serving.address(), &serving.ca_file()).await;
    let answer = client.command(&common::login(settings)).await;
    (client, answer)
}

/// The status and the line of `/readyz`.
async fn readyz(serving: &Serving) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = serving.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, line) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {line}", head.split(' ').nth(1).unwrap())
}

/// Waits until `/readyz` says `text`.
async fn is_ready_so(serving: &Serving, text: &str) {
    let mut line = String::new();
    let saying = async {
        while !line.contains(text) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            line = readyz(serving).await;
        }
    };
    let said = tokio::time::timeout(sandbox::PATIENCE, saying).await;
    assert!(said.is_ok(), "/readyz never says {text:?}, but: {line}");
}

async fn is_told_goodbye(session: &mut Client) {
    let bye = tokio::time::timeout(SOON, session.line()).await.expect("a BYE within five seconds");
    assert!(bye.starts_with("* BYE "), "{bye}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn what_is_authorised_on_one_machine_logs_in_on_both_and_what_is_revoked_on_one_ends_on_both() {
    let machines = Machines::on(Server::shared()).await;
    let (one, other) = machines.serve_both().await;
    let settings = machines.site.authorize(ALICE).await;
    let (mut here, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    let (mut there, answer) = try_to_log_in(&other, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(there.command("SELECT INBOX").await.is_ok());

    let began = std::time::Instant::now();
    let ran = machines.run_on_other(&["passwords", "revoke", ALICE, "default"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    is_told_goodbye(&mut there).await;
    is_told_goodbye(&mut here).await;
    assert!(began.elapsed() < SOON);
    for serving in [&one, &other] {
        let (_, answer) = try_to_log_in(serving, &settings).await;
        assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
    }
    machines.site.sandbox.assert_no_violations();
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn two_machines_and_200_logins_at_once_make_one_refresh() {
    let (machines, settings) = with_an_ended_token(Server::shared(), Rotation::Strict).await;
    let controls = machines.site.sandbox.controls();
    let (one, other) = machines.serve_both().await;
    let gate = Gate::new();
    controls.next_token(TokenFault::Hold(gate.clone()));
    let crowd = crowd(200, [&one, &other], &settings);
    gate.arrived(1).await;
    gate.open();
    crowd.join_all().await;
    let stats = controls.stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (1, 0));
}

/// Starts `logins` logins at once, alternating between two instances. Each must succeed.
fn crowd(logins: usize, at: [&Serving; 2], settings: &Value) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for number in 0..logins {
        let serving = at[number % 2];
        let (address, ca_file, login) = (serving.address(), serving.ca_file(), common::login(settings));
        crowd.spawn(async move {
            let mut client = Client::connect(address, &ca_file).await;
            let answer = client.command(&login).await;
            assert!(answer.is_ok(), "{answer:?}");
        });
    }
    crowd
}

/// The machines, and Alice's settings, whose access token has just expired.
async fn with_an_ended_token(server: &Server, rotation: Rotation) -> (Machines, Value) {
    let machines = Machines::on(server).await;
    let controls = machines.site.sandbox.controls();
    controls.oauth(|switches| switches.rotation = rotation);
    controls.next_token(TokenFault::expires_in(json!(1)));
    let settings = machines.site.authorize(ALICE).await;
    let ends = machines.site.tokens().await.0[0]["access_expires_at"].as_str().unwrap().to_owned();
    let left = OffsetDateTime::parse(&ends, &Rfc3339).unwrap() - OffsetDateTime::now_utc();
    tokio::time::sleep(left.max(time::Duration::ZERO).unsigned_abs()).await;
    (machines, settings)
}

/// Sends a LOGIN without waiting for its answer.
async fn begin_to_log_in(serving: &Serving, settings: &Value) -> Client {
    let mut client = serving.client().await;
    client.send(format!("a {}\r\n", common::login(settings))).await;
    client
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn the_refresh_of_an_instance_that_was_killed_is_made_by_another_one() {
    let (machines, settings) = with_an_ended_token(Server::shared(), Rotation::Never).await;
    let (one, other) = machines.serve_both().await;
    let gate = Gate::new();
    machines.site.sandbox.controls().next_token(TokenFault::Hold(gate.clone()));
    let _waiting = begin_to_log_in(&one, &settings).await;
    gate.arrived(1).await;
    one.kill().await;
    // As if half a minute had passed:
    let sql =
        "UPDATE holders SET seen = seen - interval '31 s' WHERE name IN (SELECT lease_holder FROM grants)";
    assert_eq!(Server::shared().run(&machines.url, sql).await, 1);
    gate.open();
    let (_, answer) = try_to_log_in(&other, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(machines.site.sandbox.controls().stats().refreshes, 2, "the first one's answer is lost");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_rotated_token_is_written_when_the_database_is_back() {
    let server = Server::start();
    let (machines, settings) = with_an_ended_token(&server, Rotation::Strict).await;
    let one = machines.site.serve().await;
    let gate = Gate::new();
    let controls = machines.site.sandbox.controls();
    controls.next_token(TokenFault::Hold(gate.clone()));
    let mut waiting = begin_to_log_in(&one, &settings).await;
    gate.arrived(1).await;
    server.crash();
    gate.open();
    server.start_again();
    assert!(waiting.line().await.starts_with("* CAPABILITY "));
    assert!(waiting.line().await.starts_with("a OK "));
    // The next process runs on another machine, so that only the database can be the source.
    controls.revoke_access_tokens();
    let other = machines.site.serve_at(&machines.other).await;
    let (_, answer) = try_to_log_in(&other, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    let stats = controls.stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (2, 0));
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_database_that_is_away_lets_in_who_was_seen_lately_and_nobody_else() {
    let server = Server::start();
    let machines = Machines::on(&server).await;
    let (alice, bob) = (machines.site.authorize(ALICE).await, machines.site.authorize(BOB).await);
    let mut one = machines.site.serve().await;
    let (mut session, answer) = try_to_log_in(&one, &alice).await;
    assert!(answer.is_ok(), "{answer:?}");

    is_ready_so(&one, "tells of changes by other instances at once").await;
    server.crash();
    assert!(session.command("SELECT INBOX").await.is_ok(), "sessions go on");
    is_ready_so(&one, "200 accounts that were seen lately can log in").await;
    let (_, answer) = try_to_log_in(&one, &alice).await;
    assert!(answer.is_ok(), "she was seen lately: {answer:?}");
    let wrong = json!({"username": ALICE, "password": "wrong"});
    let (_, answer) = try_to_log_in(&one, &wrong).await;
    assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
    let (_, answer) = try_to_log_in(&one, &bob).await;
    assert!(answer.refused_with("UNAVAILABLE"), "down is not \"no such account\": {answer:?}");

    server.start_again();
    one.logs("answers again").await;
    let (_, answer) = try_to_log_in(&one, &bob).await;
    assert!(answer.is_ok(), "{answer:?}");
    let ran = machines.run_on_other(&["passwords", "revoke", ALICE, "default"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    is_told_goodbye(&mut session).await;
    let (_, answer) = try_to_log_in(&one, &alice).await;
    assert!(
        answer.refused_with("AUTHENTICATIONFAILED"),
        "what is remembered ends with an answer: {answer:?}"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_database_that_hangs_delays_one_login_and_no_later_one() {
    let server = Server::start();
    let machines = Machines::on(&server).await;
    let settings = machines.site.authorize(ALICE).await;
    let mut one = machines.site.serve().await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    server.freeze();
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "as last known: {answer:?}");
    let began = std::time::Instant::now();
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok() && began.elapsed() < Duration::from_secs(5), "{:?} {answer:?}", began.elapsed());
    server.thaw();
    one.logs("answers again").await;
    let ran = machines.run_on_other(&["passwords", "revoke", ALICE, "default"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn without_a_memory_a_database_that_is_away_is_unavailable_at_once() {
    let server = Server::start();
    let machines = Machines::with(&server, "stale_seconds = 0").await;
    let settings = machines.site.authorize(ALICE).await;
    let mut one = machines.site.serve().await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    server.crash();
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.refused_with("UNAVAILABLE"), "{answer:?}");
    is_ready_so(&one, "503 its store does not answer").await;
    server.start_again();
    one.logs("answers again").await;
    is_ready_so(&one, "200 logins can succeed").await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_database_that_cannot_be_used_is_one_sentence() {
    let server = Server::shared();
    let machines = Machines::on(server).await;
    machines.site.authorize(ALICE).await;
    let text = std::fs::read_to_string(&machines.site.config).unwrap();
    let start_with = async |from: &str, to: &str| {
        let config = machines.site.home.path().join("wrong.toml");
        std::fs::write(&config, text.replace(from, to)).unwrap();
        common::set_mode(&config, 0o600);
        machines.site.run_at(&config, &["serve"], "").await
    };
    let url = machines.url.as_str();
    for (from, to, code, said) in [
        (url, "postgres://proxy@127.0.0.1:1/mail", 1, "look whether the server runs"),
        (url, &*server.url("nothing"), 1, "make it with createdb"),
        (url, "postgres://127.0.0.1/mail", 2, "names no user"),
        ("\"shared.key\"", "\"another.key\"", 1, "key"),
    ] {
        let ran = start_with(from, to).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.error().contains(said), "{ran:?}");
    }
    // Another key than the one that sealed the store.
    let key = machines.site.home.path().join("shared.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, "1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    let ran = start_with("x", "x").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    std::fs::write(&key, kept).unwrap();
    assert_eq!(machines.site.tokens().await.1, 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_store_moves_into_postgresql_with_everything_and_the_old_one_refuses() {
    let url = Server::shared().database().await;
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let migrate = ["store", "migrate", "--to", &url];
    let apply = ["store", "migrate", "--to", &url, "--apply"];
    let serving = site.serve().await;
    let ran = site.run(&migrate).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("would move 1 accounts, 1 grants, 1 app passwords"), "{ran:?}");
    let ran = site.run(&apply).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.error().contains("is held by a serve"), "{ran:?}");
    serving.stop().await;
    assert_eq!(site.tokens().await.1, 0, "nothing was changed");

    let ran = site.run(&apply).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = site.run(&["tokens", "list"]).await;
    assert!(ran.code == 1 && ran.error().contains("it was moved to"), "{ran:?}");
    let ran = site.run(&apply).await;
    assert!(ran.code == 1 && ran.error().contains("it was moved to"), "{ran:?}");

    site.configure(&format!("[store]\nurl = \"{url}\""));
    let serving = site.serve().await;
    let (mut client, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(client.command("SELECT INBOX").await.is_ok());
    let events = site.run(&["events", "list", "--json"]).await;
    assert!(events.out.contains("authorized"), "the trail goes along: {events:?}");
    assert!(events.out.contains("store_moved"), "{events:?}");
    site.sandbox.assert_no_violations();
    serving.stop().await;

    // An import into a store that is not empty is refused.
    let another = Site::new().await;
    another.authorize(BOB).await;
    let ran = another.run(&apply).await;
    assert!(ran.code == 1 && ran.error().contains("is not empty"), "{ran:?}");
    assert_eq!(another.tokens().await.1, 0, "the old store stays in force");
}

/// Checks the promises that must hold through a pooler: many logins cause one refresh, and a revocation ends sessions
/// on every instance.
async fn holds_at(machines: &Machines) {
    let controls = machines.site.sandbox.controls();
    controls.oauth(|switches| switches.rotation = Rotation::Strict);
    let settings = machines.site.authorize(ALICE).await;
    let (one, other) = machines.serve_both().await;
    controls.revoke_access_tokens();
    let crowd = crowd(40, [&one, &other], &settings);
    crowd.join_all().await;
    assert_eq!(controls.stats().refresh_token_reuses, 0);
    let (mut there, answer) = try_to_log_in(&other, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    let ran = machines.site.run(&["passwords", "revoke", ALICE, "default"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    is_told_goodbye(&mut there).await;
    for serving in [one, other] {
        let (_, answer) = try_to_log_in(&serving, &settings).await;
        assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
        let (code, log) = serving.stop().await;
        assert!(code == 0 && !log.contains("ERROR"), "{log}");
    }
    machines.site.sandbox.assert_no_violations();
}

/// A database of `server`, and its URL through the pooler.
async fn pooled(server: &Server) -> (String, String) {
    let url = server.database().await;
    let pooled = server.pooled_url(url.rsplit('/').next().unwrap());
    (url, pooled)
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn everything_holds_through_a_pooler_in_session_mode() {
    let server = Server::start();
    server.add_pooler("session");
    let (_, pooled) = pooled(&server).await;
    holds_at(&Machines::at(pooled, "").await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn everything_holds_through_a_pooler_in_transaction_mode_with_and_without_a_way_round_it() {
    let server = Server::start();
    server.add_pooler("transaction");
    let (direct, through) = pooled(&server).await;
    holds_at(&Machines::at(through, &format!("listen_url = \"{direct}\"")).await).await;
    let (_, through) = pooled(&server).await;
    let machines = Machines::at(through, "").await;
    let mut serving = machines.site.serve().await;
    serving.said("notices do not arrive").await;
    let line = readyz(&serving).await;
    assert!(line.starts_with("200 ") && line.contains("looked for every second"), "{line}");
    serving.stop().await;
    holds_at(&machines).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_server_on_another_machine_proves_its_name_and_takes_the_password_of_a_file() {
    let server = Server::start();
    let name = server.database().await;
    let name = name.rsplit('/').next().unwrap();
    let (address, ca) = server.with_tls("s3cret & more").await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("password");
    std::fs::write(&file, "s3cret & more\n").unwrap();
    common::set_mode(&file, 0o600);
    let url = |options: &str| format!("postgres://proxy@{address}/{name}?{options}");
    let good = url(&format!("sslmode=verify-full&sslrootcert={ca}"));
    let machines = Machines::at(good.clone(), &format!("password_file = \"{}\"", file.display())).await;
    let settings = machines.site.authorize(ALICE).await;
    let serving = machines.site.serve().await;
    let (_, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    let (_, log) = serving.stop().await;
    assert!(!log.contains("s3cret"), "{log}");

    let text = std::fs::read_to_string(&machines.site.config).unwrap();
    let config = machines.site.home.path().join("wrong.toml");
    for (options, said) in [
        ("sslmode=verify-full".to_owned(), "look at sslmode and sslrootcert"),
        ("sslmode=disable".to_owned(), "no pg_hba.conf entry"),
        (format!("sslmode=verify-full&sslrootcert={ca}.nothing"), "whether the files named there exist"),
    ] {
        std::fs::write(&config, text.replace(&good, &url(&options))).unwrap();
        common::set_mode(&config, 0o600);
        let ran = machines.site.run_at(&config, &["serve"], "").await;
        assert!(ran.code == 1 && ran.error().contains(said), "{ran:?}");
    }
    std::fs::write(&file, "wrong\n").unwrap();
    let ran = machines.site.run(&["serve"]).await;
    assert!(ran.code == 1 && ran.error().contains("look at user and password_file"), "{ran:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_failover_loses_no_token_and_a_standby_is_down_and_not_empty() {
    let server = Server::start();
    let name = server.database().await;
    server.add_standby().await;
    let url = server.moving_url(name.rsplit('/').next().unwrap());
    let machines = Machines::at(url, "").await;
    let controls = machines.site.sandbox.controls();
    controls.oauth(|switches| switches.rotation = Rotation::Strict);
    let (alice, bob) = (machines.site.authorize(ALICE).await, machines.site.authorize(BOB).await);
    let mut one = machines.site.serve().await;
    let (mut session, answer) = try_to_log_in(&one, &alice).await;
    assert!(answer.is_ok(), "{answer:?}");

    server.fail_over();
    server.crash();
    let (_, answer) = try_to_log_in(&one, &alice).await;
    assert!(answer.is_ok(), "she was seen lately: {answer:?}");
    let (_, answer) = try_to_log_in(&one, &bob).await;
    assert!(answer.refused_with("UNAVAILABLE"), "a standby takes no refresh: {answer:?}");
    let ran = machines.run_on_other(&["serve"]).await;
    assert!(ran.code == 1 && ran.error().contains("it is a standby"), "{ran:?}");

    server.promote();
    one.logs("answers again").await;
    controls.revoke_access_tokens();
    for settings in [&alice, &bob] {
        let (_, answer) = try_to_log_in(&one, settings).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert!(session.command("NOOP").await.is_ok());
    assert_eq!(controls.stats().refresh_token_reuses, 0);
    let ran = machines.run_on_other(&["passwords", "revoke", ALICE, "default"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    is_told_goodbye(&mut session).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_what_is_remembered_ends_with_its_seconds() {
    let server = Server::start();
    let machines = Machines::with(&server, "stale_seconds = 2").await;
    let settings = machines.site.authorize(ALICE).await;
    let one = machines.site.serve().await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    server.crash();
    // Attempts are accepted only within the first two seconds.
    let began = std::time::Instant::now();
    loop {
        let (_, answer) = try_to_log_in(&one, &settings).await;
        if answer.refused_with("UNAVAILABLE") {
            break;
        }
        assert!(answer.is_ok() && began.elapsed() < Duration::from_secs(30), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
