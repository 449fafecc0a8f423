//! The login line of the log: every door, every outcome, and the format that other programs may parse.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::smtp::sign_in;
use common::{ALICE, Serving, Site};
use sandbox::{Flavour, LoginFault, Sandbox, TokenFault};

/// The fields, in their order.
const FIELDS: [&str; 10] = [
    "result",
    "protocol",
    "account",
    "from",
    "password",
    "fingerprint",
    "client",
    "provider",
    "ms",
    "reason",
];

/// The next login line's fields, with `ms` replaced by 0, and its connection's id.
async fn line(serving: &mut Serving) -> (String, String) {
    let line = serving.logs("login_line: login ").await;
    let (before, said) = line.split_once("login_line: login ").unwrap();
    let id = before.split_once("connection{id=").unwrap().1.split_once(' ').unwrap().0;
    let (start, rest) = said.split_once(" ms=").unwrap();
    let (ms, rest) = rest.split_once(' ').unwrap();
    assert!(ms.parse::<u64>().is_ok(), "{line}");
    (format!("{start} ms=0 {rest}"), id.to_owned())
}

/// The line without its fingerprint, and the fingerprint.
fn marked(line: &str) -> (String, String) {
    let (start, rest) = line.split_once("fingerprint=").unwrap();
    let (mark, rest) = rest.split_once(' ').unwrap();
    (format!("{start}fingerprint=… {rest}"), mark.to_owned())
}

#[tokio::test]
async fn each_attempt_at_each_door_writes_one_line_of_ten_fields() {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).submission()).await;
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap();
    let mut serving = site.serve().await;

    let mut client = serving.client().await;
    client.command("ID (\"name\" \"Mutt \\\"\\\\\" \"version\" \"2.2\")").await;
    client.command(&format!("LOGIN {ALICE} wrong")).await;
    let (first, id) = line(&mut serving).await;
    let (shape, mark) = marked(&first);
    assert_eq!(
        shape,
        "result=refused protocol=imap account=alice@example.com from=127.0.0.1 password=- fingerprint=… \
         client=\"Mutt \\\"\\\\ 2.2\" provider=- ms=0 reason=wrong_password"
    );
    assert!(mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()), "{mark}");
    client.command("LOGIN nobody@x wrong").await;
    client.command("LOGIN nobody@x other").await;
    let (same, other) = (line(&mut serving).await, line(&mut serving).await);
    assert_eq!((marked(&same.0).1, same.1), (mark.clone(), id.clone()), "one password, one connection");
    assert_ne!(marked(&other.0).1, mark);

    client.command(&format!("LOGIN {ALICE} {password}")).await;
    let (accepted, accepted_id) = line(&mut serving).await;
    assert_eq!(
        accepted,
        "result=ok protocol=imap account=alice@example.com from=127.0.0.1 password=default fingerprint=- \
         client=\"Mutt \\\"\\\\ 2.2\" provider=sandbox ms=0 reason=-"
    );
    client.command("LOGOUT").await;
    drop(client);
    assert!(serving.logs("session ended").await.contains(&format!("id={id} ")), "one id to the end");
    assert_eq!(accepted_id, id);

    let mut sender = serving.submit().await;
    assert_eq!(sign_in(&mut sender, &settings).await.code(), 235);
    let (sent, sender_id) = line(&mut serving).await;
    assert_eq!(
        sent,
        "result=ok protocol=submission account=alice@example.com from=127.0.0.1 password=default fingerprint=- \
         client=\"client.example\" provider=sandbox ms=0 reason=-"
    );
    assert_ne!(sender_id, id);
}

#[tokio::test]
async fn an_outage_of_the_provider_is_never_a_refused_password() {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).submission()).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let password = settings["password"].as_str().unwrap().to_owned();
    let controls = site.sandbox.controls();

    controls.every_login(LoginFault::Close);
    let mut client = serving.client().await;
    client.command(&format!("LOGIN {ALICE} {password}")).await;
    let (down, _) = line(&mut serving).await;
    assert!(down.starts_with("result=failed protocol=imap account=alice@example.com "), "{down}");
    assert!(down.ends_with(" reason=provider_unavailable") && down.contains(" fingerprint=- "), "{down}");

    controls.heal_logins();
    controls.expire_access_tokens();
    controls.every_token(TokenFault::Drop);
    client.command(&format!("LOGIN {ALICE} {password}")).await;
    let (no_token, _) = line(&mut serving).await;
    assert!(no_token.starts_with("result=failed ") && no_token.ends_with(" reason=no_token"), "{no_token}");

    // No server listens at the provider's address.
    drop(site.sandbox);
    let mut sender = serving.submit().await;
    sign_in(&mut sender, &settings).await;
    let (gone, _) = line(&mut serving).await;
    assert!(gone.starts_with("result=failed protocol=submission "), "{gone}");
    assert!(gone.contains(" password=default fingerprint=- "), "{gone}");
}

#[tokio::test]
async fn in_json_the_same_fields_are_members_and_the_id_is_the_spans() {
    let site = Site::with_config(Sandbox::builder().user(ALICE), "[log]\nformat = \"json\"").await;
    site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = serving.client().await;
    client.command("ID (\"name\" \"a \\\"b\")").await;
    client.command(&format!("LOGIN {ALICE} wrong")).await;
    let line = serving.logs("\"login\"").await;
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    for field in FIELDS {
        assert_eq!(object[field].is_number(), field == "ms", "{field}: {object}");
        assert_eq!(object[field].is_string(), field != "ms", "{field}: {object}");
    }
    assert_eq!((object["result"].as_str(), object["client"].as_str()), (Some("refused"), Some("a \"b")));
    assert_eq!((object["message"].as_str(), object["level"].as_str()), (Some("login"), Some("WARN")));
    assert_eq!(object["span"]["id"].as_str().map(str::len), Some(16), "{object}");
}
