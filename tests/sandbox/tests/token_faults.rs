//! The token endpoint: rotation, refusals, and all kinds of bad answers.

use sandbox::{Browser, Client, Flavour, Gate, Rotation, Sandbox, TokenFault, Vendor};
use serde_json::{Value, json};

mod common;
use common::{Flow, token_form};

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn microsoft_rotates_and_the_old_token_lives_on() {
    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).start().await;
    let (flow, first) = (Flow::new(&sandbox), sandbox.controls().grant(ALICE));
    let (status, answer) = token_form(&sandbox, &flow.refresh(&first)).await;
    assert_eq!((status, answer["ext_expires_in"].as_u64()), (200, Some(3599)));
    assert_ne!(answer["refresh_token"], first.as_str());
    assert_eq!(answer["scope"], "https://outlook.office.com/IMAP.AccessAsUser.All");
    assert!(sandbox.controls().refresh_token_lives(&first));
}

#[tokio::test]
async fn strict_rotation_ends_the_family_when_an_old_token_comes_again() {
    let sandbox = Sandbox::builder().vendor(Vendor::Generic).start().await;
    let (flow, first) = (Flow::new(&sandbox), sandbox.controls().grant(ALICE));
    let (_, answer) = token_form(&sandbox, &flow.refresh(&first)).await;
    let second = answer["refresh_token"].as_str().unwrap().to_owned();
    assert!(
        sandbox.controls().refresh_token_lives(&second) && !sandbox.controls().refresh_token_lives(&first)
    );

    let (status, answer) = token_form(&sandbox, &flow.refresh(&first)).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert!(!sandbox.controls().refresh_token_lives(&second));
    assert_eq!(sandbox.controls().stats().refresh_token_reuses, 1);
}

#[tokio::test]
async fn a_lost_answer_has_rotated_all_the_same() {
    let sandbox = Sandbox::builder().start().await;
    sandbox.controls().oauth(|oauth| oauth.rotation = Rotation::Strict);
    let (flow, first) = (Flow::new(&sandbox), sandbox.controls().grant(ALICE));
    sandbox.controls().next_token(TokenFault::LoseAnswer);
    let form = flow.refresh(&first);
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Browser::default().post(&sandbox.url("/token"), &form).await.unwrap_err();
    assert!(!sandbox.controls().refresh_token_lives(&first));
}

