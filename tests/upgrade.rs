//! An installation continues after an upgrade: `tests/upgrade/` holds the state directory of an earlier
//! binary (schema 3). `store.sql` is its database, `expected.json` the output of that binary.
//!
//! alice: a person's grant, an alias, a generated and a chosen password; shared: hers, for a shared mailbox.
//! robot, @corp.example, @service.example: an application's grant for one mailbox, for a domain, and for a
//! domain with a token for each mailbox. carol, @gone.example: revoked; grace: moved to another installation.
//! dave: refused by the provider, and reported; heidi: misconfigured, and reported; ivan: a passing failure.
//! erin, frank: a mailbox that the provider did not open, refused at the sign-in and in the session. kevin: a
//! refresh whose process was killed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use common::Site;
use sandbox::{Client, Sandbox};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _};

const USERS: &[&str] = &[
    "alice@example.com",
    "carol@example.com",
    "dave@example.com",
    "erin@example.com",
    "frank@example.com",
    "grace@example.com",
    "heidi@example.com",
    "ivan@example.com",
    "kevin@example.com",
    "robot@example.com",
    "sales@corp.example",
    "sales@service.example",
    "info@gone.example",
];

/// The accounts that have to be authorised again, and the command shown for each.
const REFUSED: &[(&str, &str)] = &[
    ("carol@example.com", "imap-oauth-proxy authorize carol@example.com"),
    ("dave@example.com", "imap-oauth-proxy authorize dave@example.com"),
    ("grace@example.com", "imap-oauth-proxy authorize grace@example.com"),
    ("info@gone.example", "imap-oauth-proxy authorize @gone.example --provider application --app"),
];

const EVENTS: &str = "[events]\ncommand = [\"/bin/true\"]\n\n";

/// The installation's provider and configuration without its state: the provider's users, and two
/// applications, with a token for all mailboxes and with a token for each.
async fn site() -> Site {
    let client = |id: &str, installed| Client {
        id: id.to_owned(),
        secret: Some("sandbox-secret".to_owned()),
        redirect_uris: Vec::new(),
        installed,
        keys: Vec::new(),
    };
    let provider = Sandbox::builder()
        .shared_mailbox("shared@example.com", &["alice@example.com"])
        .client(client("sandbox-client", true))
        .client(client("application", false));
    let site = Site::with(USERS.iter().fold(provider, |provider, user| provider.user(user))).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let file = json!({"client_email": "proxy@project.example", "private_key": key.serialize_pem()});
    std::fs::write(site.home.path().join("service.json"), file.to_string()).unwrap();
    let person = site.sandbox.provider_toml("sandbox");
    let other = |name: &str, more: &str| {
        let table = site.sandbox.provider_toml(name).replace("sandbox-client", "application");
        let table: Vec<&str> = table.lines().filter(|line| !line.starts_with("domains")).collect();
        format!("{}\napp_scopes = [\"https://mail.google.com/\"]\n{more}\n", table.join("\n"))
    };
    let listener = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\n";
    let text = format!(
        "state_directory = \"state\"\n{listener}\n{person}idle_days = 90\n\n{}\n{}",
        other("application", ""),
        other("service", "service_account_file = \"service.json\""),
    );
    std::fs::write(&site.config, text).unwrap();
    site
}

/// The installation of the earlier binary, that binary's output, the mail programs' passwords, and the
/// refresh tokens, which the provider still accepts.
async fn left_behind() -> (Site, Value) {
    let site = site().await;
    let left = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade");
    let left = |name: &str| std::fs::read_to_string(left.join(name)).unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(site.state()).unwrap();
    let mut key = std::fs::File::options();
    key.write(true).create_new(true).mode(0o600);
    key.open(site.state().join("master.key")).unwrap().write_all(left("master.key").as_bytes()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(site.state().join("store.sqlite"))
        .create_if_missing(true);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(left("store.sql"))).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let expected: Value = serde_json::from_str(&left("expected.json")).unwrap();
    for (owner, token) in expected["refresh_tokens"].as_object().unwrap() {
        site.sandbox.controls().accept_refresh_token(owner, token.as_str().unwrap());
    }
    (site, expected)
}

