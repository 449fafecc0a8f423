//! From `authorize` to reading mail, and every failure on the way.

mod common;

use common::{ALICE, BOB, Site};
use sandbox::{Flavour, LoginFault, Sandbox, TokenFault};

#[tokio::test]
async fn a_password_reads_mail() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().forbid(settings["password"].as_str().unwrap());
    let serving = site.serve().await;

    let mut client = serving.client().await;
    assert!(client.greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{}", client.greeting);
    let password = settings["password"].as_str().unwrap();
    let login = client.command(&format!("LOGIN {ALICE} {password}")).await;
    assert!(login.is_ok(), "{login:?}");
    assert!(login.untagged[0].starts_with("* CAPABILITY "), "the provider's, passed on: {login:?}");
    let select = client.command("SELECT INBOX").await;
    assert!(select.is_ok() && select.untagged.iter().any(|line| line.ends_with(" EXISTS")), "{select:?}");
    let fetch = client.command("FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await;
    assert!(fetch.is_ok() && fetch.untagged.iter().any(|line| line.starts_with("Subject: ")), "{fetch:?}");
    assert!(client.command("LOGOUT").await.is_ok());
    assert!(client.is_closed().await);
    site.sandbox.assert_no_violations();
    let (code, log) = serving.stop().await;
    assert_eq!(code, 0);
    assert!(
        log.contains("login result=ok protocol=imap account=alice@example.com ") && !log.contains(password),
        "{log}"
    );
}

/// The sandbox injects an offer and an open mailbox behind its consent to TLS.
#[tokio::test]
async fn security_row_8_mail_is_read_from_a_server_with_starttls_and_no_cleartext_of_it_counts() {
    let site = Site::with(Sandbox::builder().user(ALICE).imap_starttls()).await;
    let settings = site.authorize(ALICE).await;
    let ran = site.run(&["check", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    assert!(client.command("SELECT INBOX").await.is_ok());
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_get_one_answer_and_three_more_tries() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let wrong = client.command(&format!("LOGIN {ALICE} wrong")).await;
    let unknown = client.command("LOGIN nobody@example.com wrong").await;
    assert!(wrong.refused_with("AUTHENTICATIONFAILED"), "{wrong:?}");
    assert_eq!(wrong.tagged, unknown.tagged);
    client.command("LOGIN x y").await;
    let right = client.command(&format!("LOGIN {ALICE} {}", settings["password"].as_str().unwrap())).await;
    assert!(right.is_ok(), "{right:?}");

    let mut client = serving.client().await;
    for _ in 0..3 {
        client.command("LOGIN x y").await;
    }
    let last = client.command("LOGIN x y").await;
    assert!(last.refused_with("AUTHENTICATIONFAILED"), "{last:?}");
    assert!(client.line().await.starts_with("* BYE "));
    assert!(client.is_closed().await);
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0), "a wrong password touches no grant");
}

#[tokio::test]
async fn one_token_serves_many_logins() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    for _ in 0..5 {
        serving.log_in(&settings).await;
    }
    assert_eq!(site.sandbox.controls().stats().refreshes, 0, "authorize left a fresh token in the store");
}

#[tokio::test]
async fn an_expired_token_is_refreshed_before_it_is_used() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    // With a token life of two seconds, a login requests a new token once half of it is over.
    site.sandbox.controls().oauth(|switches| switches.access_token_life = std::time::Duration::from_secs(2));
    site.sandbox.controls().revoke_access_tokens();
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    assert_eq!(site.sandbox.controls().stats().refreshes, 1, "refused, refreshed once, accepted");
    assert_eq!(site.sandbox.controls().stats().logins, 2);
}

#[tokio::test]
async fn a_dead_grant_names_the_command_that_cures_it_and_is_kept() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().revoke_grants(ALICE);
    let serving = site.serve().await;
    let password = settings["password"].as_str().unwrap();
    let mut client = serving.client().await;
    let login = client.command(&format!("LOGIN {ALICE} {password}")).await;
    assert!(login.refused_with("EXPIRED"), "{login:?}");
    let cure = format!("NO [EXPIRED] Run imap-oauth-proxy authorize {ALICE} : ");
    assert!(login.tagged.starts_with(&cure) && login.tagged.contains("invalid_grant"), "{login:?}");
    assert_eq!(login.tagged.matches("authorize").count(), 1, "{login:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("needs_authorization"), 3));
    assert!(tokens[0]["last_error"].as_str().unwrap().contains("authorize"));

    // The next login sends no request. A new consent repairs the grant while `serve` runs, with the same
    // password.
    let before = site.sandbox.controls().stats().refreshes;
    assert!(client.command(&format!("LOGIN {ALICE} {password}")).await.refused_with("EXPIRED"));
    assert_eq!(site.sandbox.controls().stats().refreshes, before);
    let again = site.authorize(ALICE).await;
    assert!(again["password"].is_null(), "{again}");
    assert!(client.command(&format!("LOGIN {ALICE} {password}")).await.is_ok());
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
}

#[tokio::test]
async fn an_unreachable_token_endpoint_costs_no_grant() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().revoke_access_tokens();
    site.sandbox.controls().next_token(TokenFault::Drop);
    let serving = site.serve().await;
    let password = settings["password"].as_str().unwrap();
    let mut client = serving.client().await;
    let login = client.command(&format!("LOGIN {ALICE} {password}")).await;
    assert!(login.refused_with("UNAVAILABLE"), "{login:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("retrying"), 0));
}

#[tokio::test]
async fn a_mailbox_that_refuses_fresh_tokens_is_not_hammered() {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().every_login(LoginFault::Refuse);
    let serving = site.serve().await;
    let password = settings["password"].as_str().unwrap();
    let mut client = serving.client().await;
    for _ in 0..3 {
        let login = client.command(&format!("LOGIN {ALICE} {password}")).await;
        assert!(login.refused_with("AUTHORIZATIONFAILED"), "{login:?}");
        let command = format!("imap-oauth-proxy check {ALICE}");
        assert!(login.tagged.ends_with(&command), "{login:?}");
    }
    assert_eq!(site.sandbox.controls().stats().refreshes, 1, "one fresh token, then none for a while");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("misconfigured"), 3));
    site.sandbox.controls().heal_logins();
    assert!(client.command(&format!("LOGIN {ALICE} {password}")).await.is_ok());
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
}

#[tokio::test]
async fn somebody_elses_consent_stores_nothing_and_names_both() {
    let site = Site::new().await;
    let ran = site.authorize_with(&[ALICE], Some(BOB)).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = format!("{BOB} consented, but {ALICE} was expected; nothing is stored");
    assert!(ran.error().contains(&said) && ran.error().contains("--owner"), "{}", ran.err);
    assert!(site.tokens().await.0.is_empty());
}

#[tokio::test]
async fn sigterm_says_bye_to_idle_sessions() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut session = serving.log_in(&settings).await;
    let mut waiting = serving.client().await;
    serving.terminate();
    assert!(session.line().await.starts_with("* BYE "));
    assert!(waiting.line().await.starts_with("* BYE "));
    assert!(session.is_closed().await && waiting.is_closed().await);
    assert_eq!(serving.stop_waited().await, 0);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_session() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    // From here on the test does not read the log's pipe, which holds 64 KiB.
    let serving = site.serve_with(&["--log", "trace"]).await;
    for _ in 0..300 {
        serving.log_in(&settings).await;
    }
    let (code, log) = serving.stop().await;
    assert_eq!(code, 0);
    assert!(log.len() > 64 * 1024, "{} bytes would not have filled the pipe", log.len());
}
