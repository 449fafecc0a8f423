//! The background work of `serve`: it continues with any dates in the store, and notices when the store is gone.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::client::{Answer, Client};
use common::{ALICE, BOB, Serving, Site};
use sandbox::{Sandbox, TokenFault};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};
use time::OffsetDateTime;

/// A change of the store affects running sessions within this time.
const SOON: Duration = Duration::from_secs(5);

/// Runs a statement on a database that no command would run.
async fn send(database: &Path, sql: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn store_of(site: &Site) -> PathBuf {
    site.state().join("store.sqlite")
}

/// A copy of the current store, beside it.
async fn copy_of(site: &Site, name: &str) -> PathBuf {
    let copy = site.state().join(name);
    send(&store_of(site), &format!("VACUUM INTO '{}'", copy.display())).await;
    copy
}

/// SQLite's side files of the store.
fn side_files(site: &Site) -> [PathBuf; 2] {
    ["store.sqlite-wal", "store.sqlite-shm"].map(|name| site.state().join(name))
}

/// Replaces the store with `copy`, as a careful administrator does.
fn replace_store(site: &Site, copy: &Path) {
    std::fs::rename(copy, store_of(site)).unwrap();
    for file in side_files(site) {
        let _ = std::fs::remove_file(file);
    }
}

async fn try_to_log_in(serving: &Serving, settings: &Value) -> (Client, Answer) {
    let mut client = serving.client().await;
    let (user, password) = (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
    let answer = client.command(&format!("LOGIN \"{user}\" \"{password}\"")).await;
    (client, answer)
}

async fn is_told_goodbye(session: &mut Client) {
    let bye = tokio::time::timeout(SOON, session.line()).await.expect("a BYE within five seconds");
    assert!(bye.starts_with("* BYE "), "{bye}");
}

#[tokio::test]
async fn security_row_33_dates_of_any_year_in_the_store_stop_no_background_task() {
    let far = ["carol@example.com", "dave@example.com", "erin@example.com"];
    let users = far.iter().fold(Sandbox::builder().user(ALICE), |builder, user| builder.user(user));
    let site = Site::with(users).await;
    let controls = site.sandbox.controls();
    let settings = site.authorize(ALICE).await;
    for (user, seconds) in far.iter().zip([253_402_300_799, i64::MAX, i64::MIN]) {
        site.authorize(user).await;
        let dates = [
            "authorized_at",
            "refreshed_at",
            "access_expires_at",
            "refresh_expires_at",
            "failed_at",
            "retry_at",
            "interrupted_at",
        ];
        let set = dates.map(|date| format!("{date} = {seconds}")).join(", ");
        let sql = format!(
            "UPDATE grants SET {set}, state = 'needs_authorization' WHERE owner = '{user}'; \
             UPDATE accounts SET last_login_at = {seconds}, troubles = json_object('imap', json_object( \
             'trouble', json_object('cause', json_object('kind', 'mailbox_refused', 'text', 'x'), \
             'cure', json_object('kind', 'unknown')), 'count', 1, 'at', {seconds}, 'retry_at', {seconds})) \
             WHERE name = '{user}'; \
             UPDATE passwords SET created_at = {seconds}, last_used_at = {seconds} \
             WHERE account_id IN (SELECT id FROM accounts WHERE name = '{user}')"
        );
        send(&store_of(&site), &sql).await;
    }
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens.len(), code), (4, 3), "{tokens:#?}");
    controls.every_token(TokenFault::server_error());
    // With events configured, one more task looks at all grants.
    site.configure("[events]\ncommand = [\"true\"]\n");
    let serving = site.serve().await;
    let mut session = serving.log_in(&settings).await;
    // The endpoint fails until the proxy has asked it.
    controls.wait_for(|stats| stats.refreshes >= 3).await;
    let soon = format!(
        "UPDATE grants SET revision = revision + 1, access_expires_at = unixepoch() + 600, \
         refreshed_at = unixepoch() - 3000 \
         WHERE owner = '{ALICE}'"
    );
    send(&store_of(&site), &soon).await;
    let before = controls.stats().tokens_issued;
    controls.heal_tokens();
    controls.wait_for(|stats| stats.tokens_issued >= before + 4).await;
    let refreshed = |request: &sandbox::TokenRequest| request.field("refresh_token").map(str::to_owned);
    let grants: std::collections::HashSet<_> =
        controls.token_requests().iter().filter_map(refreshed).collect();
    assert_eq!(grants.len(), 4, "Alice's is renewed ahead of time, and so are all others");
    assert!(session.command("NOOP").await.is_ok());

    assert_eq!(site.run(&["passwords", "revoke", ALICE, "default"]).await.code, 0);
    is_told_goodbye(&mut session).await;
    let (code, log) = serving.stop().await;
    assert_eq!(code, 0);
    assert!(!log.contains("has a fault") && !log.contains("background task"), "{log}");
    // Grants with dates in the future were refreshed at once, and now have correct dates.
    let (tokens, _) = site.tokens().await;
    let year = OffsetDateTime::now_utc().year().to_string();
    for grant in tokens {
        let refreshed = grant["refreshed_at"].as_str().unwrap();
        assert!(refreshed.starts_with(&year), "{grant:#}");
    }
}

