//! Endpoints that are not configured come from the issuer's metadata.

use imap_oauth_proxy::oauth::TokenError;
use imap_oauth_proxy::secret::Secret;
use serde_json::json;

use crate::support::{Seen, Server, client, provider, reply, request};

/// A server whose only configured fact is its issuer.
async fn discoverable(well_known: &'static str, issuer: Option<&'static str>) -> Server {
    Server::start(move |seen: &Seen| {
        let base = format!("http://{}", seen.header("host").unwrap());
        let body = match seen.path.as_str() {
            "/realm/token" => json!({"access_token": "discovered"}),
            path if path == well_known => json!({
                "issuer": issuer.map_or_else(|| format!("{base}/realm"), str::to_owned),
                "authorization_endpoint": format!("{base}/realm/authorize"),
                "token_endpoint": format!("{base}/realm/token"),
                "authorization_response_iss_parameter_supported": true,
            }),
            _ => return reply(404, &[], b"<html>"),
        };
        reply(200, &[], body.to_string().as_bytes())
    })
    .await
}

fn at_issuer(server: &Server) -> imap_oauth_proxy::oauth::Client {
    let mut provider = provider(&server.base());
    provider.authorize_url = None;
    provider.token_url = None;
    provider.issuer = Some(format!("{}/realm", server.base()));
    client(provider)
}

#[tokio::test]
async fn both_standards_addresses_are_tried_and_the_answer_is_kept() {
    for well_known in
        ["/realm/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realm"]
    {
        let server = discoverable(well_known, None).await;
        let client = at_issuer(&server);
        for _ in 0..2 {
            let tokens = client.refresh(&Secret::new("r"), &[]).await.unwrap();
            assert_eq!(tokens.access_token.expose(), "discovered");
        }
        let asked = server.seen().iter().filter(|seen| seen.path == well_known).count();
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let server = discoverable("/realm/.well-known/openid-configuration", Some("https://evil.example")).await;
    let error = at_issuer(&server).refresh(&Secret::new("r"), &[]).await.unwrap_err();
    assert!(matches!(error, TokenError::NeedsAdministrator(_)), "{error}");
    assert!(error.to_string().contains("is that of the issuer https://evil.example"), "{error}");
    assert!(server.seen().iter().all(|seen| seen.method == "GET"), "no secret was sent");
}

#[tokio::test]
async fn a_failed_discovery_passes_and_is_tried_again() {
    let server = discoverable("/nowhere", None).await;
    let client = at_issuer(&server);
    let error = client.refresh(&Secret::new("r"), &[]).await.unwrap_err();
    assert!(error.is_passing());
    let address = format!("{}/realm/.well-known/openid-configuration", server.base());
    let line = error.trouble().line("COMMAND");
    assert!(line.contains(&format!("there is no discovery document at {address}")), "{line}");
    assert!(line.contains("HTTP 404") && line.contains("correct issuer"), "{line}");
    assert!(client.refresh(&Secret::new("r"), &[]).await.unwrap_err().is_passing());
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn an_issuer_that_publishes_iss_must_send_it() {
    let server = discoverable("/realm/.well-known/openid-configuration", None).await;
    let client = at_issuer(&server);
    let authorization = request(&client, "http://127.0.0.1:1/callback", None).await.unwrap();
    assert_eq!(authorization.url().path(), "/realm/authorize");
    let state = authorization.state().expose();
    assert!(authorization.judge(&format!("state={state}&code=c")).is_err());
    let issuer = format!("{}/realm", server.base());
    assert!(authorization.judge(&format!("state={state}&code=c&iss={issuer}")).is_ok());
}

#[tokio::test]
async fn without_endpoint_and_issuer_it_says_what_to_set() {
    let mut provider = provider("https://login.example");
    provider.token_url = None;
    let error = client(provider).refresh(&Secret::new("r"), &[]).await.unwrap_err();
    assert!(error.to_string().contains("token_url"), "{error}");
}