#[tokio::test]
async fn after_an_upgrade_every_command_lists_the_same() {
    let (site, expected) = left_behind().await;
    for command in expected["commands"].as_array().unwrap() {
        let words: Vec<&str> =
            command["words"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        let ran = site.run(&words).await;
        assert_eq!(command["code"], ran.code, "{ran:?}");
        let before = command["out"].as_str().unwrap();
        match words.contains(&"--json") {
            true => lists(&ran.json(), &serde_json::from_str(before).unwrap()),
            false => shows(&ran.out, before),
        }
    }
    let ran = site.run(&["check", "alice@example.com", "--json"]).await;
    let key = ran.json()["steps"].as_array().unwrap().iter().find(|step| step["step"] == "key").cloned();
    assert!(key.is_some_and(|key| key["ok"] == true), "what is sealed opens: {ran:?}");
}

/// Compares, ignoring new keys.
fn lists(now: &Value, before: &Value) {
    let (now, before) = (now.as_array().unwrap(), before.as_array().unwrap());
    assert_eq!(now.len(), before.len());
    for (now, before) in now.iter().zip(before) {
        for (key, value) in before.as_object().unwrap() {
            assert_eq!(&now[key], value, "{key} of {now}");
        }
    }
}

/// Tables are for people: their rows may be in another order, their dates in another form, and columns may follow.
fn shows(now: &str, before: &str) {
    let (now, before) = (rows(now), rows(before));
    assert_eq!(now.len(), before.len(), "{now:?}");
    for (now, before) in now.iter().zip(&before) {
        let more = now.strip_prefix(before).unwrap_or_else(|| panic!("{now:?} was {before:?}"));
        assert!(more.is_empty() || more.starts_with(' '), "{now:?} was {before:?}");
    }
}

/// The rows of a table, sorted, with dates to the minute.
fn rows(table: &str) -> Vec<String> {
    let cell = |word: &str| match word.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((day, time)) if day.len() == 10 => format!("{day} {}", time.get(..5).unwrap_or(time)),
        _ => word.to_owned(),
    };
    let row = |line: &str| {
        let cells: Vec<_> = line.split_whitespace().filter(|word| *word != "(UTC)").map(cell).collect();
        cells.join(" ")
    };
    let mut rows: Vec<_> = table.lines().map(row).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn after_an_upgrade_passwords_open_what_they_opened_before() {
    let (site, expected) = left_behind().await;
    let listed = site.run(&["passwords", "list", "--json"]).await.json();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() > 10, "{listed:?}");
    for password in listed {
        let limits = ["protocols", "from", "expires"].map(|key| &password[key]);
        assert_eq!(limits, [&json!(["imap"]), &json!([]), &Value::Null], "{password}");
    }
    let config = std::fs::read_to_string(&site.config).unwrap();
    let doors =
        "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
    std::fs::write(&site.config, config.replacen("[[listeners]]", &format!("{doors}[[listeners]]"), 1))
        .unwrap();
    let password = expected["passwords"]["alice@example.com"].as_str().unwrap();
    let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0alice@example.com\0{password}"));
    let send = async || {
        let serving = site.serve().await;
        let mut client = serving.plain("none").await;
        client.line().await;
        client.send(format!("EHLO scanner.example\r\nAUTH PLAIN {plain}\r\n")).await;
        loop {
            let line = client.line().await;
            if !line.starts_with("2") {
                return line;
            }
        }
    };
    let answer = send().await;
    let cure =
        "imap-oauth-proxy passwords limit alice@example.com --name default --protocols imap,submission";
    assert!(answer.starts_with("535 5.7.8 ") && answer.ends_with(cure), "{answer}");
    let widened = site.run(&cure.split(' ').skip(1).collect::<Vec<_>>()).await;
    assert_eq!(widened.code, 0, "{widened:?}");
    let answer = send().await;
    assert!(!answer.contains("passwords limit"), "the password opens it: {answer}");
}

/// How many migrations the store has seen.
async fn migrations(site: &Site) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.state().join("store.sqlite"));
    let mut store = options.connect().await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut store).await;
    store.close().await.unwrap();
    count.unwrap()
}

