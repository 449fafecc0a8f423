//! Who consented, which step of the proof failed, and how a provider's words are shown.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Ran, Site};
use sandbox::{Flavour, Greeting, LoginFault, Sandbox};
use serde_json::json;

const EVE: &str = "eve@example.com";

/// A provider of the vendor Microsoft, configured with Microsoft's preset.
async fn microsoft() -> Site {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(EVE)).await;
    let config = std::fs::read_to_string(&site.config).unwrap();
    let issuer =
        format!("preset = \"microsoft365\"\nissuer = \"{}/{{tenantid}}/v2.0\"\n", site.sandbox.issuer());
    std::fs::write(&site.config, config + &issuer).unwrap();
    site
}

/// Sets the claims that the provider sends about a person.
fn claim(site: &Site, claims: &serde_json::Value) {
    site.sandbox.controls().oauth(|oauth| oauth.claims = claims.as_object().unwrap().clone());
}

async fn nothing_is_stored(site: &Site) {
    assert!(site.tokens().await.0.is_empty());
}

#[tokio::test]
async fn security_row_18_at_microsoft_an_email_claim_proves_nothing() {
    let site = microsoft().await;
    claim(&site, &json!({"email": ALICE}));
    let ran = site.authorize_with(&[ALICE], Some(EVE)).await;
    assert!(
        ran.code == 1 && ran.err.contains(&format!("{EVE} consented, but {ALICE} was expected")),
        "{ran:?}"
    );
    assert!(ran.err.contains(&format!("--owner {EVE}")), "{ran:?}");
    nothing_is_stored(&site).await;

    // With only this claim the sign-in would have to prove the name, but the mail server cannot be reached.
    claim(&site, &json!({"email": ALICE, "preferred_username": null}));
    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Close);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert!(ran.code == 1 && ran.err.contains("nothing is stored"), "{ran:?}");
    nothing_is_stored(&site).await;
    // A sign-in proves the name; and with the sign-in name known, the proof can wait.
    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Normal);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    claim(&site, &json!({"email": null}));
    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Close);
    let ran = site.authorize_with(&[EVE], Some(EVE)).await;
    assert!(ran.code == 0 && ran.err.contains("could not be tried yet"), "{ran:?}");
}

#[tokio::test]
async fn elsewhere_a_verified_email_claim_goes_on_counting() {
    let site = Site::new().await;
    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Close);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert!(ran.code == 0 && ran.err.contains("could not be tried yet"), "{ran:?}");
    claim(&site, &json!({"email_verified": false}));
    let ran = site.authorize_with(&[BOB], Some(BOB)).await;
    assert!(ran.code == 1 && ran.err.contains("nothing is stored"), "{ran:?}");
}

/// The text of the step that failed.
fn detail(ran: &Ran, step: &str) -> String {
    let steps = ran.json()["steps"].as_array().unwrap().clone();
    let found = steps.iter().find(|entry| entry["step"] == step && entry["ok"] == false);
    found.unwrap_or_else(|| panic!("{step}: {ran:?}"))["detail"].as_str().unwrap().to_owned()
}

/// Checks the words of `authorize` about a mailbox that does not open, and those of `check` at `step`.
async fn both_say(site: &Site, step: &str, said: &[&str], not: &[&str]) {
    let authorized = site.authorize_with(&[BOB], Some(BOB)).await;
    assert_eq!(authorized.code, 1, "{authorized:?}");
    let error = authorized.err.lines().find(|line| line.starts_with("error: ")).unwrap().to_owned();
    let checked = detail(&site.run(&["check", ALICE, "--json"]).await, step);
    for text in [&error, &checked] {
        assert!(said.iter().all(|said| text.contains(said)), "{step}: {text}");
        assert!(!not.iter().any(|not| text.contains(not)), "{step}: {text}");
    }
}

#[tokio::test]
async fn a_proof_that_fails_names_the_step_and_what_the_server_said() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    // Only a sign-in can prove the name.
    claim(&site, &json!({"email_verified": false}));
    let imap = |change: fn(&mut sandbox::ImapSwitches)| site.sandbox.controls().imap(change);

    imap(|imap| imap.refuse_list = Some("NO [SERVERBUG2] Folder index is away (17)".to_owned()));
    let said = ["the sign-in succeeded", "\"[SERVERBUG2] Folder index is away (17)\" to LIST"];
    both_say(&site, "folders", &said, &["access token", "authorise the account again"]).await;

    imap(|imap| imap.refuse_list = Some("NO [UNAVAILABLE] Folders come back at noon".to_owned()));
    let said = ["the sign-in succeeded", "Folders come back at noon\" to LIST", "try again later"];
    both_say(&site, "folders", &said, &["access token"]).await;

    imap(|imap| {
        imap.refuse_list = None;
        imap.bye_after_commands = Some((0, "Closed for stocktaking".to_owned()));
    });
    both_say(&site, "folders", &["the sign-in succeeded", "Closed for stocktaking\" to LIST"], &[]).await;

    imap(|imap| {
        imap.bye_after_commands = None;
        imap.greeting = Greeting::Bye("Closed for today".to_owned());
    });
    both_say(&site, "sign-in", &["\"Closed for today\" instead of a greeting"], &["succeeded"]).await;

    imap(|imap| imap.greeting = Greeting::Normal);
    site.sandbox.controls().every_login(LoginFault::Refuse);
    both_say(&site, "sign-in", &["refused the access token", "Invalid credentials"], &["LIST"]).await;
}
