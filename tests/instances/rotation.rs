//! Rotations of the keys during a consent, a refresh or a start on another machine.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sandbox::{Gate, Rotation, TokenFault};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::common::client::Client;
use super::common::{ALICE, BOB, Ran, Serving, within};
use super::postgres_server::Server;
use super::shared::{copy_key, key_ids};
use super::{Machines, begin_to_log_in, try_to_log_in, with_an_ended_token};

/// Runs `authorize` on the second machine; its person consents once `meanwhile` is done.
async fn authorize_on_other(machines: &Machines, account: &str, meanwhile: impl Future<Output = ()>) -> Ran {
    let words = ["authorize", "--no-browser", "--json", account];
    let mut command = machines.site.command_with_config(&machines.other, &words);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).await.unwrap();
    meanwhile.await;
    machines.site.sandbox.browser().consent(url.trim(), Some(account)).await.unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    let mut ran = Ran::of(child.wait_with_output().await.unwrap());
    ran.out = rest;
    ran
}

async fn rotated(machines: &Machines) {
    let ran = machines.site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Rotates the keys while a login of `other` waits for its refresh, which the gate holds, as if the rotation had found that
/// instance dead.
async fn rotated_beside_a_refresh(machines: &Machines, other: &Serving, settings: &Value) -> (Gate, Client) {
    let gate = Gate::new();
    machines.site.sandbox.controls().next_token(TokenFault::Hold(gate.clone()));
    let waiting = begin_to_log_in(other, settings).await;
    gate.arrived(1).await;
    let sql = "UPDATE grants SET lease_holder = NULL, lease_until = NULL";
    assert_eq!(Server::shared().run(&machines.url, sql).await, 1);
    rotated(machines).await;
    (gate, waiting)
}

fn add_line(from: &Path, to: &Path) {
    let text = std::fs::read_to_string(to).unwrap() + &std::fs::read_to_string(from).unwrap();
    std::fs::write(to, text).unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_consent_that_waited_while_the_keys_rotated_elsewhere_is_sealed_with_the_new_key_or_not_stored() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    site.authorize(ALICE).await;
    let copy = copy_key(&machines);
    let shared = site.home.path().join("shared.key");

    let ran = authorize_on_other(&machines, BOB, rotated(&machines)).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in ["sealed with key 2", "has key 1 alone", "sudo install -m 600", "copied.key"] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(site.tokens().await.0.len(), 1, "nothing is stored");

    // The same with a copy that still has the old key beside the new one.
    copy_key(&machines);
    let ran = authorize_on_other(&machines, BOB, async {
        rotated(&machines).await;
        add_line(&shared, &copy);
    })
    .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        (key_ids(&shared), key_ids(&copy)),
        (vec!["3".to_owned()], vec!["2".to_owned(), "3".to_owned()])
    );
    let one = site.serve().await;
    let (_, answer) = try_to_log_in(&one, &ran.json()).await;
    assert!(answer.is_ok(), "{answer:?}");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_rotated_token_is_kept_while_its_row_has_a_key_that_is_not_here_yet() {
    let (machines, settings) = with_an_ended_token(Server::shared(), Rotation::Strict).await;
    let site = &machines.site;
    let copy = copy_key(&machines);
    let old = std::fs::read(&copy).unwrap();
    let mut other = site.serve_at(&machines.other).await;
    let ran = site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    copy_key(&machines);

    let (gate, mut waiting) = rotated_beside_a_refresh(&machines, &other, &settings).await;
    // The instance reads a file without the new key.
    std::fs::write(&copy, old).unwrap();
    Server::shared().run(&machines.url, "UPDATE holder_keys SET asked = 'again'").await;
    within("the answer", async {
        let sql = "SELECT 1 FROM holder_keys WHERE looked_for = 'again'";
        while Server::shared().run(&machines.url, sql).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;

    gate.open();
    let line = other.logs("kept in memory").await;
    assert!(line.contains("sealed with key 2") && line.contains("copy the key file"), "{line}");
    copy_key(&machines);
    assert!(waiting.line().await.starts_with("* CAPABILITY "));
    assert!(waiting.line().await.starts_with("a OK "));
    let controls = site.sandbox.controls();
    controls.revoke_access_tokens();
    let one = site.serve().await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "the machine that has the new key alone: {answer:?}");
    assert_eq!(controls.stats().refresh_token_reuses, 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_write_that_waited_through_a_rotation_is_sealed_with_the_new_key() {
    let (machines, settings) = with_an_ended_token(Server::shared(), Rotation::Strict).await;
    let site = &machines.site;
    copy_key(&machines);
    let other = site.serve_at(&machines.other).await;
    assert_eq!(site.run(&["keys", "rotate"]).await.code, 1);
    copy_key(&machines);
    let (gate, mut waiting) = rotated_beside_a_refresh(&machines, &other, &settings).await;
    gate.open();
    assert!(waiting.line().await.starts_with("* CAPABILITY "));
    assert!(waiting.line().await.starts_with("a OK "));
    site.sandbox.controls().revoke_access_tokens();
    let one = site.serve().await;
    let (_, answer) = try_to_log_in(&one, &settings).await;
    assert!(answer.is_ok(), "the machine that has the new key alone: {answer:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_rotation_ends_after_a_minute_where_an_instance_lives_and_does_not_answer() {
    let machines = Machines::on(Server::shared()).await;
    machines.site.authorize(ALICE).await;
    for sql in [
        "INSERT INTO holders (name, seen) VALUES ('mute', clock_timestamp() + interval '1 day')",
        "INSERT INTO holder_keys (holder, place, keys) VALUES ('mute', 'the key command slow of there', '1:a')",
    ] {
        assert_eq!(Server::shared().run(&machines.url, sql).await, 1);
    }
    let ran = machines.site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in ["within 60 s the key command slow of there did not say", "goes on with key 2"] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    Server::shared().run(&machines.url, "DELETE FROM holders WHERE name = 'mute'").await;
    rotated(&machines).await;
}
