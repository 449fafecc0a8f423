//! Floods: the costs of strangers before they log in, and the logins and sessions of users meanwhile. All
//! tests run the real binary; the kernel counts the costs.

#![allow(clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::plain::Plain;
use common::{ALICE, BOB, Serving, Site, login};
use sandbox::Sandbox;
use serde_json::Value;
use tokio::task::JoinSet;

const CLEARTEXT: &str = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
/// The delay of every failed login's answer.
const FAILURE_DELAY: Duration = Duration::from_millis(500);

async fn site(limits: &str) -> (Site, Value) {
    let provider = Sandbox::builder().user(ALICE).user(BOB);
    let site = Site::with_config(provider, &format!("{limits}\n{CLEARTEXT}")).await;
    let settings = site.authorize(ALICE).await;
    (site, settings)
}

/// A connection after its greeting; `None` if it was turned away.
async fn greeted(serving: &Serving, from: &str) -> Option<Plain> {
    let mut client = Plain::connect_from(from, serving.address()).await;
    let greeting = client.line().await;
    if greeting.starts_with("* OK ") {
        return Some(client);
    }
    assert!(greeting.starts_with("* BYE [LIMIT] Too many connections"), "{greeting}");
    assert_eq!(client.rest().await, "");
    None
}

/// Connects again until a connection is accepted.
async fn let_in(serving: &Serving, from: &str) -> Plain {
    let patience = Instant::now() + sandbox::PATIENCE;
    loop {
        if let Some(client) = greeted(serving, from).await {
            return client;
        }
        assert!(Instant::now() < patience, "turned away again and again");
    }
}

// Numbers of connections.

#[tokio::test]
async fn security_row_6_connections_in_all_are_bounded_and_those_inside_stay() {
    let (site, settings) = site("[limits]\nconnections = 2").await;
    let mut serving = site.serve().await;
    let mut first = greeted(&serving, "127.0.0.1").await.unwrap();
    let mut second = greeted(&serving, "127.0.0.2").await.unwrap();
    assert!(greeted(&serving, "127.0.0.3").await.is_none());
    serving.logs("limits.connections allows no more").await;
    assert!(first.command(&login(&settings)).await.is_ok(), "those inside do not notice");
    assert!(greeted(&serving, "127.0.0.3").await.is_none(), "a session holds its place");
    assert!(second.command("LOGOUT").await.is_ok());
    drop(second);
    let mut third = let_in(&serving, "127.0.0.3").await;
    assert!(third.command(&login(&settings)).await.is_ok());
}

#[tokio::test]
async fn security_row_6_connections_of_one_address_are_bounded_until_they_log_in() {
    let (site, settings) = site("[limits]\nconnections_per_address = 2").await;
    let mut serving = site.serve().await;
    let mut first = greeted(&serving, "127.0.0.1").await.unwrap();
    let _second = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(greeted(&serving, "127.0.0.1").await.is_none());
    serving.logs("127.0.0.1 has 2 connections that have not logged in").await;
    assert!(greeted(&serving, "127.0.0.2").await.is_some(), "others do not notice");
    assert!(first.command(&login(&settings)).await.is_ok());
    let_in(&serving, "127.0.0.1").await;
}

#[tokio::test]
async fn security_row_6_a_full_descriptor_table_pauses_accepting_without_spinning() {
    let (site, settings) = site("").await;
    let mut serving = site.serve().await;
    let mut session = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(session.command(&login(&settings)).await.is_ok());
    let limit = serving.process().descriptors() + 16;
    let pid = serving.process().0.to_string();
    let prlimit = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={limit}:{limit}")])
        .status();
    assert!(prlimit.unwrap().success());

    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(Plain::connect(serving.address()).await);
    }
    serving.logs("no connection can be accepted").await;
    let spent = serving.process().cpu_of_a_second().await;
    assert!(spent < Duration::from_millis(200), "{spent:?} in a second in which nobody can be accepted");
    assert!(session.command("NOOP").await.is_ok(), "those inside do not notice");
    drop(crowd);
    let mut next = let_in(&serving, "127.0.0.1").await;
    assert!(next.command(&login(&settings)).await.is_ok());
}

