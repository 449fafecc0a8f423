//! The life of a grant between two consents: one refresh for all logins, no token lost by any fault of the provider or
//! the machine, renewal before a login waits, and events when a person is needed.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::time::Duration;

use common::client::{Answer, Client};
use common::{ALICE, BOB, Serving, Site, within};
use sandbox::{Gate, Rotation, Sandbox, TokenFault};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A revocation ends running sessions within this time.
const SOON: Duration = Duration::from_secs(5);

async fn tamper(site: &Site, sql: &str) {
    site.tamper(sql, &[]).await;
}

/// A site whose access token for Alice has just expired.
async fn with_an_ended_token(rotation: Rotation) -> (Site, Value) {
    let site = Site::new().await;
    let controls = site.sandbox.controls();
    controls.oauth(|switches| switches.rotation = rotation);
    controls.next_token(TokenFault::expires_in(json!(1)));
    let settings = site.authorize(ALICE).await;
    let ends = site.tokens().await.0[0]["access_expires_at"].as_str().unwrap().to_owned();
    let left = OffsetDateTime::parse(&ends, &Rfc3339).unwrap() - OffsetDateTime::now_utc();
    tokio::time::sleep(left.max(time::Duration::ZERO).unsigned_abs()).await;
    (site, settings)
}

async fn try_to_log_in(serving: &Serving, settings: &Value) -> (Client, Answer) {
    let mut client = serving.client().await;
    let (user, password) = (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
    let answer = client.command(&format!("LOGIN \"{user}\" \"{password}\"")).await;
    (client, answer)
}

/// Sends a LOGIN without waiting for its answer.
async fn begin_to_log_in(serving: &Serving, settings: &Value) -> Client {
    let mut client = serving.client().await;
    let (user, password) = (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
    client.send(format!("a LOGIN \"{user}\" \"{password}\"\r\n")).await;
    client
}

/// Starts `count` logins, spread over `servings`; all must succeed.
async fn crowd(servings: &[&Serving], settings: &[&Value], count: usize) -> JoinSet<Client> {
    let mut crowd = JoinSet::new();
    for number in 0..count {
        let serving = servings[number % servings.len()];
        let (address, ca_file) = (serving.address(), serving.ca_file());
        let settings = settings[number % settings.len()].clone();
        crowd.spawn(async move {
            let mut client = Client::connect(address, &ca_file).await;
            let (user, password) =
                (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
            let answer = client.command(&format!("LOGIN \"{user}\" \"{password}\"")).await;
            assert!(answer.is_ok(), "{answer:?}");
            client
        });
    }
    crowd
}

async fn is_told_goodbye(session: &mut Client) {
    let bye = tokio::time::timeout(SOON, session.line()).await.expect("a BYE within five seconds");
    assert!(bye.starts_with("* BYE "), "{bye}");
    assert!(session.is_closed().await);
}

#[tokio::test]
async fn two_processes_and_200_logins_at_once_make_one_refresh() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let (one, other) = (site.serve().await, site.serve().await);
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::Hold(gate.clone()));
    let crowd = crowd(&[&one, &other], &[&settings], 200).await;
    gate.arrived(1).await;
    gate.open();
    assert_eq!(crowd.join_all().await.len(), 200);
    let stats = site.sandbox.controls().stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (1, 0));
}

#[tokio::test]
async fn security_row_21_of_many_accounts_at_once_none_gets_anothers_token() {
    let names: Vec<String> = (0..6).map(|number| format!("user{number}@example.com")).collect();
    let site = Site::with(names.iter().fold(Sandbox::builder(), |builder, name| builder.user(name))).await;
    let mut settings = Vec::new();
    for name in &names {
        settings.push(site.authorize(name).await);
    }
    let serving = site.serve().await;
    let settings: Vec<&Value> = settings.iter().collect();
    for _ in 0..3 {
        site.sandbox.controls().revoke_access_tokens();
        crowd(&[&serving], &settings, 24).await.join_all().await;
    }
    let mut owners = std::collections::HashMap::new();
    for login in site.sandbox.controls().logins() {
        let owner = owners.entry(login.token).or_insert_with(|| login.user.clone());
        assert_eq!(*owner, login.user, "one token, two users");
    }
    assert!(owners.len() > names.len(), "tokens were renewed in between");
}

