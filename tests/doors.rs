//! Scopes by door: what is asked for, what a refresh names, and what a grant that lacks a door's scope still opens.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Site};
use sandbox::{Flavour, Sandbox, TokenFault};
use serde_json::{Value, json};

const IMAP: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";
const SEND: &str = "https://outlook.office.com/SMTP.Send";

/// A provider with Microsoft's habits, configured over Microsoft's preset, with the scopes of the preset or with
/// `scopes` of its own.
async fn microsoft(scopes: Option<&[&str]>) -> Site {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(BOB)).await;
    set_scopes(&site, scopes);
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

/// What the token requests of this kind named, word for word.
fn named(site: &Site, grant_type: &str) -> Vec<Vec<String>> {
    let requests = site.sandbox.controls().token_requests();
    let of_kind = requests.iter().filter(|request| request.field("grant_type") == Some(grant_type));
    let words = |scope: &str| scope.split(' ').map(str::to_owned).collect();
    of_kind.map(|request| words(request.field("scope").unwrap_or_default())).collect()
}

/// The provider answers a refresh that names a scope without consent with an error (RFC 6749 §6), so each of these
/// logins shows that no other scope was named.
#[tokio::test]
async fn a_grant_of_before_the_doors_is_refreshed_with_the_scopes_that_it_holds() {
    let other_name = "https://outlook.office365.com/IMAP.AccessAsUser.All";
    let identity = ["openid", "profile", "email", "offline_access"];
    let of_before = |mail: &'static str| -> Vec<&str> { [mail].into_iter().chain(identity).collect() };
    for (before, after) in [
        // The preset's, which have moved.
        (of_before(IMAP), None),
        // A list of the user's own goes on counting, as it is spelt.
        (of_before(IMAP), Some(of_before(IMAP))),
        (of_before(other_name), Some(of_before(other_name))),
    ] {
        let site = microsoft(Some(&before)).await;
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
        for mut words in named(&site, "refresh_token") {
            let mut expected = before.clone();
            (words.sort(), expected.sort());
            assert_eq!(words, expected, "each once");
        }
        site.sandbox.assert_no_violations();
    }
}