#[tokio::test]
async fn security_row_31_silent_connections_from_ten_addresses_leave_room_for_a_login() {
    let (site, settings) = site("[limits]\nconnections = 40\nconnections_per_address = 4").await;
    let mut serving = site.serve().await;
    let mut session = greeted(&serving, "127.0.0.20").await.unwrap();
    assert!(session.command(&login(&settings)).await.is_ok());
    let mut silent = Vec::new();
    for number in 0..39 {
        let from = format!("127.0.0.{}", 1 + number / 4);
        silent.push(greeted(&serving, &from).await.unwrap());
    }
    let mut owner = greeted(&serving, "127.0.0.11").await.expect("an eleventh address is let in");
    serving.logs("127.0.0.9, which has not logged in, gave one up").await;
    assert!(silent[32].rest().await.starts_with("* BYE [LIMIT] Too many connections"), "the oldest of it");
    assert!(owner.command(&login(&settings)).await.is_ok());
    assert!(silent[0].command("NOOP").await.is_ok(), "and no other");

    // However many connections come, sessions stay.
    for number in 0..200 {
        let from = format!("127.0.1.{}", 1 + number % 50);
        silent.push(Plain::connect_from(&from, serving.address()).await);
    }
    let mut last = greeted(&serving, "127.0.0.12").await;
    if let Some(last) = &mut last {
        assert!(last.command(&login(&settings)).await.is_ok());
    }
    assert!(session.command("NOOP").await.is_ok() && owner.command("NOOP").await.is_ok());
}

/// Silent connections: 2,000, or the number in `FRONT_CONNECTIONS`.
fn silent_connections() -> usize {
    std::env::var("FRONT_CONNECTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[tokio::test]
async fn security_row_6_thousands_of_silent_connections_cost_a_few_kibibytes_each() {
    let count = silent_connections();
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > count as u64 + 500, "this test needs ulimit -n {}", count + 500);
    for security in ["starttls", "tls"] {
        let each = memory_of_silence(security, count).await;
        println!("{security}: {each:.1} KiB for each of {count} silent connections");
        assert!(each < 12.0, "{security}: {each:.1} KiB each");
    }
}

/// Resident KiB that each of `count` connections adds.
async fn memory_of_silence(security: &str, count: usize) -> f64 {
    let limits = format!("[limits]\nconnections = {}\nconnections_per_address = {count}", count + 10);
    let listener = format!("[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"{security}\"\n");
    let site =
        Site::with_config(Sandbox::builder().user(ALICE), &format!("{limits}\n{listener}\n{CLEARTEXT}"))
            .await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    // The first login allocates the memory that all connections share.
    let mut first = serving.plain("none").await;
    first.line().await;
    assert!(first.command(&login(&settings)).await.is_ok());

    let before = serving.process().resident();
    let mut silent = Vec::new();
    for _ in 0..count {
        let mut client = serving.plain(security).await;
        if security == "starttls" {
            assert!(client.line().await.starts_with("* OK "));
        }
        silent.push(client);
    }
    while serving.process().descriptors() < count {
        tokio::task::yield_now().await;
    }
    let grown = serving.process().resident().saturating_sub(before);
    assert!(first.command("NOOP").await.is_ok());
    drop(silent);
    grown as f64 / count as f64
}

// Passwords.

/// The answer of a failed login, which must not come early.
async fn refused(client: &mut Plain, command: &str) -> String {
    let began = Instant::now();
    let answer = client.command(command).await;
    assert!(began.elapsed() >= FAILURE_DELAY, "{answer:?} after {:?}", began.elapsed());
    assert!(answer.untagged.is_empty(), "{answer:?}");
    answer.tagged
}

#[tokio::test]
async fn security_row_11_all_failures_look_alike_and_come_after_the_same_delay() {
    let (site, settings) = site("").await;
    let serving = site.serve().await;
    let mut said = Vec::new();
    for name in [ALICE, "nobody@example.com", "x", "\"\""] {
        let mut client = greeted(&serving, "127.0.0.1").await.unwrap();
        said.push(refused(&mut client, &format!("LOGIN {name} wrong")).await);
    }
    assert!(said[0].starts_with("NO [AUTHENTICATIONFAILED] "), "{said:?}");
    assert!(said.iter().all(|text| text == &said[0]), "{said:?}");

    // The next guess is throttled, whether or not the account exists.
    for name in [ALICE, "nobody@example.com"] {
        let throttled = throttle(&serving, name).await;
        assert!(
            throttled.starts_with("NO [LIMIT] Too many failed logins from this address; wait "),
            "{throttled}"
        );
    }
    let mut elsewhere = greeted(&serving, "127.0.0.2").await.unwrap();
    assert!(elsewhere.command(&login(&settings)).await.is_ok(), "the owner from elsewhere");
    let mut here = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(here.command(&login(&settings)).await.is_ok(), "and with a generated password from here");

    // A right password of an account whose grant is dead, so the provider refuses at once.
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    let mut client = greeted(&serving, "127.0.0.2").await.unwrap();
    for _ in 0..2 {
        let began = Instant::now();
        let answer = client.command(&login(&settings)).await;
        assert!(answer.refused_with("EXPIRED") && began.elapsed() >= FAILURE_DELAY, "{answer:?}");
    }
}

/// Fails until the answer says to wait.
async fn throttle(serving: &Serving, name: &str) -> String {
    let patience = Instant::now() + sandbox::PATIENCE;
    loop {
        assert!(Instant::now() < patience, "{name} never has to wait");
        let mut client = greeted(serving, "127.0.0.1").await.unwrap();
        for guess in 0..3 {
            let said = refused(&mut client, &format!("LOGIN {name} guess-{guess}")).await;
            if !said.starts_with("NO [AUTHENTICATIONFAILED] ") {
                return said;
            }
        }
    }
}

/// `connections` at once that send four wrong passwords each. Returns the number of answers.
async fn flood(address: SocketAddr, from: &'static str, connections: usize) -> usize {
    let mut flood = JoinSet::new();
    for number in 0..connections {
        flood.spawn(async move {
            let mut client = Plain::connect_from(from, address).await;
            client.line().await;
            let mut answers = 0;
            for guess in 0..4 {
                let answer = client.command(&format!("LOGIN {ALICE} guess-{number}-{guess}")).await;
                answers += usize::from(answer.tagged.starts_with("NO ["));
            }
            answers
        });
    }
    flood.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn security_row_11_a_thousand_bad_logins_cost_little_and_touch_no_grant() {
    let (site, settings) = site("").await;
    let mut serving = site.serve().await;
    let before = serving.process().cpu();
    let flood = flood(serving.address(), "127.0.0.1", 250);
    assert_eq!(serving.meanwhile(flood).await, 1000);
    let spent = serving.process().cpu() - before;
    // For a debug build; an optimised one uses a tenth.
    assert!(spent < Duration::from_secs(10), "{spent:?} for 1,000 bad logins");

    for from in ["127.0.0.2", "127.0.0.1"] {
        let mut owner = greeted(&serving, from).await.unwrap();
        assert!(owner.command(&login(&settings)).await.is_ok(), "from {from}");
    }
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0));
    assert!(tokens[0]["last_error"].is_null());
    assert_eq!(site.sandbox.controls().stats().refreshes, 0);
}