#[tokio::test]
async fn strict_rotation_survives_20_ended_tokens() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let serving = site.serve().await;
    for _ in 0..20 {
        serving.log_in(&settings).await;
        site.sandbox.controls().revoke_access_tokens();
    }
    let stats = site.sandbox.controls().stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (20, 0));
}

#[tokio::test]
async fn killed_before_the_provider_answers_nothing_is_lost_and_nobody_waits() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let (dying, other) = (site.serve().await, site.serve().await);
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::Hold(gate.clone()));
    let _waiting = begin_to_log_in(&dying, &settings).await;
    gate.arrived(1).await;
    dying.kill().await;
    let login = tokio::time::timeout(SOON, other.log_in(&settings)).await;
    login.expect("the dead process's lease is not waited for");
    assert_eq!(site.sandbox.controls().stats().refresh_token_reuses, 0);
}

#[tokio::test]
async fn killed_between_a_strict_providers_answer_and_the_disk_the_grant_says_so() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let dying = site.serve().await;
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::HoldAnswer(gate.clone()));
    let _waiting = begin_to_log_in(&dying, &settings).await;
    gate.arrived(1).await;
    dying.kill().await;
    let serving = site.serve().await;
    let (_, login) = try_to_log_in(&serving, &settings).await;
    assert!(login.refused_with("EXPIRED") && login.tagged.contains("interrupted"), "{login:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("needs_authorization"), 3));
    assert!(tokens[0]["last_error"].as_str().unwrap().contains("interrupted"), "{tokens:?}");
    site.authorize(ALICE).await;
    serving.log_in(&settings).await;
}

#[tokio::test]
async fn killed_before_a_lenient_providers_answer_is_on_disk_the_old_token_goes_on() {
    let (site, settings) = with_an_ended_token(Rotation::Always).await;
    let dying = site.serve().await;
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::HoldAnswer(gate.clone()));
    let _waiting = begin_to_log_in(&dying, &settings).await;
    gate.arrived(1).await;
    dying.kill().await;
    site.serve().await.log_in(&settings).await;
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
}

#[tokio::test]
async fn killed_once_a_login_has_succeeded_the_rotated_token_is_on_disk() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    for _ in 0..5 {
        let serving = site.serve().await;
        serving.log_in(&settings).await;
        serving.kill().await;
        site.sandbox.controls().revoke_access_tokens();
    }
    let stats = site.sandbox.controls().stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (5, 0));
}

#[tokio::test]
async fn stopping_waits_for_a_refresh_under_way() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let mut serving = site.serve().await;
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::HoldAnswer(gate.clone()));
    let hung_up = begin_to_log_in(&serving, &settings).await;
    gate.arrived(1).await;
    drop(hung_up);
    serving.terminate();
    serving.logs("stopping").await;
    gate.open();
    assert_eq!(serving.stop_waited().await, 0);
    site.serve().await.log_in(&settings).await;
    let stats = site.sandbox.controls().stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (1, 0));
}

#[tokio::test]
async fn a_hang_up_cancels_no_refresh() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let mut serving = site.serve().await;
    let gate = Gate::new();
    site.sandbox.controls().next_token(TokenFault::HoldAnswer(gate.clone()));
    let client = begin_to_log_in(&serving, &settings).await;
    gate.arrived(1).await;
    drop(client);
    gate.open();
    serving.logs("token refreshed").await;
    serving.log_in(&settings).await;
    assert_eq!(site.sandbox.controls().stats().refreshes, 1);
}

