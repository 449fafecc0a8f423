//! Many accounts at once from a table: all or nothing, one consent for all of an owner, passwords in a file.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::{ALICE, BOB, Site};
use sandbox::Sandbox;

const SALES: &str = "sales@example.com";
const SUPPORT: &str = "support@example.com";

async fn site() -> Site {
    let provider = Sandbox::builder().user(ALICE).user(BOB);
    Site::with(provider.shared_mailbox(SALES, &[BOB]).shared_mailbox(SUPPORT, &[BOB])).await
}

fn write(site: &Site, name: &str, text: &str) -> String {
    let path = site.home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_consent_of_an_owner_opens_all_mailboxes_of_that_owner() {
    let site = site().await;
    let table = format!(
        "account;provider;owner;alias\n{SALES};;{BOB};sales\n{SUPPORT};sandbox;{BOB}\n{BOB}\n{ALICE}\n"
    );
    let table = write(&site, "table.csv", &table);
    let passwords = site.home.path().join("passwords.csv");
    let out = passwords.to_str().unwrap();
    let ran = site.run(&["accounts", "add", "--csv", &table, "--passwords-out", out]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.out,
        format!(
            "imap-oauth-proxy authorize {SALES} --owner {BOB}   # and {SUPPORT}, {BOB}\nimap-oauth-proxy authorize {ALICE}\n"
        )
    );
    let printed = ran.out.clone();
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens.len(), code), (4, 3));
    for entry in &tokens {
        assert_eq!(entry["state"], "needs_authorization", "{entry}");
        assert_eq!(entry["provider"], "sandbox", "{entry}");
        assert!(entry["protocols"].as_array().unwrap().is_empty(), "{entry}");
        assert!(
            entry["last_error"].as_str().unwrap().starts_with("it has not been authorised yet"),
            "{entry}"
        );
    }

    // The printed command works as it is.
    let words: Vec<&str> = printed.split("   #").next().unwrap().split(' ').skip(2).collect();
    let ran = site.authorize_with(&words, Some(BOB)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.json()["password"].is_null(), "it has one already");
    let (tokens, _) = site.tokens().await;
    let state =
        |account: &str| tokens.iter().find(|entry| entry["account"] == account).unwrap()["state"].clone();
    assert_eq!([SALES, SUPPORT, BOB].map(state), ["ok", "ok", "ok"]);
    assert_eq!(state(ALICE), "needs_authorization");

    assert_eq!(std::fs::metadata(&passwords).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&passwords).unwrap();
    assert_eq!(text.lines().count(), 5, "a head and four accounts");
    let serving = site.serve().await;
    for (name, account) in [("sales", SALES), (SUPPORT, SUPPORT), (BOB, BOB)] {
        let line = text.lines().find(|line| line.starts_with(&format!("{account},"))).unwrap();
        let mut client = serving.client().await;
        let answer = client.command(&format!("LOGIN {name} {}", line.split_once(',').unwrap().1)).await;
        assert!(answer.is_ok(), "{account}: {answer:?}");
    }
    let mut client = serving.client().await;
    let line = text.lines().find(|line| line.starts_with(ALICE)).unwrap();
    let answer = client.command(&format!("LOGIN {ALICE} {}", line.split_once(',').unwrap().1)).await;
    assert!(!answer.is_ok(), "{answer:?}");

    // A person who has consented already opens accounts that are added later.
    let table = write(&site, "later.csv", &format!("info@example.com,sandbox,{BOB}\n"));
    let ran = site.run(&["accounts", "add", "--csv", &table, "--json"]).await;
    let made = &ran.json()[0];
    assert_eq!((&made["state"], &made["owner"]), (&"ok".into(), &BOB.into()), "{ran:?}");
    assert!(made["authorize"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_is_said_at_once_and_nothing_is_made() {
    let site = site().await;
    site.authorize(ALICE).await;
    let table = format!(
        "account,provider,owner,alias\n{ALICE},gmial,\n{SALES},nowhere,{BOB}\nx@unknown.example\n{SUPPORT},,{BOB},bob@elsewhere.example\n\
         {BOB},,,support\n{BOB},,,support\n@example.com,sandbox\n a b@example.com\n"
    );
    let table = write(&site, "table.csv", &table);
    let passwords = site.home.path().join("passwords.csv");
    let out = passwords.to_str().unwrap();
    let ran = site.run(&["accounts", "add", "--csv", &table, "--passwords-out", out]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    for said in [
        format!("{table}:2: {ALICE} is here already, and nothing was changed"),
        format!("{table}:2: there is no provider \"gmial\""),
        format!("{table}:3: there is no provider \"nowhere\""),
        format!("{table}:4: no provider is known for the domain of x@unknown.example"),
        format!("{table}:5: bob@elsewhere.example is not the address of {SUPPORT}"),
        format!("{table}:7: \"{BOB}\" is a login name in line 6 already"),
        format!("{table}:7: \"support\" is a login name in line 6 already"),
        format!("{table}:8: an account for a whole domain needs the application's own sign-in"),
        format!("{table}:9: the account \"a b@example.com\" must have no blanks"),
        "error: nothing was made".to_owned(),
    ] {
        assert!(ran.err.contains(&said), "{said}\n{}", ran.err);
    }
    assert!(!passwords.exists());
    assert_eq!(site.tokens().await.0.len(), 1);

    let table = write(&site, "table.csv", &format!("{BOB},,,bob2@elsewhere.example\n"));
    std::fs::write(&passwords, "mine").unwrap();
    let ran = site.run(&["accounts", "add", "--csv", &table, "--yes", "--passwords-out", out]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("passwords.csv is there already"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&passwords).unwrap(), "mine");
    assert_eq!(site.tokens().await.0.len(), 1);
    assert_eq!(site.run(&["accounts", "add", "--csv", &table, "--yes"]).await.code, 0);
}

#[tokio::test]
async fn columns_in_another_order_grant_no_mail_and_missing_passwords_are_said() {
    let site = site().await;
    let table = write(&site, "table.csv", &format!("account,provider,alias\n{SALES},sandbox,{BOB}\n"));
    let ran = site.run(&["accounts", "add", "--csv", &table]).await;
    let said = format!("{table}:1: the columns are account,provider,owner,alias,… in this order");
    assert!(ran.code == 1 && ran.err.contains(&said), "{ran:?}");
    let table = write(&site, "table.csv", &format!("{SALES}\tsandbox\n{SUPPORT}\tsandbox\n"));
    let ran = site.run(&["accounts", "add", "--csv", &table]).await;
    assert!(ran.code == 1 && ran.err.matches("separated by tabs").count() == 1, "{ran:?}");

    let table = write(&site, "table.csv", &format!("{ALICE}\n{BOB}\n"));
    let ran = site.run(&["accounts", "add", "--csv", &table]).await;
    let command = format!("imap-oauth-proxy passwords create {ALICE} --name");
    assert!(ran.code == 0 && ran.err.contains("They have no app password yet"), "{ran:?}");
    assert!(ran.err.contains(&command), "{ran:?}");
}

#[tokio::test]
async fn a_table_that_is_not_utf_8_is_refused_with_its_line_and_the_cure() {
    let site = site().await;
    let path = site.home.path().join("table.csv");
    std::fs::write(&path, b"alice@example.com\nm\xfcller@example.com,sandbox\n").unwrap();
    let ran = site.run(&["accounts", "add", "--csv", path.to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    let said = format!("{}:2: the file is not UTF-8: save it as CSV UTF-8", path.display());
    assert!(ran.err.contains(&said) && ran.err.contains("error: nothing was made"), "{ran:?}");
    // Nor is such a name made one by one.
    let ran = site.run(&["authorize", "m\u{fffd}ller@example.com", "--no-browser"]).await;
    assert!(ran.code == 1 && ran.error().contains("U+FFFD"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_account_has_the_state_of_its_owners_grant_which_stays_as_it_is() {
    let site = site().await;
    let add = |account: &str| write(&site, "table.csv", &format!("{account},sandbox,{BOB}\n"));
    let ran = site.run(&["accounts", "add", "--csv", &add(SALES), "--json"]).await;
    assert_eq!(ran.json()[0]["state"], "needs_authorization", "{ran:?}");
    let sql =
        "UPDATE grants SET state = 'waiting_for_administrator', last_error = 'ask them' WHERE owner = ?";
    assert_eq!(site.tamper(sql, &[BOB]).await, 1);
    let ran = site.run(&["accounts", "add", "--csv", &add(SUPPORT), "--json"]).await;
    let made = &ran.json()[0];
    assert_eq!(made["state"], "waiting_for_administrator", "{ran:?}");
    assert_eq!(made["authorize"], format!("imap-oauth-proxy authorize {SUPPORT} --owner {BOB}"));
    for entry in site.tokens().await.0 {
        assert_eq!(entry["state"], "waiting_for_administrator");
        assert!(entry["last_error"].as_str().unwrap().starts_with("ask them; "), "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cures_of_a_table_work_as_they_are_printed() {
    let site = site().await;
    site.authorize(ALICE).await;
    assert_eq!(site.run(&["accounts", "alias", ALICE, SALES, "--yes"]).await.code, 0);
    let table = format!(
        "{ALICE}\n{SALES},,{BOB}\nx@unknown.example\n{SUPPORT},nowhere,{BOB}\n@example.com,sandbox\n"
    );
    let table = write(&site, "table.csv", &table);
    let ran = site.run(&["accounts", "add", "--csv", &table]).await;
    assert_eq!(ran.code, 1);
    for hint in [
        format!("leave its line out; imap-oauth-proxy authorize {ALICE} authorises it again"),
        format!("imap-oauth-proxy accounts unalias {ALICE} {SALES} takes that alias away"),
        "write its provider in the second column: one of ".to_owned(),
        "the second column can be one of ".to_owned(),
        "imap-oauth-proxy authorize @example.com --app".to_owned(),
    ] {
        assert!(ran.err.contains(&format!("    hint: {hint}")), "{hint}\n{}", ran.err);
    }
    assert!(!ran.err.contains("--replace") && !ran.err.contains("name it:"), "{}", ran.err);

    assert_eq!(site.run(&["accounts", "unalias", ALICE, SALES]).await.code, 0);
    let table = write(
        &site,
        "table.csv",
        &format!("{SALES},,{BOB}\nx@unknown.example,sandbox\n{SUPPORT},sandbox,{BOB}\n"),
    );
    let ran = site.run(&["accounts", "add", "--csv", &table]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("imap-oauth-proxy authorize x@unknown.example --provider sandbox\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_before_a_failure_is_reported_in_the_form_that_was_asked_for() {
    let site = site().await;
    site.run(&["keys", "recipient"]).await;
    let sql = format!(
        "CREATE TRIGGER full BEFORE INSERT ON accounts WHEN NEW.name = '{SUPPORT}' BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    );
    site.tamper(&sql, &[]).await;
    let table = write(&site, "table.csv", &format!("{SALES},,{BOB}\n{SUPPORT},,{BOB}\n"));
    let ran = site.run(&["accounts", "add", "--csv", &table, "--json"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.json().as_array().unwrap().len(), 1, "{ran:?}");
    assert_eq!(ran.json()[0]["account"], SALES);
}

#[tokio::test]
async fn sign_in_links_that_open_on_this_machine_only_are_called_so() {
    for (url, base, is_public) in [
        ("", "http://localhost:8993", false),
        ("url = \"https://mail.corp.example\"\n", "https://mail.corp.example", true),
    ] {
        let site = site().await;
        site.configure(&format!("[admin]\naddress = \"127.0.0.1:8993\"\n{url}"));
        let table = write(&site, "table.csv", &format!("{ALICE}\n"));
        let ran = site.run(&["accounts", "add", "--csv", &table]).await;
        assert!(ran.code == 0 && ran.err.contains(&format!("    {ALICE}: {base}/again/")), "{ran:?}");
        assert_eq!(
            ran.err.contains("These links open on this machine only; `url` in [admin]"),
            !is_public,
            "{ran:?}"
        );
    }
}