#[tokio::test]
async fn a_request_waits_at_the_gate_and_then_is_served() {
    let sandbox = Sandbox::builder().start().await;
    let gate = Gate::new();
    sandbox.controls().next_token(TokenFault::Hold(gate.clone()));
    let form = Flow::new(&sandbox).refresh(&sandbox.controls().grant(ALICE));
    let held = token_form(&sandbox, &form);
    let test = async {
        gate.arrived(1).await;
        assert_eq!(sandbox.controls().stats().tokens_issued, 0);
        gate.open();
    };
    let ((status, _), ()) = tokio::join!(held, test);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn faults_meet_requests_in_the_order_they_were_set() {
    let sandbox = Sandbox::builder().start().await;
    let controls = sandbox.controls();
    controls.next_tokens(2, TokenFault::server_error());
    controls.next_token(TokenFault::too_many("60"));
    controls.next_token(TokenFault::html());
    controls.next_token(TokenFault::expires_in(Value::Null));
    controls.next_token(TokenFault::expires_in(json!("3599")));
    controls.next_token(TokenFault::scope("openid"));
    controls.next_token(TokenFault::aadsts("invalid_grant", 50196, "The server terminated an operation."));
    controls.next_token(TokenFault::oversized(70_000));
    controls.next_token(TokenFault::redirect("http://127.0.0.1:1/steal"));
    controls.next_token(TokenFault::Truncate);
    let form = Flow::new(&sandbox).refresh(&controls.grant(ALICE));
    let mut seen = Vec::new();
    for _ in 0..12 {
        seen.push(token_form(&sandbox, &form).await);
    }
    let statuses: Vec<u16> = seen.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [500, 500, 429, 200, 200, 200, 200, 400, 200, 302, 200, 200]);
    assert_eq!(seen[2].1, "Too Many Requests");
    assert!(seen[3].1.as_str().unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!((&seen[4].1["expires_in"], &seen[5].1["expires_in"]), (&Value::Null, &json!("3599")));
    assert_eq!((&seen[6].1["scope"], &seen[7].1["error_codes"]), (&json!("openid"), &json!([50196])));
    assert!(seen[8].1["padding"].as_str().unwrap().len() == 70_000 && seen[10].1.is_string());
    assert_eq!(controls.stats().refreshes, 12);
}

#[tokio::test]
async fn secrets_are_demanded_refused_and_unwanted() {
    let google = Sandbox::builder().start().await;
    let form = |secret: Option<&str>| {
        let mut form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", "x".to_owned())];
        form.push(("client_id", "sandbox-client".to_owned()));
        form.extend(secret.map(|secret| ("client_secret", secret.to_owned())));
        form
    };
    let (status, answer) = token_form(&google, &form(None)).await;
    assert_eq!((status, answer["error_description"].as_str()), (400, Some("client_secret is missing.")));
    assert_eq!(token_form(&google, &form(Some("wrong"))).await.0, 401);

    let microsoft = Sandbox::builder().flavour(Flavour::Exchange).start().await;
    let (status, answer) = token_form(&microsoft, &form(Some("any"))).await;
    assert_eq!((status, &answer["error_codes"]), (401, &json!([700_025])));
}

#[tokio::test]
async fn a_code_works_once_and_with_its_verifier() {
    let sandbox = Sandbox::builder().start().await;
    sandbox.controls().oauth(|oauth| oauth.auto_approve = true);
    let flow = Flow::new(&sandbox);
    let redirect = sandbox.browser().consent_and_copy(&flow.url(ALICE), None).await.unwrap();
    let (code, _) = flow.code(&redirect);
    let mut forged = flow.exchange(&code);
    forged[3].1 = "another-verifier-that-is-long-enough-to-be-one-of-43".to_owned();
    assert_eq!(token_form(&sandbox, &forged).await.1["error_description"], "Invalid code verifier.");
    let (status, answer) = token_form(&sandbox, &flow.exchange(&code)).await;
    assert_eq!(status, 200);
    assert_eq!(token_form(&sandbox, &flow.exchange(&code)).await.1["error"], "invalid_grant");
    let refresh_token = answer["refresh_token"].as_str().unwrap();
    assert!(!sandbox.controls().refresh_token_lives(refresh_token), "a second use revokes the first");
}

#[tokio::test]
async fn consent_by_somebody_else_with_a_scope_unticked() {
    let sandbox = Sandbox::builder().user(ALICE).user("mallory@example.com").start().await;
    sandbox.controls().oauth(|oauth| {
        oauth.consent_as = Some("mallory@example.com".to_owned());
        oauth.untick = vec!["https://mail.google.com/".to_owned()];
    });
    let flow = Flow::new(&sandbox);
    let redirect = sandbox.browser().consent_and_copy(&flow.url(ALICE), None).await.unwrap();
    let (_, answer) = token_form(&sandbox, &flow.exchange(&flow.code(&redirect).0)).await;
    assert_eq!(common::claims(&answer)["email"], "mallory@example.com");
    assert!(!answer["scope"].as_str().unwrap().contains("mail.google.com"));
}

#[tokio::test]
async fn redirect_uris_follow_the_vendors_rules() {
    let google = Sandbox::builder().start().await;
    let microsoft = Sandbox::builder().flavour(Flavour::Exchange).start().await;
    let status = async |sandbox: &Sandbox, redirect: &str| {
        let url = Flow::new(sandbox).url(ALICE).replace("http%3A%2F%2Flocalhost%3A4711%2Fcallback", redirect);
        sandbox.browser().get(&url).await.unwrap().status
    };
    assert_eq!(status(&google, "http%3A%2F%2F127.0.0.1%3A5555%2Fany").await, 200);
    assert_eq!(status(&google, "https%3A%2F%2Fevil.example%2F").await, 400);
    assert_eq!(status(&microsoft, "http%3A%2F%2Flocalhost%3A5555%2Fcallback").await, 200);
    assert_eq!(status(&microsoft, "http%3A%2F%2Flocalhost%3A5555").await, 200);
    assert_eq!(status(&microsoft, "http%3A%2F%2Flocalhost%3A5555%2Fother").await, 400);
    assert_eq!(status(&microsoft, "http%3A%2F%2F127.0.0.1%3A5555%2Fcallback").await, 400);
}

#[tokio::test]
async fn the_page_escapes_what_comes_from_outside() {
    let sandbox = Sandbox::builder().start().await;
    let url = Flow::new(&sandbox).url("\"><script>alert(1)</script>");
    let page = sandbox.browser().get(&url).await.unwrap();
    assert!(!page.body.contains("<script>") && page.body.contains("&lt;script&gt;"), "{}", page.body);
    let page = sandbox.browser().deny(&url).await;
    // No server listens at the redirect's address in this test; the provider has done its part.
    assert!(page.is_err());
}

#[tokio::test]
async fn the_device_flow_and_its_refusals() {
    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).start().await;
    let scopes = sandbox.vendor().scopes().join(" ");
    let begin = [("client_id", "sandbox-client"), ("scope", scopes.as_str())];
    let page = sandbox.browser().post(&sandbox.url("/device"), &begin).await.unwrap();
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    let code = answer["device_code"].as_str().unwrap().to_owned();
    let mut poll = vec![("grant_type", "urn:ietf:params:oauth:grant-type:device_code".to_owned())];
    poll.push(("device_code", code));
    Flow::new(&sandbox).sign(&mut poll);
    assert_eq!(token_form(&sandbox, &poll).await.1["error"], "authorization_pending");
    sandbox.controls().oauth(|oauth| oauth.slow_down = 1);
    assert_eq!(token_form(&sandbox, &poll).await.1["error"], "slow_down");
    let form =
        [("user_code", answer["user_code"].as_str().unwrap()), ("account", ALICE), ("decision", "approve")];
    assert_eq!(sandbox.browser().post(&sandbox.url("/devicelogin"), &form).await.unwrap().status, 200);
    assert!(token_form(&sandbox, &poll).await.1["refresh_token"].is_string());
    assert_eq!(token_form(&sandbox, &poll).await.1["error"], "bad_verification_code");

    let google = Sandbox::builder().start().await;
    let begin = [("client_id", "sandbox-client"), ("scope", "https://mail.google.com/")];
    let page = google.browser().post(&google.url("/device"), &begin).await.unwrap();
    assert!(page.body.contains("Invalid device flow scope"), "{}", page.body);
}