#[tokio::test]
async fn a_rotated_token_that_cannot_be_written_is_kept_until_it_can() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let mut serving = site.serve().await;
    // Fails the write of the refresh token, as a full disk would.
    tamper(
        &site,
        "CREATE TRIGGER full BEFORE UPDATE OF refresh_token ON grants \
         BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    .await;
    let before = site.sandbox.controls().stats().logins;
    let mut client = begin_to_log_in(&serving, &settings).await;
    let log = serving.logs("do not stop the proxy").await;
    assert!(log.contains("disk is full"), "{log}");
    assert_eq!(site.sandbox.controls().stats().logins, before, "nothing is used that is not on disk");
    tamper(&site, "DROP TRIGGER full").await;
    let login = client.answer("a").await;
    assert!(login.is_ok(), "{login:?}");
    serving.kill().await;
    site.sandbox.controls().revoke_access_tokens();
    site.serve().await.log_in(&settings).await;
    assert_eq!(site.sandbox.controls().stats().refresh_token_reuses, 0);
}

#[tokio::test]
async fn no_answer_of_the_token_endpoint_loses_a_grant() {
    const PASSING: (&str, &str) = ("UNAVAILABLE", "retrying");
    const PERSON: (&str, &str) = ("EXPIRED", "needs_authorization");
    const ADMINISTRATOR: (&str, &str) = ("CONTACTADMIN", "misconfigured");
    let (site, settings) = with_an_ended_token(Rotation::Never).await;
    let controls = site.sandbox.controls();
    for (name, fault, (code, state)) in [
        ("a web page", TokenFault::html(), PASSING),
        ("500", TokenFault::server_error(), PASSING),
        ("503 with a grant's end", TokenFault::json(503, &json!({ "error": "invalid_grant" })), PASSING),
        ("408", TokenFault::answer(408, "text/plain", ""), PASSING),
        ("429", TokenFault::too_many("1"), PASSING),
        ("400 that says nothing", TokenFault::answer(400, "text/plain", ""), PASSING),
        ("400 of an unknown kind", TokenFault::error("flux_capacitor", "…"), PASSING),
        ("a throttle in disguise", TokenFault::aadsts("invalid_grant", 50196, "loop"), PASSING),
        ("200 without a token", TokenFault::json(200, &json!({ "token_type": "Bearer" })), PASSING),
        ("half an answer", TokenFault::Truncate, PASSING),
        ("too much", TokenFault::oversized(100_000), PASSING),
        ("no answer", TokenFault::Drop, PASSING),
        ("a redirect", TokenFault::redirect("http://127.0.0.1:9/"), PASSING),
        ("the grant's end", TokenFault::error("invalid_grant", "Token has been revoked."), PERSON),
        ("a wrong client", TokenFault::error("invalid_client", "…"), ADMINISTRATOR),
        ("401 that says nothing", TokenFault::answer(401, "text/plain", ""), ADMINISTRATOR),
    ] {
        // The fault meets every request until the state is read: the token has expired, so the proxy may
        // renew it in the background before the login, and retries a passing failure after a second. Rows
        // keep whole seconds, so a login in the second of the start may take a just recorded failure for an
        // older one, and ask again.
        controls.every_token(fault);
        let serving = site.serve().await;
        let (_, login) = try_to_log_in(&serving, &settings).await;
        assert!(login.refused_with(code), "{name}: {login:?}");
        assert_eq!(site.tokens().await.0[0]["state"], state, "{name}");
        serving.kill().await;
        controls.heal_tokens();
        // The wait is over, and the provider works again.
        tamper(&site, "UPDATE grants SET retry_at = 0").await;
        let serving = site.serve().await;
        serving.log_in(&settings).await;
        assert_eq!(site.tokens().await.0[0]["state"], "ok", "{name}");
        serving.kill().await;
        controls.revoke_access_tokens();
        tamper(&site, "UPDATE grants SET access_expires_at = 0").await;
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date() {
    let in_an_hour = OffsetDateTime::now_utc() + time::Duration::hours(1);
    let date = in_an_hour.format(&Rfc2822).unwrap().replace("+0000", "GMT");
    for retry_after in ["3600", &date] {
        let (site, settings) = with_an_ended_token(Rotation::Never).await;
        site.sandbox.controls().next_token(TokenFault::too_many(retry_after));
        let serving = site.serve().await;
        let (mut client, login) = try_to_log_in(&serving, &settings).await;
        assert!(login.refused_with("UNAVAILABLE"), "{login:?}");
        let password = settings["password"].as_str().unwrap();
        let login = client.command(&format!("LOGIN {ALICE} {password}")).await;
        assert!(login.refused_with("UNAVAILABLE"), "{login:?}");
        let (_, wait) = login.tagged.rsplit_once("(in ").unwrap();
        let seconds: u64 = wait.trim_end_matches(" s)").parse().unwrap();
        assert!((3500..=3600).contains(&seconds), "{login:?}");
        assert_eq!(site.sandbox.controls().stats().refreshes, 1);
    }
}

#[tokio::test]
async fn an_outage_costs_few_requests_and_its_end_one_refresh_a_grant() {
    const ACCOUNTS: u64 = 8;
    let address = |number| format!("user{number}@example.com");
    let provider = (0..ACCOUNTS).fold(Sandbox::builder(), |builder, number| builder.user(&address(number)));
    let site = Site::with(provider).await;
    let controls = site.sandbox.controls();
    let mut settings = Vec::new();
    for number in 0..ACCOUNTS {
        settings.push(site.authorize(&address(number)).await);
    }
    tamper(&site, "UPDATE grants SET access_expires_at = 0").await;
    controls.every_token(TokenFault::Drop);
    let serving = site.serve().await;
    for settings in &settings {
        let (_, login) = try_to_log_in(&serving, settings).await;
        assert!(login.refused_with("UNAVAILABLE"), "{login:?}");
    }
    let during = controls.stats().refreshes;
    assert!(during < ACCOUNTS, "the circuit opened: {during}");

    controls.heal_tokens();
    for settings in &settings {
        let logs_in = async {
            while !try_to_log_in(&serving, settings).await.1.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("a login once the endpoint is well again", logs_in).await;
    }
    let all: Vec<&Value> = settings.iter().collect();
    crowd(&[&serving], &all, 10 * all.len()).await.join_all().await;
    assert_eq!(controls.stats().refreshes, during + ACCOUNTS, "one a grant");
}

#[tokio::test]
async fn a_token_that_still_opens_the_door_is_used_while_the_endpoint_is_down() {
    let site = Site::new().await;
    // A quarter of an hour: less than a session wants, but enough to begin one.
    let settings = site.authorize(ALICE).await;
    tamper(
        &site,
        "UPDATE grants SET access_expires_at = unixepoch() + 900, refreshed_at = unixepoch() - 2700",
    )
    .await;
    site.sandbox.controls().every_token(TokenFault::server_error());
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    serving.log_in(&settings).await;
    assert!(site.sandbox.controls().stats().refreshes >= 1);
}

#[tokio::test]
async fn tokens_in_use_are_renewed_before_anybody_waits() {
    let site = Site::new().await;
    let controls = site.sandbox.controls();
    controls.oauth(|switches| switches.access_token_life = Duration::from_secs(6));
    controls.imap(|switches| switches.bye_at_token_expiry = false);
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let (serving, _other) = (site.serve().await, site.serve().await);
    let mut session = serving.log_in(&settings).await;
    controls.wait_for(|stats| stats.refreshes >= 3).await;
    assert!(session.command("NOOP").await.is_ok());
    let refreshed: Vec<_> = controls
        .token_requests()
        .iter()
        .filter_map(|r| r.field("refresh_token").map(str::to_owned))
        .collect();
    assert!(refreshed.iter().all(|token| *token == refreshed[0]), "Bob's is idle and left alone");
}

#[tokio::test]
async fn sessions_end_when_what_let_them_in_is_revoked() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let of_bob = site.authorize(BOB).await;
    let made = site.run(&["passwords", "create", ALICE, "--name", "second", "--json"]).await.json();
    let second = json!({ "username": ALICE, "password": made["password"] });
    let (one, other) = (site.serve().await, site.serve().await);
    let mut sessions = [one.log_in(&settings).await, other.log_in(&settings).await];
    let mut stays = one.log_in(&second).await;
    let mut bobs = other.log_in(&of_bob).await;

    assert_eq!(site.run(&["passwords", "revoke", ALICE, "default"]).await.code, 0);
    for session in &mut sessions {
        is_told_goodbye(session).await;
    }
    assert!(try_to_log_in(&one, &settings).await.1.refused_with("AUTHENTICATIONFAILED"));
    assert!(stays.command("NOOP").await.is_ok() && bobs.command("NOOP").await.is_ok());

    assert_eq!(site.run(&["accounts", "remove", BOB]).await.code, 0);
    is_told_goodbye(&mut bobs).await;
    assert!(stays.command("NOOP").await.is_ok());

    tamper(&site, "UPDATE grants SET refresh_token = NULL, revision = revision + 1").await;
    is_told_goodbye(&mut stays).await;
    assert!(try_to_log_in(&one, &second).await.1.refused_with("EXPIRED"));
}

#[tokio::test]
async fn a_session_that_downloads_ends_too() {
    let site = Site::with(Sandbox::builder().user(ALICE).huge_message(ALICE, "INBOX", 1 << 40)).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut session = serving.log_in(&settings).await;
    let select = session.command("SELECT INBOX").await;
    let exists = select.untagged.iter().find_map(|line| line.strip_suffix(" EXISTS")).unwrap();
    let last = exists.trim_start_matches("* ").to_owned();
    session.send(format!("b FETCH {last} BODY.PEEK[TEXT]\r\n")).await;
    session.line().await;
    assert_eq!(site.run(&["passwords", "revoke", ALICE, "default"]).await.code, 0);
    let ends = async { while !session.read_some().await.is_empty() {} };
    tokio::time::timeout(SOON, ends).await.expect("the end within five seconds");
}

/// A webhook's server: passes on each JSON body.
async fn webhook() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=webhook-canary", listener.local_addr().unwrap());
    let (events, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
            let _ = events.send(serde_json::from_slice(&body).unwrap());
        }
    });
    (url, received)
}

