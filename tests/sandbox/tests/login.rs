//! The real flow without the proxy: consent, code, tokens, and a login with the token.

use sandbox::mail::Client;
use sandbox::{Flavour, Sandbox};
use serde_json::Value;

mod common;
use common::{Flow, imap, token_form};

#[tokio::test]
async fn a_person_consents_and_the_token_opens_the_mailbox() {
    let sandbox = Sandbox::builder().start().await;
    let flow = Flow::new(&sandbox);
    let redirect = sandbox.browser().consent_and_copy(&flow.url("alice@example.com"), None).await.unwrap();
    let (code, iss) = flow.code(&redirect);
    assert_eq!(iss.as_deref(), Some(sandbox.issuer().as_str()));

    let (status, answer) = token_form(&sandbox, &flow.exchange(&code)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["scope"],
        "https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email"
    );
    let refresh_token = answer["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(common::claims(&answer)["email"], "alice@example.com");

    let (status, answer) = token_form(&sandbox, &flow.refresh(&refresh_token)).await;
    assert_eq!((status, &answer["refresh_token"]), (200, &Value::Null));

    let mut client = imap(&sandbox).await;
    assert!(client.greeting.starts_with("* OK Gimap ready"), "{}", client.greeting);
    let lines = client.authenticate("alice@example.com", answer["access_token"].as_str().unwrap()).await;
    assert!(lines[0].starts_with("* CAPABILITY IMAP4rev1 UNSELECT"), "{lines:?}");
    assert_eq!(lines[1], "auth OK Success");
    assert!(
        client
            .command("a1", "LIST \"\" *")
            .await
            .contains(&r#"* LIST (\HasNoChildren) "/" "INBOX""#.to_owned())
    );
    let lines = client.command("a2", "SELECT INBOX").await;
    assert!(lines.contains(&"* 3 EXISTS".to_owned()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "a2 OK [READ-WRITE] INBOX selected. (Success)");
    let lines = client.command("a3", "FETCH 1 (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await;
    let expected = r"* 1 FETCH (UID 1 FLAGS (\Seen \Recent) BODY[HEADER.FIELDS (SUBJECT)] {20}";
    assert_eq!(lines, [expected, "Subject: Welcome", "", ")", "a3 OK Success"]);

    let stats = sandbox.controls().stats();
    assert_eq!((stats.code_exchanges, stats.refreshes, stats.logins, stats.violations), (1, 1, 1, 0));
}

#[tokio::test]
async fn the_flavours_refuse_as_their_models_do() {
    let gmail = Sandbox::builder().start().await;
    let mut client = imap(&gmail).await;
    client
        .send(&format!("a1 AUTHENTICATE XOAUTH2 {}", sandbox::mail::xoauth2("alice@example.com", "bad")))
        .await;
    let challenge =
        "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
    assert_eq!(client.line().await, challenge);
    client.send("").await;
    assert_eq!(client.line().await, "a1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)");

    let exchange = Sandbox::builder().flavour(Flavour::ExchangeLoginDisabled).start().await;
    let mut client = imap(&exchange).await;
    assert!(client.command("a0", "CAPABILITY").await[0].contains("LOGINDISABLED"));
    assert_eq!(client.authenticate("alice@example.com", "bad").await, ["auth NO AUTHENTICATE failed."]);
    let token = exchange.controls().access_token("alice@example.com");
    assert_eq!(client.authenticate("alice@example.com", &token).await, ["auth OK AUTHENTICATE completed."]);
    gmail.assert_no_violations();
    exchange.assert_no_violations();
}

#[tokio::test]
async fn a_login_with_a_password_is_a_violation() {
    let sandbox = Sandbox::builder().start().await;
    sandbox.controls().forbid("local password");
    for line in ["a1 LOGIN alice x", "a1 AUTHENTICATE PLAIN AGEAYg==", "a1 SELECT INBOX", "a1 NOOP cal passw"]
    {
        let mut client: Client = imap(&sandbox).await;
        client.send(line).await;
        assert!(client.at_end().await, "{line}");
    }
    let violations = sandbox.controls().violations();
    assert_eq!(violations.len(), 4, "{violations:?}");
    assert_eq!(violations[3].what, "forbidden secret no. 0 reached the IMAP server");
}
