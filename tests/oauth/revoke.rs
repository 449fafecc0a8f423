//! Revocation of a grant.

use imap_oauth_proxy::oauth::Revocation;
use imap_oauth_proxy::secret::Secret;

use crate::support::{Server, client, provider, reply};

async fn revoke_at(server: &Server) -> Result<Revocation, imap_oauth_proxy::oauth::TokenError> {
    let mut provider = provider(&server.base());
    provider.revoke_url = Some(server.url("/revoke"));
    client(provider).revoke(&Secret::new("refresh")).await
}

#[tokio::test]
async fn the_refresh_token_is_named_and_the_status_decides() {
    let server = Server::start(|_| reply(200, &[], b"")).await;
    assert_eq!(revoke_at(&server).await.unwrap(), Revocation::Revoked);
    let seen = &server.seen()[0];
    assert_eq!((seen.path.as_str(), seen.form["token"].as_str()), ("/revoke", "refresh"));
    assert_eq!(seen.form["token_type_hint"], "refresh_token");
    assert_eq!(seen.form["client_id"], "client");
    assert_eq!(seen.form.len(), 3);
}

#[tokio::test]
async fn a_token_that_is_already_dead_is_revoked() {
    let server =
        Server::json(400, r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#)
            .await;
    assert_eq!(revoke_at(&server).await.unwrap(), Revocation::Revoked);
}

#[tokio::test]
async fn an_endpoint_in_trouble_has_revoked_nothing() {
    let server = Server::start(|_| reply(503, &[("retry-after", "5")], b"")).await;
    assert!(revoke_at(&server).await.unwrap_err().is_passing());
    let server = Server::json(401, r#"{"error":"invalid_client"}"#).await;
    assert!(!revoke_at(&server).await.unwrap_err().is_passing());
}

#[tokio::test]
async fn without_an_endpoint_it_says_where_to_click() {
    let mut provider = provider("https://login.example");
    provider.revoke_page = Some("https://myapps.microsoft.com".to_owned());
    let Revocation::ByHand { instruction } = client(provider).revoke(&Secret::new("r")).await.unwrap() else {
        panic!("there is no endpoint")
    };
    assert!(instruction.contains("https://myapps.microsoft.com"));
}