async fn next_event(posted: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    within("an event", posted.recv()).await.unwrap()
}

#[tokio::test]
async fn people_are_told_once_when_a_grant_needs_them_and_when_it_has_healed() {
    let (url, mut posted) = webhook().await;
    let site = Site::new().await;
    let file = site.home.path().join("events");
    let command = format!("[\"sh\", \"-c\", \"cat >> {}\"]", file.display());
    site.configure(&format!("[events]\ncommand = {command}\nwebhook = \"{url}\"\n"));
    let settings = site.authorize(ALICE).await;
    let (one, other) = (site.serve().await, site.serve().await);
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    for serving in [&one, &other] {
        assert!(try_to_log_in(serving, &settings).await.1.refused_with("EXPIRED"));
    }
    let event = next_event(&mut posted).await;
    assert_eq!(event["event"], "needs_person");
    assert_eq!(
        (&event["account"], &event["owner"], &event["provider"]),
        (&json!(ALICE), &json!(ALICE), &json!("sandbox"))
    );
    assert_eq!(event["state"], "needs_authorization");
    assert_eq!(event["cure"], format!("imap-oauth-proxy authorize {ALICE}"));
    assert!(event["reason"].as_str().unwrap().contains("invalid_grant"), "{event}");
    OffsetDateTime::parse(event["at"].as_str().unwrap(), &Rfc3339).unwrap();

    site.authorize(ALICE).await;
    let healed = next_event(&mut posted).await;
    assert_eq!((&healed["event"], &healed["state"]), (&json!("healed"), &json!("ok")));
    let told = || std::fs::read_to_string(&file).unwrap_or_default();
    let both_told = async {
        while told().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the command's two events", both_told).await;
    let log = one.stop().await.1 + &other.stop().await.1;
    assert!(!log.contains("webhook-canary"), "{log}");
    assert!(posted.try_recv().is_err(), "each once, with any number of processes");
    let lines: Vec<Value> = told().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [event, healed]);
}

