//! The device flow, poll by poll.

use std::sync::Mutex;
use std::time::Duration;

use imap_oauth_proxy::oauth::{AuthorizeError, Client, Poll, TokenError};
use serde_json::{Value, json};

use crate::support::{Server, asked, client, provider, reply};

/// A provider that answers each poll with the next of `answers`.
async fn device_flow(answers: Vec<(u16, Value)>) -> (Server, Client) {
    let answers = Mutex::new(answers.into_iter());
    let server = Server::start(move |seen| {
        let (status, body) = match seen.path.as_str() {
            "/device" => (200, code()),
            _ => answers.lock().unwrap().next().unwrap(),
        };
        reply(status, &[], body.to_string().as_bytes())
    })
    .await;
    let mut provider = provider(&server.base());
    provider.device_url = Some(server.url("/device"));
    let client = client(provider);
    (server, client)
}

fn code() -> Value {
    json!({
        "user_code": "A1B2C3D4E", "device_code": "canary-device-code",
        "verification_uri": "https://microsoft.com/devicelogin", "expires_in": 900, "interval": 5,
    })
}

fn error(name: &str, number: u32) -> (u16, Value) {
    (400, json!({"error": name, "error_description": format!("AADSTS{number}: …"), "error_codes": [number]}))
}

fn wait(poll: Result<Poll, AuthorizeError>) -> u64 {
    match poll {
        Ok(Poll::Pending { wait }) => wait.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_person_takes_some_time_and_then_signs_in() {
    let (server, client) = device_flow(vec![
        error("authorization_pending", 70016),
        (400, json!({"error": "slow_down"})),
        error("authorization_pending", 70016),
        (503, json!({})),
        (
            200,
            json!({"access_token": "EwB", "refresh_token": "M.C5", "scope": "mail", "token_type": "Bearer"}),
        ),
    ])
    .await;
    let mut device = client.device(&asked(&client)).await.unwrap();
    assert_eq!(device.user_code, "A1B2C3D4E");
    assert_eq!(device.verification_uri.as_str(), "https://microsoft.com/devicelogin");
    assert_eq!(device.interval, Duration::from_secs(5));
    assert_eq!(wait(client.poll(&mut device).await), 5);
    assert_eq!(wait(client.poll(&mut device).await), 10);
    assert_eq!(wait(client.poll(&mut device).await), 10, "slower for good");
    assert_eq!(wait(client.poll(&mut device).await), 20, "slower when the endpoint is in trouble");
    let Ok(Poll::Granted(tokens)) = client.poll(&mut device).await else { panic!("it is granted") };
    assert_eq!(tokens.refresh_token.unwrap().expose(), "M.C5");

    let seen = server.seen();
    assert_eq!(seen[0].form["scope"], "mail offline_access");
    assert_eq!(seen[1].form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!(seen[1].form["device_code"], "canary-device-code");
    assert_eq!(seen[1].form["client_id"], "client");
}

#[tokio::test]
async fn a_refusal_or_the_end_of_the_code_ends_the_flow() {
    for (answer, meaning) in [
        (error("authorization_declined", 1), "access was not granted"),
        ((400, json!({"error": "access_denied"})), "access was not granted"),
        (error("expired_token", 70019), "not used in time"),
        (error("bad_verification_code", 70018), "mistyped"),
    ] {
        let (_server, client) = device_flow(vec![answer]).await;
        let mut device = client.device(&asked(&client)).await.unwrap();
        let error = client.poll(&mut device).await.unwrap_err();
        assert!(matches!(&error, AuthorizeError::Token(TokenError::NeedsPerson(_))), "{error:?}");
        assert!(error.to_string().contains(meaning), "{error}");
    }
}

#[tokio::test]
async fn a_confidential_registration_says_what_to_switch() {
    let (_server, client) = device_flow(vec![(401, error("invalid_client", 7000218).1)]).await;
    let mut device = client.device(&asked(&client)).await.unwrap();
    let error = client.poll(&mut device).await.unwrap_err();
    assert!(error.cure().unwrap().words("COMMAND").contains("Allow public client flows"), "{error}");
}

#[tokio::test]
async fn nothing_is_asked_after_the_end() {
    let (server, client) = device_flow(Vec::new()).await;
    let mut device = client.device(&asked(&client)).await.unwrap();
    device.expires_at = time::OffsetDateTime::now_utc();
    let error = client.poll(&mut device).await.unwrap_err();
    assert!(error.to_string().contains("not used in time"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_grant_without_refresh_token_is_none() {
    let (_server, client) = device_flow(vec![(200, json!({"access_token": "EwB"}))]).await;
    let mut device = client.device(&asked(&client)).await.unwrap();
    assert!(matches!(client.poll(&mut device).await, Err(AuthorizeError::NoRefreshToken { .. })));
}

#[tokio::test]
async fn a_provider_without_device_flow_names_the_other_way() {
    let mut google = provider("https://login.example");
    google.no_device = Some("Google does not offer mail scopes to the device flow".to_owned());
    for provider in [google, provider("https://login.example")] {
        let client = client(provider);
        let line = client.device(&asked(&client)).await.unwrap_err().trouble().line("COMMAND");
        assert!(line.contains("COMMAND --paste"), "{line}");
    }
}
