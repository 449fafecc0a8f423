//! How outside text is shown: on the terminal, in the log, on the page of a sign-in.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Ran, Site};
use sandbox::TokenFault;
use serde_json::{Value, json};

/// Clears the screen (in seven and in eight bits), starts a line, contains HTML, and hides and reverses text.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\n<script>\u{200b}\u{202e}\r\u{7f}";

/// Checks for no terminal control characters, and no line started by outside text.
fn is_clean(what: &str, shown: &str) {
    let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{200b}' | '\u{202e}');
    assert!(!shown.chars().any(obeyed), "{what}: {shown:?}");
    assert!(!shown.lines().any(|line| line.trim_start().starts_with("<script>")), "{what}: {shown:?}");
}

fn is_clean_run(words: &[&str], ran: &Ran) {
    let what = format!("{words:?}");
    is_clean(&what, &ran.out);
    is_clean(&what, &ran.err);
}

/// An installation whose stored outside texts are all hostile, as versions without the check accepted them.
async fn hostile_store() -> (Site, Value) {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let store = rusqlite::Connection::open(site.state().join("store.sqlite")).unwrap();
    for sql in [
        "UPDATE grants SET owner = owner || ?1, scopes = scopes || ' ' || ?1, last_error = ?1 WHERE owner LIKE 'alice%'",
        "UPDATE accounts SET last_login_from = ?1, troubles = json_object('imap', json_object('trouble', \
         json_object('cause', json_object('kind', 'mailbox_refused', 'text', ?1), \
         'cure', json_object('kind', 'unknown')), 'count', 1, 'at', 1700000000, 'retry_at', 1700000000)) \
         WHERE name LIKE 'alice%'",
        "UPDATE accounts SET refusal_at = 1700000000, refusal_protocol = ?1, refusal_code = ?1, \
         refusal_cause = json_object('kind', 'recorded', 'text', ?1), \
         refusal_cure = json_object('kind', 'advice', 'text', ?1) WHERE name LIKE 'alice%'",
        "UPDATE accounts SET name = name || ?1 WHERE name LIKE 'bob%'",
        "UPDATE login_names SET name = name || ?1 WHERE name LIKE 'bob%'",
        "UPDATE passwords SET name = name || ?1, last_used_from = ?1, protocols = 'imap,' || ?1",
        "INSERT INTO login_names (folded, name, account_id) SELECT 'hostile', ?1, id FROM accounts WHERE name LIKE 'alice%'",
    ] {
        assert_ne!(store.execute(sql, [HOSTILE]).unwrap(), 0, "{sql}");
    }
    (site, settings)
}

#[tokio::test]
async fn security_row_14_stored_names_move_no_cursor_and_begin_no_line() {
    let (site, _) = hostile_store().await;
    let hostile_password = format!("default{HOSTILE}");
    for (words, code) in [
        (&["accounts", "list"][..], 0),
        (&["accounts", "list", "--json"], 0),
        (&["tokens", "list"], 3),
        (&["tokens", "list", "--json"], 3),
        (&["passwords", "list", ALICE], 0),
        (&["passwords", "list", ALICE, "--json"], 0),
        (&["check"], 3),
        (&["check", "--json"], 3),
        (&["passwords", "create", ALICE, "--name", HOSTILE], 1),
        (&["passwords", "revoke", ALICE, HOSTILE], 1),
        (&["passwords", "revoke", ALICE, &hostile_password], 0),
        (&["accounts", "alias", ALICE, HOSTILE], 1),
        (&["accounts", "unalias", ALICE, HOSTILE], 1),
        (&["accounts", "remove", HOSTILE], 1),
        (&["authorize", HOSTILE], 1),
        (&["authorize", ALICE, "--owner", HOSTILE], 1),
        (&["authorize", ALICE, "--provider", HOSTILE], 1),
        (&["tokens", "refresh", BOB], 0),
        (&["accounts", "export", BOB, "--recipient", HOSTILE], 1),
        (&["tokens", "revoke", ALICE], 0),
        (&["accounts", "remove", BOB], 0),
    ] {
        let ran = site.run(words).await;
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        is_clean_run(words, &ran);
        if words.ends_with(&["--json"]) {
            assert_eq!(ran.out.lines().count(), 1, "{words:?}: {ran:?}");
        }
    }
}

/// In JSON the value is unchanged, only escaped.
#[tokio::test]
async fn security_row_14_json_keeps_what_is_stored() {
    let (site, _) = hostile_store().await;
    let listed = site.run(&["accounts", "list", "--json"]).await.json();
    let alice = listed.as_array().unwrap().iter().find(|row| row["account"] == ALICE).unwrap();
    assert_eq!(alice["owner"], format!("{ALICE}{HOSTILE}"));
    assert_eq!(alice["aliases"], json!([HOSTILE]));
}

#[tokio::test]
async fn security_row_14_the_log_and_answers_hold_one_line_an_event() {
    let (site, settings) = hostile_store().await;
    site.sandbox.controls().every_token(TokenFault::error("invalid_grant", HOSTILE));
    site.sandbox.controls().revoke_access_tokens();
    let serving = site.serve_with(&["--log", "debug"]).await;
    let mut client = serving.client().await;
    let login = client.command(&common::login(&settings)).await;
    assert!(!login.is_ok(), "{login:?}");
    is_clean("the answer", &login.tagged);
    let (_, log) = serving.stop().await;
    assert!(log.contains("no token"), "{log}");
    is_clean("the log", &log);
}

#[tokio::test]
async fn security_row_14_a_providers_words_are_escaped_on_terminal_and_page() {
    let site = Site::new().await;
    let claims = json!({"email": format!("{BOB}{HOSTILE}"), "preferred_username": HOSTILE});
    site.sandbox.controls().oauth(|oauth| oauth.claims = claims.as_object().unwrap().clone());
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert!(ran.code == 1 && ran.err.contains("consented"), "{ran:?}");
    is_clean_run(&["authorize"], &ran);
    // The address of the sign-in is one word of the command that would accept it.
    let hint = ran.err.lines().find(|line| line.contains("--owner")).unwrap();
    assert!(hint.contains("--owner '") && hint.ends_with('\''), "{hint}");

    site.sandbox.controls().next_token(TokenFault::error("invalid_grant", HOSTILE));
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    is_clean_run(&["authorize"], &ran);
}