#[tokio::test]
async fn a_near_end_is_told_before_it_comes() {
    let (url, mut posted) = webhook().await;
    let site = Site::new().await;
    site.configure(&format!("[events]\nwebhook = \"{url}\"\nwarn_days = 3\n"));
    site.authorize(ALICE).await;
    let _serving = site.serve().await;
    tamper(&site, "UPDATE grants SET refresh_expires_at = unixepoch() + 2 * 86400").await;
    let event = next_event(&mut posted).await;
    assert_eq!((&event["event"], &event["state"]), (&json!("about_to_need_person"), &json!("ok")));
    assert!(event["reason"].as_str().unwrap().starts_with("it ends on "), "{event}");
    tamper(&site, "UPDATE grants SET refresh_expires_at = unixepoch() + 60 * 86400").await;
    assert_eq!(next_event(&mut posted).await["event"], "healed");
}

/// Forty-nine accounts beside Alice's, each with its own grant.
const FORTY_NINE_MORE: &str = "
    CREATE TEMP TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 49) SELECT i FROM n;
    INSERT INTO grants (id, revision, provider, owner, owner_folded, scopes, refresh_token, state, authorized_at, refreshed_at)
        SELECT 'g' || i, 1, provider, 'user' || i, 'user' || i, scopes, refresh_token, state, authorized_at, unixepoch()
        FROM grants, more;
    INSERT INTO accounts (id, name, grant_id) SELECT 'a' || i, 'user' || i || '@example.com', 'g' || i FROM more;
    INSERT INTO login_names (folded, name, account_id) SELECT name, name, id FROM accounts WHERE id LIKE 'a%' AND name LIKE 'user%'";

