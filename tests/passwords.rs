//! Limits of app passwords, disabled accounts, and a provider's refusals after a login.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use base64::Engine as _;
use common::client::{Answer, Client};
use common::plain::Plain;
use common::{ALICE, BOB, Ran, Serving, Site};
use sandbox::Sandbox;
use serde_json::{Value, json};

/// A listener for readers and one for senders, without TLS on this machine.
const DOORS: &str = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n\
     [[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
/// Addresses of this machine that stand for clients in two networks.
const HOME: &str = "127.0.7.7";
const AWAY: &str = "127.0.8.8";

async fn with_two_doors() -> (Site, Value) {
    let site = Site::with_config(Sandbox::builder().user(ALICE).user(BOB), DOORS).await;
    let settings = site.authorize(ALICE).await;
    (site, settings)
}

fn door(serving: &Serving, protocol: &str) -> std::net::SocketAddr {
    let listeners = serving.ready["listeners"].as_array().unwrap();
    let found = listeners.iter().find(|listener| listener["protocol"] == protocol);
    found.unwrap()["address"].as_str().unwrap().parse().unwrap()
}

/// The answer to a reader's login from this address.
async fn read(serving: &Serving, from: &str, password: &str) -> Answer {
    let mut client = Plain::connect_from(from, door(serving, "imap")).await;
    client.line().await;
    client.command(&format!("LOGIN {ALICE} {password}")).await
}

/// The answer to a sender's login.
async fn send(serving: &Serving, password: &str) -> String {
    let mut client = Plain::connect(door(serving, "submission")).await;
    assert!(client.line().await.starts_with("220 "));
    let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{ALICE}\0{password}"));
    client.send("EHLO scanner.example\r\n").await;
    while !client.line().await.starts_with("250 ") {}
    client.send(format!("AUTH PLAIN {plain}\r\n")).await;
    client.line().await
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

async fn create(site: &Site, name: &str, limits: &[&str]) -> String {
    let words = ["passwords", "create", ALICE, "--name", name, "--json"];
    let ran = site.run(&[&words, limits].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    text(&ran.json(), "password").to_owned()
}

async fn limit(site: &Site, name: &str, limits: &[&str]) -> Ran {
    site.run(&[&["passwords", "limit", ALICE, "--name", name], limits].concat()).await
}

async fn sql(site: &Site, statement: &str) {
    let store = rusqlite::Connection::open(site.state().join("store.sqlite")).unwrap();
    store.busy_timeout(sandbox::PATIENCE).unwrap();
    assert_ne!(store.execute(statement, []).unwrap(), 0, "{statement}");
}

#[tokio::test]
async fn a_password_opens_the_doors_that_it_is_limited_to_and_tells_which_command_opens_another() {
    let (site, _) = with_two_doors().await;
    let reader = create(&site, "reader", &["--protocols", "imap"]).await;
    let sender = create(&site, "the scanner", &["--protocols", "submission"]).await;
    let serving = site.serve().await;
    assert!(read(&serving, HOME, &reader).await.is_ok());

    let answer = send(&serving, &reader).await;
    let cause = format!("The app password reader of {ALICE} does not open SMTP submission; run");
    let cure = format!("imap-oauth-proxy passwords limit {ALICE} --name reader --protocols imap,submission");
    assert_eq!(answer, format!("535 5.7.8 {cause} {cure}"));
    // The code must not make the mail program ask for another password, because that does not help.
    let answer = read(&serving, HOME, &sender).await;
    assert!(answer.refused_with("CONTACTADMIN"), "{answer:?}");
    let cure = "--name 'the scanner' --protocols imap,submission";
    assert!(answer.tagged.contains("does not open IMAP; run") && answer.tagged.ends_with(cure), "{answer:?}");

    // The command in the answer has an immediate effect.
    let widened = limit(&site, "the scanner", &["--protocols", "imap,submission"]).await;
    assert!(widened.code == 0 && widened.err.contains("imap and submission only"), "{widened:?}");
    assert!(read(&serving, HOME, &sender).await.is_ok());
    assert!(!send(&serving, "wrong").await.contains("passwords limit"));
}

#[tokio::test]
async fn security_row_11_a_right_password_from_another_network_is_answered_as_a_wrong_one() {
    let (site, _) = with_two_doors().await;
    let password = create(&site, "office", &["--from", "127.0.7.0/24", "--from", "2001:db8::/32"]).await;
    let mut serving = site.serve().await;
    assert!(read(&serving, HOME, &password).await.is_ok());
    let wrong = read(&serving, AWAY, "wrong").await;
    let elsewhere = read(&serving, AWAY, &password).await;
    assert_eq!(elsewhere.tagged, wrong.tagged);
    assert!(wrong.refused_with("AUTHENTICATIONFAILED"), "{wrong:?}");
    let line = serving.logs("reason=wrong_network").await;
    assert!(line.contains(" password=office fingerprint=- ") && !line.contains(&password), "{line}");
    // Another kind of limit does not reveal either that the password is right.
    assert_eq!(limit(&site, "office", &["--protocols", "submission"]).await.code, 0);
    assert_eq!(read(&serving, AWAY, &password).await.tagged, wrong.tagged);
    assert_eq!(limit(&site, "office", &["--protocols", "", "--from", ""]).await.code, 0);
    assert!(read(&serving, AWAY, &password).await.is_ok(), "both limits are lifted");
}

#[tokio::test]
async fn a_password_ends_with_its_last_day_and_so_do_its_sessions() {
    let (site, _) = with_two_doors().await;
    let password = create(&site, "guest", &["--expires", "2199-12-31"]).await;
    let serving = site.serve().await;
    let mut session = Plain::connect(door(&serving, "imap")).await;
    session.line().await;
    assert!(session.command(&format!("LOGIN {ALICE} {password}")).await.is_ok());

    // Commands refuse a day in the past, so the test writes it to the database.
    sql(&site, "UPDATE passwords SET last_day = '2026-01-31' WHERE name = 'guest'").await;
    common::within("the end of the session", session.rest()).await;
    let answer = read(&serving, HOME, &password).await;
    assert!(answer.refused_with("EXPIRED"), "{answer:?}");
    let cure = format!("run imap-oauth-proxy passwords limit {ALICE} --name guest --expires DATE");
    assert!(answer.tagged.contains("ended on 2026-01-31") && answer.tagged.ends_with(&cure), "{answer:?}");

    let listed = site.run(&["passwords", "list", ALICE]).await;
    assert!(listed.out.contains("ended on 2026-01-31"), "{listed:?}");
    sql(&site, "DELETE FROM passwords WHERE name <> 'guest'").await;
    let checked = site.run(&["check", ALICE]).await;
    assert!(checked.out.contains("FAIL app password: all that it has are over"), "{checked:?}");
    assert_eq!(limit(&site, "guest", &["--expires", ""]).await.code, 0);
    assert!(read(&serving, HOME, &password).await.is_ok());
}

#[tokio::test]
async fn passwords_are_listed_with_their_limits_and_limited_one_by_one() {
    let (site, _) = with_two_doors().await;
    site.authorize(BOB).await;
    let limits = ["--protocols", "submission,IMAP", "--from", "192.0.2.7", "--expires", "2199-12-31"];
    create(&site, "office", &limits).await;
    let listed = site.run(&["passwords", "list", ALICE, "--json"]).await.json();
    let of = |listed: &Value, name: &str| {
        let found = listed.as_array().unwrap().iter().find(|password| password["name"] == name).cloned();
        ["protocols", "from", "expires"].map(|key| found.as_ref().unwrap()[key].clone())
    };
    assert_eq!(of(&listed, "default"), [json!(null), json!([]), json!(null)], "a new one opens all doors");
    let office = [json!(["imap", "submission"]), json!(["192.0.2.7/32"]), json!("2199-12-31")];
    assert_eq!(of(&listed, "office"), office);
    let table = site.run(&["passwords", "list", ALICE]).await.out;
    assert!(
        table.contains("imap and submission only, from 192.0.2.7/32, until 2199-12-31"),
        "what a person reads: {table}"
    );
    let all = site.run(&["passwords", "list", "--json"]).await.json();
    let accounts: Vec<&str> = all.as_array().unwrap().iter().map(|it| text(it, "account")).collect();
    assert_eq!(accounts, [ALICE, ALICE, BOB]);
    assert!(site.run(&["passwords", "list"]).await.out.starts_with("ACCOUNT "));

    assert_eq!(limit(&site, "office", &["--from", "198.51.100.0/24"]).await.code, 0);
    let listed = site.run(&["passwords", "list", ALICE, "--json"]).await.json();
    assert_eq!(of(&listed, "office"), [office[0].clone(), json!(["198.51.100.0/24"]), office[2].clone()]);

    for (words, code, cause) in [
        (&["limit", ALICE, "--name", "office"][..], 2, "--protocols <LIST>"),
        (&["limit", ALICE, "--name", "none", "--expires", ""], 1, "has no password called"),
        (&["limit", ALICE, "--name", "office", "--protocols", "imap,pop3"], 1, "does not speak \"pop3\""),
        (&["limit", ALICE, "--name", "office", "--protocols", "smtp"], 1, "write some of imap, submission"),
        (&["limit", ALICE, "--name", "office", "--from", "192.0.2.7/24"], 1, "192.0.2.0/24 for the network"),
        (&["limit", ALICE, "--name", "office", "--from", "home"], 1, "is no network"),
        (&["limit", ALICE, "--name", "office", "--expires", "2026-01-31"], 1, "2026-01-31 is over"),
        (&["create", ALICE, "--name", "x", "--expires", "soon"], 1, "YYYY-MM-DD"),
        (&["create", ALICE, "--name", "x", "--protocols", "pop3"], 1, "does not speak \"pop3\""),
    ] {
        let ran = site.run(&[&["passwords"], words].concat()).await;
        assert!(ran.code == code && ran.err.contains(cause), "{words:?}: {ran:?}");
    }
    let after = site.run(&["passwords", "list", ALICE, "--json"]).await.json();
    assert_eq!(after, listed, "what is refused changes nothing");

    create(&site, "another", &[]).await;
    for words in [&["--name", "office"][..], &["another"]] {
        assert_eq!(site.run(&[&["passwords", "revoke", ALICE], words].concat()).await.code, 0, "{words:?}");
    }
    for words in [&["passwords", "revoke", ALICE][..], &["passwords", "revoke", ALICE, "x", "--name", "x"]] {
        assert_eq!(site.run(words).await.code, 2, "{words:?}");
    }
}

#[tokio::test]
async fn a_disabled_account_lets_nobody_in_and_needs_nobody() {
    let (site, settings) = with_two_doors().await;
    let password = text(&settings, "password");
    let serving = site.serve().await;
    let mut session = Plain::connect(door(&serving, "imap")).await;
    session.line().await;
    assert!(session.command(&format!("LOGIN {ALICE} {password}")).await.is_ok());
    sql(&site, "UPDATE grants SET state = 'needs_authorization', last_error = 'it ended'").await;
    assert_eq!(site.tokens().await.1, 3);

    let ran = site.run(&["accounts", "disable", ALICE]).await;
    assert!(ran.code == 0 && ran.err.contains("accounts enable"), "{ran:?}");
    common::within("the end of the session", session.rest()).await;
    let answer = read(&serving, HOME, password).await;
    assert!(answer.refused_with("CONTACTADMIN"), "{answer:?}");
    let cure = format!("disabled in the mail proxy; run imap-oauth-proxy accounts enable {ALICE}");
    assert!(answer.tagged.ends_with(&cure), "{answer:?}");
    assert!(send(&serving, password).await.starts_with("535 5.7.8 "));
    assert!(read(&serving, HOME, "wrong").await.refused_with("AUTHENTICATIONFAILED"));

    let (tokens, code) = site.tokens().await;
    assert_eq!((text(&tokens[0], "state"), code), ("disabled", 0));
    assert!(site.run(&["tokens", "list"]).await.out.contains(" disabled "));
    assert_eq!(site.run(&["accounts", "list", "--json"]).await.json()[0]["disabled"], true);
    assert!(site.run(&["accounts", "list"]).await.out.contains(" disabled\n"));
    let checked = site.run(&["check"]).await;
    assert!(checked.code == 0 && checked.out.contains("accounts enable"), "{checked:?}");

    assert!(site.run(&["accounts", "disable", ALICE]).await.err.contains("disabled already"));
    assert_eq!(site.run(&["accounts", "enable", ALICE]).await.code, 0);
    assert!(site.run(&["accounts", "enable", ALICE]).await.err.contains("was not disabled"));
    assert_eq!(site.run(&["accounts", "disable", "nobody@example.com"]).await.code, 1);
    sql(&site, "UPDATE grants SET state = 'ok', last_error = NULL").await;
    assert!(read(&serving, HOME, password).await.is_ok());
    assert_eq!(site.tokens().await.1, 0);
}

#[tokio::test]
async fn no_event_is_told_of_a_disabled_account() {
    let site = Site::new().await;
    let told = site.home.path().join("told");
    std::fs::write(&told, "").unwrap();
    let script = format!("cat >> {}", told.display());
    site.configure(&format!("[events]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    assert_eq!(site.run(&["accounts", "disable", ALICE]).await.code, 0);
    sql(&site, "UPDATE grants SET state = 'needs_authorization', last_error = 'it ended'").await;
    let mut serving = site.serve().await;
    serving.said("telling").await;
    let (_, log) = serving.stop().await;
    assert!(log.contains(&format!("account=\"{BOB}\"")), "{log}");
    assert!(!log.contains(&format!("account=\"{ALICE}\"")), "{log}");
}

#[tokio::test]
async fn a_disabled_account_is_disabled_where_it_moves_to() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    assert_eq!(site.run(&["accounts", "disable", ALICE]).await.code, 0);
    let file = site.home.path().join("passphrase");
    std::fs::write(&file, "correct horse battery staple\n").unwrap();
    let file = file.to_string_lossy().into_owned();
    let exported = site.run(&["accounts", "export", ALICE, "--passphrase-file", &file]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let import = ["accounts", "import", "--passphrase-file", &file, "--replace"];
    let imported = site.run_with(&import, &exported.out).await;
    assert!(imported.code == 0 && imported.err.contains("accounts enable"), "{imported:?}");
    assert_eq!(site.run(&["accounts", "list", "--json"]).await.json()[0]["disabled"], true);
}

#[tokio::test]
async fn the_last_refusal_is_listed_and_changes_neither_state_nor_exit_code() {
    let (site, _) = with_two_doors().await;
    let (tokens, _) = site.tokens().await;
    assert!(tokens[0].get("last_refusal").is_none(), "{tokens:?}");
    sql(
        &site,
        r#"UPDATE accounts SET refusal_at = 1796115600, refusal_protocol = 'submission', refusal_code = '5.7.60',
         refusal_cause = '{"kind":"mailbox_refused","code":"5.7.60","text":"it may not send as that address"}',
         refusal_cure = '{"kind":"administrator","text":"ask for the right Send As"}'"#,
    )
    .await;
    let (tokens, code) = site.tokens().await;
    let expected = json!({
        "at": "2026-12-01T09:00:00Z",
        "protocol": "submission",
        "code": "5.7.60",
        "cause": {"kind": "mailbox_refused", "code": "5.7.60", "text": "it may not send as that address"},
        "cure": {"kind": "administrator", "text": "ask for the right Send As"},
    });
    assert_eq!(tokens[0]["last_refusal"], expected);
    assert_eq!((text(&tokens[0], "state"), &tokens[0]["last_error"], code), ("ok", &Value::Null, 0));
    let line = "at 2026-12-01 09:00 UTC the provider refused submission (5.7.60): it may not send as that \
         address; ask for the right Send As";
    assert!(site.run(&["tokens", "list"]).await.out.contains(line));
    let checked = site.run(&["check", ALICE]).await;
    assert!(checked.code == 0 && checked.out.contains(&format!("ok   last refusal: {line}")), "{checked:?}");

    // A newer version may have stored kinds that this one does not know.
    sql(
        &site,
        r#"UPDATE accounts SET refusal_cause = '{"kind":"weather","text":"it rains"}', refusal_cure = '{"kind":"umbrella"}'"#,
    )
    .await;
    let (tokens, _) = site.tokens().await;
    let refusal = &tokens[0]["last_refusal"];
    assert_eq!(refusal["cause"], json!({"kind": "recorded", "text": "it rains"}));
    assert_eq!(text(&refusal["cure"], "kind"), "unknown");
}

/// An open session continues when another password of its account is limited.
#[tokio::test]
async fn a_session_goes_on_while_another_password_ends() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    create(&site, "guest", &[]).await;
    let serving = site.serve().await;
    let mut session: Client = serving.log_in(&settings).await;
    sql(&site, "UPDATE passwords SET last_day = '2026-01-31' WHERE name = 'guest'").await;
    assert_eq!(site.run(&["accounts", "alias", ALICE, "ally"]).await.code, 0);
    assert!(session.command("SELECT INBOX").await.is_ok());
}