#[tokio::test]
async fn security_row_11_guessing_a_chosen_password_costs_a_few_runs_of_argon2_and_delays_nobody() {
    const CHOSEN: &str = "correct-horse-battery";
    let (site, _) = site("").await;
    choose(&site, CHOSEN).await;
    let right = format!("LOGIN {ALICE} {CHOSEN}");
    let mut serving = site.serve().await;
    let mut owner = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(owner.command(&right).await.is_ok(), "verified once, then remembered");

    let before = serving.process().cpu();
    let flood = flood(serving.address(), "127.0.0.9", 100);
    assert_eq!(serving.meanwhile(flood).await, 400);
    let spent = serving.process().cpu() - before;
    assert!(spent < Duration::from_secs(8), "{spent:?} for 400 guesses of which eight may be hashed");

    // From the attacker's own address a remembered password still works; an unremembered one is throttled.
    for from in ["127.0.0.9", "127.0.0.2"] {
        let mut owner = greeted(&serving, from).await.unwrap();
        assert!(owner.command(&right).await.is_ok(), "from {from}");
    }
}

#[tokio::test]
async fn a_crowd_with_the_right_chosen_password_gets_in_at_once() {
    const CHOSEN: &str = "correct-horse-battery";
    let (site, _) = site("").await;
    choose(&site, CHOSEN).await;
    let serving = site.serve().await;
    let mut crowd = JoinSet::new();
    for _ in 0..24 {
        let mut client = greeted(&serving, "127.0.0.1").await.unwrap();
        crowd.spawn(async move { client.command(&format!("LOGIN {ALICE} {CHOSEN}")).await.is_ok() });
    }
    assert!(crowd.join_all().await.into_iter().all(|admitted| admitted), "more of them than free failures");
}

/// Sets a chosen password for Alice.
async fn choose(site: &Site, password: &str) {
    let added = site.run_with(&["passwords", "create", ALICE, "--name", "chosen", "--stdin"], password).await;
    assert_eq!(added.code, 0, "{added:?}");
}