/// Waits until `count` grants have a report on record.
async fn all_told(site: &Site, count: i64) {
    counted(site, "SELECT count(*) FROM grants WHERE told IS NOT NULL", count).await;
}

/// Waits until the store answers `count` to `sql`.
async fn counted(site: &Site, sql: &'static str, count: i64) {
    let store = site.state().join("store.sqlite");
    let mut database = sqlx::sqlite::SqliteConnectOptions::new().filename(store).connect().await.unwrap();
    let answered = async {
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut database).await.unwrap() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(sql, answered).await;
    database.close().await.unwrap();
}

/// The number of accounts in an event, and the event's name.
fn named(event: &Value) -> (&str, usize) {
    (event["event"].as_str().unwrap(), event["accounts"].as_array().unwrap().len())
}

#[tokio::test]
async fn a_client_secret_of_fifty_accounts_that_ends_is_one_event_and_so_is_its_successor() {
    let (url, mut posted) = webhook().await;
    let site = Site::new().await;
    site.configure(&format!("[events]\nwebhook = \"{url}\"\n"));
    site.authorize(ALICE).await;
    tamper(&site, FORTY_NINE_MORE).await;
    let soon = (OffsetDateTime::now_utc() + time::Duration::days(3)).date();
    let before = std::fs::read_to_string(&site.config).unwrap();
    site.configure_provider(&format!("client_secret_expires = \"{soon}\""));
    let serving = site.serve().await;
    let event = next_event(&mut posted).await;
    assert_eq!(named(&event), ("about_to_need_person", 50));
    assert!(event["cure"].as_str().unwrap().contains("[providers.sandbox]"), "{event}");
    all_told(&site, 50).await;
    serving.stop().await;

    std::fs::write(&site.config, before).unwrap();
    let serving = site.serve().await;
    assert_eq!(named(&next_event(&mut posted).await), ("healed", 50));
    all_told(&site, 0).await;
    serving.stop().await;
    assert!(posted.try_recv().is_err(), "one event each");
}