/// Revokes in a copy of the store, puts the copy in the store's place with `replace`, and checks that the
/// revocation holds.
async fn a_replaced_store_counts(replace: impl AsyncFnOnce(&Site, &Path)) {
    let site = Site::new().await;
    let (alice, bob) = (site.authorize(ALICE).await, site.authorize(BOB).await);
    let (mut serving, mut other) = (site.serve().await, site.serve().await);
    let (mut of_alice, mut of_bob) = (serving.log_in(&alice).await, other.log_in(&bob).await);
    let copy = copy_of(&site, "copy.sqlite").await;
    let sql =
        format!("DELETE FROM passwords WHERE account_id IN (SELECT id FROM accounts WHERE name = '{ALICE}')");
    send(&copy, &sql).await;
    replace(&site, &copy).await;
    is_told_goodbye(&mut of_alice).await;
    for serving in [&mut serving, &mut other] {
        serving.said("the new one is in use from now on").await;
        drop(serving.log_in(&bob).await);
    }
    assert!(try_to_log_in(&serving, &alice).await.1.refused_with("AUTHENTICATIONFAILED"));
    assert!(of_bob.command("NOOP").await.is_ok());

    assert_eq!(site.run(&["passwords", "revoke", BOB, "default"]).await.code, 0);
    is_told_goodbye(&mut of_bob).await;
    assert!(try_to_log_in(&serving, &bob).await.1.refused_with("AUTHENTICATIONFAILED"));
    assert_eq!((serving.stop().await.0, other.stop().await.0), (0, 0));
    let whole = site.run(&["accounts", "list", "--json"]).await;
    assert!(whole.code == 0 && whole.out.contains(BOB), "{whole:?}");
}

#[tokio::test]
async fn security_row_36_what_a_replaced_store_says_holds_within_seconds() {
    a_replaced_store_counts(async |site, copy| replace_store(site, copy)).await;
}

#[tokio::test]
async fn security_row_36_the_log_of_the_old_store_is_not_taken_for_the_new_ones() {
    a_replaced_store_counts(async |site, copy| {
        // The old write-ahead log is not empty and now lies beside the new database.
        assert!(std::fs::metadata(&side_files(site)[0]).unwrap().len() > 0);
        std::fs::rename(copy, store_of(site)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn security_row_36_no_token_of_the_old_store_is_used_after_it_was_replaced() {
    let site = Site::new().await;
    let alice = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let copies = [copy_of(&site, "first.sqlite").await, copy_of(&site, "second.sqlite").await];
    let mut used = Vec::new();
    for copy in copies {
        replace_store(&site, &copy);
        serving.logs("the new one is in use from now on").await;
        // Each database gets its own token at the same revision.
        assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
        drop(serving.log_in(&alice).await);
        used.push(site.sandbox.controls().logins().last().unwrap().token.clone());
    }
    assert_ne!(used[0], used[1]);
}

#[tokio::test]
async fn security_row_36_a_file_that_is_no_store_of_ours_counts_as_none() {
    let (site, other) = (Site::new().await, Site::new().await);
    let (alice, _) = (site.authorize(ALICE).await, other.authorize(ALICE).await);
    let mut serving = site.serve().await;
    drop(serving.log_in(&alice).await);
    let right = copy_of(&site, "right.sqlite").await;
    let foreign = copy_of(&other, "foreign.sqlite").await;
    let junk = site.state().join("junk.sqlite");
    std::fs::write(&junk, [7; 9000]).unwrap();
    let older = copy_of(&site, "older.sqlite").await;
    send(&older, "DELETE FROM _sqlx_migrations WHERE version = 3").await;
    for (file, why) in [
        (&junk, "it is not a store of this program"),
        (&foreign, "cannot be opened"),
        (&older, "it is of another version"),
    ] {
        replace_store(&site, file);
        assert!(try_to_log_in(&serving, &alice).await.1.refused_with("SERVERBUG"));
        let said = serving.logs("no login is possible meanwhile").await;
        assert!(said.contains(why) && said.contains("put the right one in its place"), "{said}");
        let copy = site.state().join("again.sqlite");
        std::fs::copy(&right, &copy).unwrap();
        replace_store(&site, &copy);
        serving.logs("the new one is in use from now on").await;
        drop(serving.log_in(&alice).await);
    }
    assert_eq!(serving.stop().await.0, 0);
}

#[tokio::test]
async fn security_row_36_a_missing_store_is_waited_for_and_then_ends_the_process() {
    let site = Site::new().await;
    let alice = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut session = serving.log_in(&alice).await;
    let aside = site.state().join("aside.sqlite");
    std::fs::rename(store_of(&site), &aside).unwrap();
    assert!(try_to_log_in(&serving, &alice).await.1.refused_with("SERVERBUG"));
    let said = serving.logs("no login is possible meanwhile").await;
    assert!(said.contains("store.sqlite is missing; put it back"), "{said}");
    std::fs::rename(&aside, store_of(&site)).unwrap();
    drop(serving.log_in(&alice).await);

    std::fs::remove_file(store_of(&site)).unwrap();
    assert!(try_to_log_in(&serving, &alice).await.1.refused_with("SERVERBUG"));
    assert!(session.command("NOOP").await.is_ok(), "mail that is open stays open");
    let said = serving.logs("so this process ends").await;
    assert!(said.contains("is missing, for 30 s now") && said.contains("put it back"), "{said}");
    is_told_goodbye(&mut session).await;
    let code = tokio::time::timeout(sandbox::PATIENCE, serving.stop_waited()).await.unwrap();
    assert_eq!(code, 1);
    assert!(!store_of(&site).exists(), "none is made in its place");
}