/// One guess on its own connection.
async fn guess(address: SocketAddr, from: String, name: String, password: String) -> (Duration, String) {
    let mut client = Plain::connect_from(&from, address).await;
    client.line().await;
    let began = Instant::now();
    let answer = client.command(&format!("LOGIN {name} {password}")).await;
    (began.elapsed(), answer.tagged)
}

#[tokio::test]
async fn security_row_28_what_failed_logins_send_is_not_kept() {
    let (site, settings) = site("[limits]\nfailed_logins = 30").await;
    let mut serving = site.serve().await;
    let mut session = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(session.command(&login(&settings)).await.is_ok());
    let before = serving.process().anonymous();
    for length in [8_000, 60_000] {
        let address = serving.address();
        let mut flood = JoinSet::new();
        for number in 0..150 {
            flood.spawn(async move {
                let mut client = Plain::connect_from("127.0.0.1", address).await;
                client.line().await;
                for guess in 0..10 {
                    let name = format!("{number}-{guess}-{}", "x".repeat(length));
                    client.send(format!("t1 LOGIN {name} wrong\r\n")).await;
                    let answer = client.line().await;
                    if !answer.starts_with("t1 NO ") {
                        // The command was longer than the limit.
                        assert!(answer.starts_with("t1 BAD ") || answer.starts_with("* BYE "), "{answer}");
                        return;
                    }
                }
            });
        }
        serving.meanwhile(flood.join_all()).await;
    }
    let patience = Instant::now() + sandbox::PATIENCE;
    loop {
        let grown = serving.process().anonymous().saturating_sub(before);
        if grown < 8 * 1024 {
            println!("{grown} KiB more than before 3,000 failed logins");
            return;
        }
        assert!(Instant::now() < patience, "{grown} KiB more than before 3,000 failed logins");
        serving.meanwhile(tokio::time::sleep(Duration::from_millis(100))).await;
    }
}

#[tokio::test]
async fn security_row_29_neither_junk_names_nor_addresses_nor_an_owner_lift_a_throttle() {
    const CHOSEN: &str = "correct-horse-battery";
    let (site, settings) = site("").await;
    choose(&site, CHOSEN).await;
    let mut serving = site.serve().await;
    throttle(&serving, ALICE).await;

    let address = serving.address();
    let mut junk = JoinSet::new();
    for number in 0..300 {
        junk.spawn(async move {
            let mut client = Plain::connect_from("127.0.0.1", address).await;
            client.line().await;
            for guess in 0..4 {
                client.command(&format!("LOGIN junk-{number}-{guess}@example.com wrong")).await;
            }
        });
    }
    serving.meanwhile(junk.join_all()).await;
    let mut sources = JoinSet::new();
    for number in 0..200 {
        let from = format!("127.0.{}.{number}", 1 + number % 7);
        sources.spawn(guess(address, from, ALICE.to_owned(), format!("guess-{number}")));
    }
    for (_, answer) in serving.meanwhile(sources.join_all()).await {
        assert!(answer.starts_with("NO [LIMIT] "), "{answer}");
    }

    // An owner with a generated password who logs in all the time.
    let mut looked_at = 0;
    for number in 0..6 {
        let mut owner = greeted(&serving, "127.0.0.1").await.unwrap();
        assert!(owner.command(&login(&settings)).await.is_ok());
        let (_, answer) = guess(address, "127.0.0.1".into(), ALICE.into(), format!("another-{number}")).await;
        looked_at += usize::from(!answer.starts_with("NO [LIMIT] "));
    }
    assert!(looked_at <= 1, "{looked_at} guesses beside an owner who logs in");
}