#[tokio::test]
async fn a_client_that_is_refused_is_told_of_once_and_healed_when_no_account_meets_it_any_more() {
    let (url, mut posted) = webhook().await;
    let site = Site::new().await;
    site.configure(&format!("[events]\nwebhook = \"{url}\"\n"));
    site.authorize(ALICE).await;
    tamper(&site, FORTY_NINE_MORE).await;
    let serving = site.serve().await;
    tamper(
        &site,
        "UPDATE grants SET state = 'misconfigured', failed_at = unixepoch(), last_error = 'the secret is wrong', \
         cause_kind = 'client_refused', cause_code = 'invalid_client' WHERE id IN ('g1', 'g2')",
    )
    .await;
    assert_eq!(named(&next_event(&mut posted).await), ("needs_person", 50), "whom it affects");
    tamper(
        &site,
        "UPDATE grants SET state = 'misconfigured', failed_at = unixepoch(), last_error = 'the secret is wrong', \
         cause_kind = 'client_refused', cause_code = 'invalid_client' WHERE id IN ('g3', 'g4')",
    )
    .await;
    all_told(&site, 4).await;
    tamper(
        &site,
        "UPDATE grants SET state = 'ok', last_error = NULL, cause_kind = NULL, cause_code = NULL WHERE id IN ('g1', 'g2')",
    )
    .await;
    counted(&site, "SELECT count(*) FROM grants WHERE id IN ('g1', 'g2') AND news_at > 0", 2).await;
    tamper(&site, "UPDATE grants SET state = 'ok', last_error = NULL, cause_kind = NULL, cause_code = NULL")
        .await;
    assert_eq!(named(&next_event(&mut posted).await), ("healed", 4));
    all_told(&site, 0).await;
    serving.stop().await;
    assert!(posted.try_recv().is_err(), "one event each");
}

#[tokio::test]
async fn a_mail_scope_that_a_refresh_no_longer_grants_is_said() {
    let (site, settings) = with_an_ended_token(Rotation::Never).await;
    site.sandbox.controls().next_token(TokenFault::scope("openid email"));
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0));
    let error = tokens[0]["last_error"].as_str().unwrap();
    assert!(error.contains("https://mail.google.com/") && error.contains("authorize"), "{error}");
    assert_eq!(tokens[0]["scopes"], json!(["openid", "email"]));
    assert_eq!(tokens[0]["scopes_missing"], json!(["https://mail.google.com/"]));
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_secret() {
    let (site, settings) = with_an_ended_token(Rotation::Strict).await;
    let controls = site.sandbox.controls();
    let serving = site.serve_with(&["--log", "trace"]).await;
    serving.log_in(&settings).await;
    controls.revoke_access_tokens();
    controls.next_token(TokenFault::error("invalid_grant", "no"));
    try_to_log_in(&serving, &settings).await;
    let listed = site.run(&["tokens", "list", "--json", "--log", "trace"]).await;
    let seen = serving.stop().await.1 + &listed.out + &listed.err;
    let mut secrets = vec![settings["password"].as_str().unwrap().to_owned(), "sandbox-secret".to_owned()];
    secrets.extend(controls.logins().into_iter().map(|login| login.token));
    let requests = controls.token_requests();
    secrets.extend(requests.iter().filter_map(|request| request.field("refresh_token").map(str::to_owned)));
    assert!(secrets.len() > 4);
    for secret in secrets {
        assert!(!seen.contains(&secret), "{secret} is in: {seen}");
    }
}
