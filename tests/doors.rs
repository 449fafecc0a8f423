//! Scopes by door: which scopes are requested, which a refresh names, and which doors a grant without a
//! door's scope still opens.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::smtp::sign_in;
use common::{ALICE, BOB, Site, login};
use sandbox::{Flavour, Sandbox, TokenFault};
use serde_json::{Value, json};

const IMAP: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";

/// A provider of the vendor Microsoft that reads and sends.
async fn microsoft() -> Site {
    let provider = Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(BOB).submission();
    let site = Site::with(provider).await;
    site.configure_provider("scope_on_refresh = true");
    site
}

/// A provider that only reads, configured with Microsoft's preset and these scopes.
async fn of_before(scopes: &[&str]) -> Site {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
    site.sandbox.controls().oauth(|oauth| oauth.refuse_unconsented = true);
    set_scopes(&site, Some(scopes));
    let issuer =
        format!("preset = \"microsoft365\"\nissuer = \"{}/{{tenantid}}/v2.0\"", site.sandbox.issuer());
    site.configure_provider(&issuer);
    site
}

fn set_scopes(site: &Site, scopes: Option<&[&str]>) {
    let config = std::fs::read_to_string(&site.config).unwrap();
    let without = config.lines().filter(|line| !line.starts_with("scopes = "));
    let own = scopes.map(|scopes| format!("scopes = {scopes:?}"));
    let lines: Vec<&str> = without.chain(own.as_deref()).collect();
    std::fs::write(&site.config, lines.join("\n") + "\n").unwrap();
}

/// The scopes that each refresh named, in order.
fn named(site: &Site) -> Vec<Vec<String>> {
    let requests = site.sandbox.controls().token_requests();
    let refreshes = requests.iter().filter(|request| request.field("grant_type") == Some("refresh_token"));
    let words = |scope: &str| scope.split(' ').map(str::to_owned).collect();
    refreshes.map(|request| words(request.field("scope").unwrap_or_default())).collect()
}

/// The provider refuses a refresh that names a scope without consent (AADSTS65001).
#[tokio::test]
async fn a_grant_of_before_the_doors_is_refreshed_with_the_scopes_that_it_holds() {
    let other_name = "https://outlook.office365.com/IMAP.AccessAsUser.All";
    let identity = ["openid", "profile", "email", "offline_access"];
    let before = |mail: &'static str| -> Vec<&str> { [mail].into_iter().chain(identity).collect() };
    for (before, after) in [
        // The preset's scopes, which have changed since.
        (before(IMAP), None),
        // The user's own list stays in force, in its spelling.
        (before(IMAP), Some(before(IMAP))),
        (before(other_name), Some(before(other_name))),
    ] {
        let site = of_before(&before).await;
        site.sandbox.controls().next_token(TokenFault::expires_in(json!(1)));
        let settings = site.authorize(ALICE).await;
        set_scopes(&site, after.as_deref());
        let serving = site.serve().await;
        for _ in 0..2 {
            let ran = site.run(&["tokens", "refresh", ALICE]).await;
            assert_eq!(ran.code, 0, "{before:?}: {ran:?}");
        }
        serving.log_in(&settings).await;
        let (tokens, code) = site.tokens().await;
        assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0), "{tokens:?}");
        assert_eq!((&tokens[0]["last_error"], &tokens[0]["scopes_missing"]), (&Value::Null, &json!([])));
        assert_eq!(tokens[0]["protocols"], json!(["imap"]));
        for mut words in named(&site) {
            let mut expected = before.clone();
            words.sort();
            expected.sort();
            assert_eq!(words, expected, "each once");
        }
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn a_door_whose_scope_is_missing_refuses_with_the_command_and_the_others_go_on() {
    let site = microsoft().await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let settings = ran.json();
    let told = site.home.path().join("told");
    let config = std::fs::read_to_string(&site.config).unwrap();
    let events =
        format!("[events]\ncommand = [\"/usr/bin/touch\", {:?}]\n\n[[listeners]]", told.to_str().unwrap());
    std::fs::write(&site.config, config.replacen("[[listeners]]", &events, 1)).unwrap();
    let mut serving = site.serve().await;
    let requests = site.sandbox.controls().token_requests().len();

    let mut client = serving.submit().await;
    let reply = sign_in(&mut client, &settings).await;
    let command = format!("imap-oauth-proxy authorize {ALICE} --protocols imap,submission");
    let text = reply.text();
    assert_eq!((reply.code(), text.starts_with("5.7.8 ")), (535, true), "{reply:?}");
    assert!(text.contains(&command) && text.contains("SMTP.Send"), "{reply:?}");
    let line = serving.logs("no token").await;
    assert!(line.contains(&command) && line.contains("SMTP.Send") && line.contains(ALICE), "{line}");
    let stats = site.sandbox.controls().stats();
    assert_eq!((stats.submissions, site.sandbox.controls().token_requests().len()), (0, requests));

    serving.log_in(&settings).await;
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), &tokens[0]["last_error"], code), (Some("ok"), &Value::Null, 0));
    assert!(!told.exists(), "an event was told");

    let ran = site.authorize_with(&[ALICE, "--protocols", "imap,submission"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(site.tokens().await.0[0]["protocols"], json!(["imap", "submission"]));
    serving.submit_as(&settings).await;
    serving.log_in(&settings).await;
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_grant_for_sending_alone_refuses_to_read() {
    let site = microsoft().await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "submission"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    serving.submit_as(&ran.json()).await;
    let answer = serving.client().await.command(&login(&ran.json())).await;
    let command = format!("imap-oauth-proxy authorize {ALICE} --protocols imap,submission");
    assert!(answer.refused_with("EXPIRED") && answer.tagged.contains(&command), "{answer:?}");
    assert!(answer.tagged.contains(IMAP), "{answer:?}");
    assert_eq!(site.sandbox.controls().stats().connections, 0);
}

#[tokio::test]
async fn a_scope_that_the_last_refresh_lost_is_a_trouble_although_another_door_is_open() {
    let site = microsoft().await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().next_token(TokenFault::scope("https://outlook.office.com/SMTP.Send"));
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0));
    assert!(tokens[0]["last_error"].as_str().unwrap().contains(IMAP), "{tokens:?}");
    assert_eq!(tokens[0]["protocols"], json!(["submission"]));
    site.serve().await.submit_as(&settings).await;
}