#[tokio::test]
async fn security_row_30_the_right_password_gets_in_from_a_throttled_address_after_a_restart() {
    const CHOSEN: &str = "correct-horse-battery";
    let (site, _) = site("").await;
    choose(&site, CHOSEN).await;
    let right = format!("LOGIN {ALICE} {CHOSEN}");
    let serving = site.serve().await;
    let mut owner = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(owner.command(&right).await.is_ok());
    drop(owner);
    serving.stop().await;

    let serving = site.serve().await;
    let began = Instant::now();
    throttle(&serving, ALICE).await;
    let mut tries = 0;
    loop {
        let mut owner = greeted(&serving, "127.0.0.1").await.unwrap();
        let answer = owner.command(&right).await;
        if answer.is_ok() {
            break;
        }
        tries += 1;
        assert!(answer.refused_with("LIMIT"), "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(40), "{answer:?} after {:?}", began.elapsed());
    }
    assert!(tries > 0 && began.elapsed() > Duration::from_secs(29), "its turn came early");
    let mut owner = greeted(&serving, "127.0.0.1").await.unwrap();
    assert!(owner.command(&right).await.is_ok(), "remembered from now on");
}

/// The times and the answers of guesses at one name.
#[derive(Default)]
struct Answers {
    times: Vec<Duration>,
    limits: usize,
    others: Vec<String>,
}

#[tokio::test]
async fn security_row_32_a_crowd_of_guesses_does_not_tell_whether_there_is_such_an_account() {
    let (site, _) = site("").await;
    choose(&site, "correct-horse-battery").await;
    let mut serving = site.serve().await;
    let mut crowd = JoinSet::new();
    for number in 0..80 {
        let name = if number % 2 == 0 { ALICE } else { "nobody@example.com" };
        let (address, from) = (serving.address(), format!("127.0.0.{}", 1 + number % 10));
        crowd.spawn(
            async move { (name, guess(address, from, name.to_owned(), format!("guess-{number}")).await) },
        );
    }
    let (mut known, mut unknown) = (Answers::default(), Answers::default());
    for (name, (time, answer)) in serving.meanwhile(crowd.join_all()).await {
        assert!(time >= FAILURE_DELAY, "{answer:?} after {time:?}");
        let answers = if name == ALICE { &mut known } else { &mut unknown };
        answers.times.push(time);
        match answer.starts_with("NO [LIMIT] Too many failed logins from this address; wait ") {
            true => answers.limits += 1,
            false => answers.others.push(answer),
        }
    }
    let [median_known, median_unknown] = [&mut known, &mut unknown].map(|answers| {
        answers.times.sort();
        answers.times[answers.times.len() / 2]
    });
    println!("medians: {median_known:?} known, {median_unknown:?} unknown; at most {:?}", known.times[39]);
    assert!(median_known.abs_diff(median_unknown) < Duration::from_millis(120));
    assert_eq!((known.limits, unknown.limits), (32, 32));
    for answer in known.others.iter().chain(&unknown.others) {
        let ordinary = ["NO [AUTHENTICATIONFAILED] ", "NO [UNAVAILABLE] The mail proxy is busy verifying "];
        assert!(ordinary.iter().any(|start| answer.starts_with(start)), "{answer}");
    }
}

// A session and another one.

#[tokio::test]
async fn security_row_26_a_hundred_broken_sessions_do_not_disturb_a_hundred_good_ones() {
    const BROKEN: [&str; 5] = [
        "a AUTHENTICATE PLAIN ====\r\n",
        "a AUTHENTICATE PLAIN\r\n\u{0}\u{1}!!!\r\n",
        "a LOGIN {99999999999999999999}\r\n",
        "a LOGIN {4294967296}\r\n",
        "\u{0}\r\n* BAD\r\na LOGIN \"x\r\n",
    ];
    let (site, settings) = site("").await;
    let serving = site.serve().await;
    let mut sessions = JoinSet::new();
    for number in 0..200 {
        let (address, login) = (serving.address(), login(&settings));
        sessions.spawn(async move {
            let mut client = Plain::connect(address).await;
            client.line().await;
            if number % 2 == 0 {
                client.send(BROKEN[number / 2 % BROKEN.len()]).await;
                let mut said = client.line().await;
                if said == "+ " {
                    said = client.line().await;
                }
                assert!(said.contains(" BAD ") || said.starts_with("a BAD "), "{number}: {said}");
            } else {
                assert!(client.command(&login).await.is_ok(), "{number}");
                assert!(client.command("SELECT INBOX").await.is_ok(), "{number}");
            }
        });
    }
    sessions.join_all().await;
    site.sandbox.assert_no_violations();
    let (code, log) = serving.stop().await;
    assert!(code == 0 && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn security_row_6_literals_and_lines_before_the_login_are_bounded_and_the_stream_stays_in_step() {
    let (site, settings) = site("").await;
    let serving = site.serve().await;
    let mut client = greeted(&serving, "127.0.0.1").await.unwrap();
    for oversized in ["{4097}", "{4294967296}", "{18446744073709551616}", "{99999999999999999999}"] {
        let answer = client.command(&format!("LOGIN {oversized}")).await;
        assert!(answer.tagged.starts_with("BAD ") && answer.untagged.is_empty(), "no go-ahead: {answer:?}");
    }
    assert!(client.command(&login(&settings)).await.is_ok(), "still in step");

    let mut endless = greeted(&serving, "127.0.0.1").await.unwrap();
    endless.send(vec![b'x'; 70_000]).await;
    assert!(endless.rest().await.starts_with("* BYE Too much before login"));
}