#[tokio::test]
async fn client_credentials_and_signed_assertions() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let client = Client {
        id: "app".to_owned(),
        secret: Some("s3cret".to_owned()),
        redirect_uris: vec![],
        installed: false,
        keys: vec![rcgen::PublicKeyData::subject_public_key_info(&key)],
    };
    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).client(client).start().await;
    let mut form = vec![("grant_type", "client_credentials".to_owned())];
    form.push(("scope", "https://outlook.office365.com/.default".to_owned()));
    let unsigned = form.clone();
    Flow::new(&sandbox).sign(&mut form);
    let (status, answer) = token_form(&sandbox, &form).await;
    assert_eq!((status, &answer["refresh_token"]), (200, &Value::Null));
    let mut client = common::imap(&sandbox).await;
    let lines = client.authenticate(ALICE, answer["access_token"].as_str().unwrap()).await;
    assert_eq!(lines, ["auth OK AUTHENTICATE completed."]);

    for (signer, status) in
        [(&key, 200), (&rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(), 400)]
    {
        let mut form = unsigned.clone();
        form.push(("client_id", "app".to_owned()));
        form.push((
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
        ));
        form.push(("client_assertion", common::assertion(signer, &sandbox.url("/token"), "app")));
        assert_eq!(token_form(&sandbox, &form).await.0, status);
    }
}

#[tokio::test]
async fn a_revoked_grant_is_dead_and_revocation_is_answered() {
    let sandbox = Sandbox::builder().start().await;
    let (flow, token) = (Flow::new(&sandbox), sandbox.controls().grant(ALICE));
    let page = sandbox.browser().post(&sandbox.url("/revoke"), &[("token", &token)]).await.unwrap();
    assert_eq!(page.status, 200);
    let (status, answer) = token_form(&sandbox, &flow.refresh(&token)).await;
    let expected =
        json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
    assert_eq!((status, answer), (400, expected));
}

#[tokio::test]
async fn over_tls_the_same_server_answers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sandbox = Sandbox::builder().https().start().await;
    assert!(sandbox.issuer().starts_with("https://127.0.0.1:"));
    let tcp = tokio::net::TcpStream::connect(sandbox.http_address()).await.unwrap();
    let name = tokio_rustls::rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(sandbox.tls_client()).connect(name, tcp).await.unwrap();
    let request = "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    let issuer = format!("\"issuer\":\"{}\"", sandbox.issuer());
    assert!(answer.contains(&issuer), "{answer}");
}

#[tokio::test]
async fn a_forbidden_secret_is_noticed_at_every_endpoint() {
    let sandbox = Sandbox::builder().start().await;
    sandbox.controls().forbid("local password");
    let mut form = Flow::new(&sandbox).refresh("x");
    form.push(("note", "bG9jYWwgcGFzc3dvcmQ=".to_owned()));
    token_form(&sandbox, &form).await;
    sandbox.browser().get(&sandbox.url("/userinfo?x=loc%61l%20p%61ssword")).await.unwrap();
    let seen: Vec<String> =
        sandbox.controls().violations().into_iter().map(|violation| violation.what).collect();
    assert_eq!(
        seen,
        [
            "forbidden secret no. 0 reached the token endpoint",
            "forbidden secret no. 0 reached an HTTP address"
        ]
    );
}
