//! Operation and recovery of an installation: the audit trail, backups, and restoring them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{ALICE, BOB, Site, login};
use sandbox::Sandbox;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The audit trail: each event with its account and its text.
async fn events(site: &Site, words: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = ["events", "list", "--json"].iter().chain(words).copied().collect();
    let ran = site.run(&words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json().as_array().unwrap().clone()
}

fn short(event: &Value) -> (&str, &str, &str) {
    let text = |key: &str| event[key].as_str().unwrap_or("-");
    (text("event"), text("account"), text("about"))
}

async fn done(site: &Site, words: &[&str]) {
    let ran = site.run(words).await;
    assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
}

#[tokio::test]
async fn what_was_done_is_in_the_trail_with_who_did_it_and_no_secret() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let made = site.run(&["passwords", "create", ALICE, "--name", "scanner", "--json"]).await.json();
    done(&site, &["passwords", "limit", ALICE, "--name", "scanner", "--protocols", "imap"]).await;
    done(&site, &["passwords", "revoke", ALICE, "--name", "scanner"]).await;
    done(&site, &["accounts", "alias", ALICE, "office", "--yes"]).await;
    done(&site, &["accounts", "unalias", ALICE, "office"]).await;
    done(&site, &["accounts", "disable", ALICE]).await;
    done(&site, &["accounts", "disable", ALICE]).await;
    done(&site, &["accounts", "enable", ALICE]).await;
    done(&site, &["keys", "rotate"]).await;
    done(&site, &["tokens", "revoke", ALICE]).await;
    done(&site, &["accounts", "remove", ALICE]).await;

    let events = events(&site, &[]).await;
    assert_eq!(
        events.iter().map(short).collect::<Vec<_>>(),
        [
            ("authorized", ALICE, ALICE),
            ("password_created", ALICE, "default"),
            ("password_created", ALICE, "scanner"),
            ("password_limited", ALICE, "scanner"),
            ("password_revoked", ALICE, "scanner"),
            ("alias_added", ALICE, "office"),
            ("alias_removed", ALICE, "office"),
            ("disabled", ALICE, "-"),
            ("enabled", ALICE, "-"),
            ("keys_rotated", "-", "key 2"),
            ("revoked", ALICE, ALICE),
            ("removed", ALICE, "-"),
        ]
    );
    let uid = rustix::process::getuid().as_raw();
    for event in &events {
        assert_eq!((&event["surface"], &event["uid"]), (&json!("cli"), &json!(uid)), "{event}");
        assert!(event["user"].as_str().is_some_and(|user| !user.is_empty()), "{event}");
        OffsetDateTime::parse(event["at"].as_str().unwrap(), &Rfc3339).unwrap();
    }
    let all = serde_json::to_string(&events).unwrap();
    for secret in [&settings["password"], &made["password"]] {
        assert!(!all.contains(secret.as_str().unwrap()), "{all}");
    }
    let table = site.run(&["events", "list"]).await;
    assert!(table.out.contains("password_limited") && table.out.contains("by cli"), "{table:?}");
}

#[tokio::test]
async fn the_trail_is_read_from_a_time_on() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    assert_eq!(events(&site, &["--since", "1h"]).await.len(), 2);
    let tomorrow = (OffsetDateTime::now_utc() + time::Duration::days(1)).date().to_string();
    assert!(events(&site, &["--since", &tomorrow]).await.is_empty());
    let wrong = site.run(&["events", "list", "--since", "soon"]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("7d"), "{wrong:?}");
}

#[tokio::test]
async fn what_people_were_told_is_in_the_trail() {
    let site = Site::new().await;
    site.configure("[events]\ncommand = [\"true\"]\n");
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    let answer = serving.client().await.command(&login(&settings)).await;
    assert!(answer.refused_with("EXPIRED"), "{answer:?}");
    serving.logs("telling").await;
    let told = async {
        loop {
            let told = events(&site, &[]).await;
            if let Some(event) = told.iter().find(|event| event["event"] == "needs_person") {
                return event.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let told = common::within("the entry", told).await;
    assert_eq!((&told["surface"], &told["accounts"]), (&json!("serve"), &json!([ALICE])));
    assert!(told["about"].as_str().unwrap().contains("invalid_grant"), "{told}");
    serving.stop().await;
}

#[tokio::test]
async fn what_a_running_serve_was_told_to_do_is_in_the_trail() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let _session = serving.log_in(&settings).await;
    done(&site, &["sessions", "close", ALICE]).await;
    done(&site, &["reload"]).await;
    let events = events(&site, &[]).await;
    let last: Vec<_> = events.iter().rev().take(2).map(short).collect();
    assert_eq!(last, [("reloaded", "-", "-"), ("sessions_closed", ALICE, "sessions: 1")]);
    let uid = rustix::process::getuid().as_raw();
    assert!(events.iter().all(|event| event["uid"] == uid && event["surface"] == "cli"), "{events:?}");
    serving.stop().await;
}

#[tokio::test]
async fn those_that_need_a_person_or_end_soon_can_be_listed_alone() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB)).await;
    let names = async |words: &[&str]| {
        let words: Vec<&str> = ["tokens", "list", "--json"].iter().chain(words).copied().collect();
        let ran = site.run(&words).await;
        let listed = ran.json();
        let name = |token: &Value| token["account"].as_str().unwrap().to_owned();
        (listed.as_array().unwrap().iter().map(name).collect::<Vec<_>>(), ran.code)
    };
    assert_eq!(names(&[]).await, (vec![], 0));
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    assert_eq!(names(&["--needs-person"]).await, (vec![], 0));
    assert_eq!(names(&["--ends-within", "14d"]).await, (vec![], 0));
    let none = site.run(&["tokens", "list", "--needs-person"]).await;
    assert!(none.err.contains("No account is like that"), "{none:?}");

    done(&site, &["tokens", "revoke", ALICE]).await;
    let soon = (OffsetDateTime::now_utc() + time::Duration::days(3)).date();
    site.configure_provider(&format!("client_secret_expires = \"{soon}\""));
    assert_eq!(names(&["--needs-person"]).await, (vec![ALICE.to_owned()], 3));
    assert_eq!(names(&["--ends-within", "14d"]).await, (vec![BOB.to_owned()], 3), "Alice's has ended");
    // An account that a filter leaves out does not count.
    assert_eq!(names(&["--ends-within", "24h"]).await, (vec![], 0));
    assert_eq!(names(&["--ends-within", "14d", "--needs-person"]).await, (vec![], 0));
    assert_eq!(names(&[]).await.1, 3);
    assert_eq!(site.run(&["tokens", "list", "--ends-within", "soon"]).await.code, 2);
}