#[tokio::test]
async fn a_start_that_fails_leaves_the_store_to_the_version_before() {
    let (site, _) = left_behind().await;
    let good = std::fs::read_to_string(&site.config).unwrap();
    let taker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taker.local_addr().unwrap();
    let with = |table: &str| good.replacen("[[listeners]]", &format!("{table}\n[[listeners]]"), 1);
    let address = format!("address = \"{taken}\"");
    let key = site.state().join("master.key");
    let own_key = std::fs::read(&key).unwrap();
    let other = Site::with(Sandbox::builder()).await;
    assert_eq!(other.run(&["keys", "recipient"]).await.code, 0);
    let other_key = std::fs::read(other.state().join("master.key")).unwrap();
    let cases = [
        (good.replacen("127.0.0.1:0", &taken.to_string(), 1), &own_key, taken.to_string()),
        (with(&format!("[metrics]\n{address}")), &own_key, taken.to_string()),
        (with(&format!("[callback]\n{address}")), &own_key, taken.to_string()),
        (with("[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\""), &own_key, "own.pem".to_owned()),
        (good.clone(), &other_key, "cannot be opened".to_owned()),
    ];
    for (config, with_key, cause) in cases {
        std::fs::write(&site.config, &config).unwrap();
        std::fs::write(&key, with_key).unwrap();
        let ran = site.run(&["serve"]).await;
        assert!(ran.code == 1 && ran.err.contains(&cause), "{ran:?}\n{config}");
        assert_eq!(migrations(&site).await, 3, "{ran:?}");
    }
    std::fs::write(&site.config, &good).unwrap();
    std::fs::write(&key, &own_key).unwrap();
    site.serve().await.stop().await;
    assert!(migrations(&site).await > 3);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_named_so() {
    let site = Site::new().await;
    site.authorize("alice@example.com").await;
    site.tamper("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 7", &[]).await;
    let ran = site.run(&["tokens", "list"]).await;
    assert!(ran.code == 1 && ran.err.contains("is of a newer version of this program"), "{ran:?}");
}

#[tokio::test]
async fn after_an_upgrade_logins_go_on() {
    let (site, expected) = left_behind().await;
    site.sandbox.controls().revoke_grants("dave@example.com");
    let config = std::fs::read_to_string(&site.config).unwrap();
    let config =
        config.replace("idle_days = 90\n", "").replace("[[listeners]]", &format!("{EVENTS}[[listeners]]"));
    std::fs::write(&site.config, config).unwrap();
    let mut serving = site.serve().await;
    for (name, password) in expected["passwords"].as_object().unwrap() {
        let mut client = serving.client().await;
        let answer = client.command(&format!("LOGIN \"{name}\" \"{}\"", password.as_str().unwrap())).await;
        match REFUSED.iter().find(|(refused, _)| refused == name) {
            Some((_, cure)) => {
                assert!(answer.refused_with("EXPIRED") && answer.tagged.contains(cure), "{name}: {answer:?}");
            }
            None => {
                assert!(answer.is_ok(), "{name}: {answer:?}");
                assert!(client.command("SELECT INBOX").await.is_ok(), "{name}");
            }
        }
    }
    site.sandbox.assert_no_violations();
    let (tokens, code) = site.tokens().await;
    let (refused, well): (Vec<&Value>, Vec<&Value>) =
        tokens.iter().partition(|token| token["state"] == "needs_authorization");
    let of = |tokens: &[&Value]| {
        tokens.iter().map(|token| token["account"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(&refused), code),
        (
            ["@gone.example", "carol@example.com", "dave@example.com", "grace@example.com"]
                .map(String::from)
                .into(),
            3
        )
    );
    assert!(
        well.iter().all(|token| token["state"] == "ok" && token["last_error"] == Value::Null),
        "{well:?}"
    );
    // Dave's trouble was reported before; Heidi's is over.
    let told = serving.logs("telling").await;
    assert!(told.contains("heidi@example.com") && told.contains("healed"), "{told}");
    let (_, log) = serving.stop().await;
    assert_eq!(log.matches("telling").count(), 1, "{log}");
}

#[tokio::test]
async fn after_an_upgrade_what_was_revoked_is_authorised_again() {
    let (site, expected) = left_behind().await;
    let again = site.authorize("carol@example.com").await;
    assert_eq!(again["password"], Value::Null, "the app password is kept");
    let words = ["authorize", "@gone.example", "--provider", "application", "--app", "--json"];
    let ran = site.run(&words).await;
    assert!(ran.code == 0 && ran.json()["password"] == Value::Null, "{ran:?}");
    assert_eq!(site.run(&["tokens", "revoke", "robot@example.com"]).await.code, 0);
    assert_eq!(site.run(&["keys", "rotate"]).await.code, 0);
    let serving = site.serve().await;
    for name in ["carol@example.com", "info@gone.example", "alice@example.com", "sales@service.example"] {
        let settings = json!({"username": name, "password": expected["passwords"][name]});
        drop(serving.log_in(&settings).await);
    }
    let mut client = serving.client().await;
    let password = expected["passwords"]["robot@example.com"].as_str().unwrap();
    let answer = client.command(&format!("LOGIN robot@example.com {password}")).await;
    assert!(answer.refused_with("EXPIRED"), "{answer:?}");
}