async fn backed_up(site: &Site, name: &str) -> std::path::PathBuf {
    let file = site.home.path().join(name);
    let ran = site.run(&["backup", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Only key 1 of the key file"), "{ran:?}");
    file
}

#[tokio::test]
async fn a_backup_is_made_while_logins_go_on_and_brings_everything_back() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB)).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let _session = serving.log_in(&settings).await;
    let logins = async {
        for _ in 0..20 {
            serving.log_in(&settings).await;
        }
    };
    let (file, ()) = tokio::join!(backed_up(&site, "one"), logins);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read(site.state().join("master.key")).unwrap();
    let copy = std::fs::read(&file).unwrap();
    let secret = settings["password"].as_str().unwrap().as_bytes();
    for secret in [key.trim_ascii(), secret] {
        assert!(!copy.windows(secret.len()).any(|window| window == secret), "the backup holds a secret");
    }
    let again = site.run(&["backup", file.to_str().unwrap()]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists already"), "{again:?}");
    assert_eq!(std::fs::read(&file).unwrap(), copy, "it is left alone");

    site.authorize(BOB).await;
    done(&site, &["accounts", "remove", ALICE]).await;
    let held = site.run(&["restore", file.to_str().unwrap()]).await;
    assert_eq!(held.code, 1);
    assert!(held.err.contains("in use") && held.err.contains("stop serve"), "{held:?}");
    serving.stop().await;

    let restored = site.run(&["restore", file.to_str().unwrap()]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    let accounts: Vec<Value> = site.tokens().await.0;
    assert_eq!(accounts.iter().map(|token| token["account"].as_str().unwrap()).collect::<Vec<_>>(), [ALICE]);
    assert_eq!(short(events(&site, &[]).await.last().unwrap()).0, "restored");
    let kept = restored.err.split("kept as ").nth(1).unwrap().lines().next().unwrap();
    assert!(Path::new(kept.trim_end_matches('.')).exists(), "{restored:?}");
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    serving.stop().await;
}

#[tokio::test]
async fn a_file_that_is_damaged_or_sealed_with_another_key_takes_no_place() {
    let (site, other) = (Site::new().await, Site::new().await);
    site.authorize(ALICE).await;
    other.authorize(ALICE).await;
    let good = backed_up(&site, "good").await;
    let whole = std::fs::read(&good).unwrap();
    let mut torn = whole.clone();
    torn[4096 * 3..4096 * 8].fill(0xa5);
    let before = site.tokens().await.0;
    for (name, bytes) in
        [("torn", &torn[..]), ("short", &whole[..whole.len() / 2]), ("none", b"hello"), ("empty", b"")]
    {
        let file = site.home.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let ran = site.run(&["restore", file.to_str().unwrap()]).await;
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert!(ran.err.contains("cannot take the place"), "{name}: {ran:?}");
    }
    let foreign = backed_up(&other, "foreign").await;
    let ran = site.run(&["restore", foreign.to_str().unwrap()]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot be opened"), "{ran:?}");
    let missing = site.run(&["restore", "/nonexistent/file"]).await;
    assert_eq!(missing.code, 1);
    assert_eq!(site.tokens().await.0, before, "nothing was changed");
    let left = std::fs::read_dir(site.state()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("restoring") || name.contains("before")), "{left:?}");
}

#[tokio::test]
async fn a_database_that_is_broken_or_gone_is_replaced() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let file = backed_up(&site, "one").await;
    let database = site.state().join("store.sqlite");
    for break_it in [true, false] {
        match break_it {
            true => std::fs::write(&database, b"no database").unwrap(),
            false => std::fs::remove_file(&database).unwrap(),
        }
        done(&site, &["restore", file.to_str().unwrap()]).await;
        assert_eq!(site.tokens().await.0[0]["account"], ALICE);
    }
}
