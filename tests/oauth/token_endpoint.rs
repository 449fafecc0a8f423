//! The results of every answer of a token endpoint, over a real connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use imap_oauth_proxy::config::{ClientAuthentication, Config};
use imap_oauth_proxy::oauth::{GrantedTokens, TokenError};
use imap_oauth_proxy::secret::Secret;
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::support::{Server, client, provider, reply};

const CANARY: &str = "canary-refresh-token";

async fn refresh_at(base: &str) -> Result<GrantedTokens, TokenError> {
    client(provider(base)).refresh(&Secret::new(CANARY), &[]).await
}

async fn refresh(server: &Server) -> Result<GrantedTokens, TokenError> {
    refresh_at(&server.base()).await
}

#[tokio::test]
async fn a_refresh_as_google_answers_it() {
    let server = Server::json(
        200,
        r#"{"access_token":"ya29.a0Test","expires_in":3599,"scope":"https://mail.google.com/","token_type":"Bearer"}"#,
    )
    .await;
    let before = OffsetDateTime::now_utc();
    let tokens = refresh(&server).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "ya29.a0Test");
    assert!(tokens.refresh_token.is_none(), "the old one stays");
    assert_eq!(tokens.scopes.unwrap(), ["https://mail.google.com/"]);
    let life = tokens.expires_at - before;
    assert!((3599.0..3700.0).contains(&life.as_seconds_f64()), "{life}");

    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/token"));
    assert_eq!(seen.form["grant_type"], "refresh_token");
    assert_eq!(seen.form["refresh_token"], CANARY);
    assert_eq!(seen.form["client_id"], "client");
    assert!(!seen.form.contains_key("scope"));
    assert!(seen.header("user-agent").unwrap().starts_with("imap-oauth-proxy/"));
}

#[tokio::test]
async fn a_token_url_is_asked_as_it_is_configured_with_its_last_slash() {
    let server = Server::json(200, r#"{"access_token":"t","token_type":"Bearer"}"#).await;
    for path in ["/oauth/token/", "/oauth/token"] {
        let base = server.base();
        let config = format!(
            "[providers.acme]\nimap = \"127.0.0.1:1\"\nauthorize_url = \"{base}/authorize\"\n\
             token_url = \"{base}{path}\"\nclient_id = \"client\"\nscopes = [\"mail\"]\n"
        );
        let provider = (*Config::parse(&config, None).unwrap().providers["acme"]).clone();
        client(provider).refresh(&Secret::new(CANARY), &[]).await.unwrap();
        assert_eq!(server.seen().last().unwrap().path, path);
    }
}

#[tokio::test]
async fn a_refresh_as_microsoft_answers_it() {
    let server = Server::json(
        200,
        r#"{"token_type":"Bearer","scope":"https://outlook.office.com/IMAP.AccessAsUser.All","expires_in":3599,"ext_expires_in":3599,"access_token":"EwBTest","refresh_token":"M.C5_NEW"}"#,
    )
    .await;
    let mut provider = provider(&server.base());
    provider.scope_on_refresh = true;
    provider.client_secret = Some(Secret::new("s~.+"));
    provider.client_authentication = ClientAuthentication::Post;
    let scopes = ["https://outlook.office.com/IMAP.AccessAsUser.All".to_owned(), "offline_access".to_owned()];
    let tokens = client(provider).refresh(&Secret::new(CANARY), &scopes).await.unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose(), "M.C5_NEW");
    let form = &server.seen()[0].form;
    assert_eq!(form["scope"], "https://outlook.office.com/IMAP.AccessAsUser.All offline_access");
    assert_eq!(form["client_secret"], "s~.+");
}

/// Security checklist row 20: only an explicit refusal ends a grant.
#[tokio::test]
async fn every_mix_of_status_and_body_is_of_the_right_class() {
    const STATUSES: [u16; 17] =
        [200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 405, 408, 413, 429, 500, 503, 599];
    let bodies = [
        ("", "-"),
        ("<html><title>Sign in to the hotel</title></html>", "-"),
        (r#"{"access_token":"tr"#, "-"),
        (r#"{"access_token":"granted","expires_in":"3599"}"#, "granted"),
        (r#"{"access_token":"granted"}"#, "granted"),
        (r#"{"token_type":"Bearer"}"#, "no token"),
        (r#"{"error":"invalid_grant"}"#, "person"),
        (r#"{"error":"invalid_grant","error_codes":[700082]}"#, "person"),
        (r#"{"error":"invalid_grant","error_codes":[50196]}"#, "passing"),
        (r#"{"error":"invalid_client"}"#, "administrator"),
        (r#"{"error":"invalid_scope"}"#, "administrator"),
        (r#"{"error":"temporarily_unavailable"}"#, "passing"),
        (r#"{"error":"nobody_documented_this"}"#, "-"),
        (r#"[{"error":"invalid_grant"}]"#, "-"),
        ("null", "-"),
    ];
    for status in STATUSES {
        for (body, says) in bodies {
            let bytes = reply(
                status,
                &[("location", "/elsewhere")],
                if status == 204 { b"" } else { body.as_bytes() },
            );
            let server = Server::start(move |_| bytes.clone()).await;
            let outcome = match refresh(&server).await {
                Ok(tokens) => {
                    assert_eq!(tokens.access_token.expose(), "granted");
                    "granted"
                }
                Err(TokenError::NeedsPerson(_)) => "person",
                Err(TokenError::NeedsAdministrator(_)) => "administrator",
                Err(TokenError::Passing { .. }) => "passing",
            };
            let expected = match (status, says) {
                (204 | 300..=399 | 408 | 429 | 500.., _) => "passing",
                (200..=299, "granted") => "granted",
                (_, "person" | "administrator" | "passing") => says,
                (401, _) => "administrator",
                _ => "passing",
            };
            assert_eq!(outcome, expected, "{status} {body}");
            assert_eq!(server.seen().len(), 1, "one question, no redirect followed: {status} {body}");
        }
    }
}

/// Security checklist row 10: token calls follow no redirect.
#[tokio::test]
async fn no_secret_follows_a_redirect() {
    let elsewhere = Server::json(200, json!({"access_token": "stolen"})).await;
    for status in [301, 302, 303, 307, 308] {
        let bytes = reply(status, &[("location", &elsewhere.base())], b"");
        let server = Server::start(move |_| bytes.clone()).await;
        assert!(refresh(&server).await.unwrap_err().is_passing());
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let bytes = reply(429, &[("retry-after", "60")], b"Too Many Requests");
    let server = Server::start(move |_| bytes.clone()).await;
    let Err(TokenError::Passing { retry_after, .. }) = refresh(&server).await else { panic!("it passes") };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_compressed_answer_is_read() {
    const ZIPPED: &str = "H4sIAAAAAAAC/6tWSkxOTi0uji/Jz07NU7JSqsosKEhNUdJRSq0oyCxKLY7PBIoam1pa6iiBlcSXVBakAtU5pSYWpRYp1QIAvQfqM0EAAAA=";
    let zipped = base64::engine::general_purpose::STANDARD.decode(ZIPPED).unwrap();
    let headers = [("content-encoding", "gzip"), ("content-type", "application/json; charset=utf-8")];
    let whole = reply(200, &headers, &zipped);
    let server = Server::start(move |_| whole.clone()).await;
    assert_eq!(refresh(&server).await.unwrap().access_token.expose(), "zipped");
    assert!(server.seen()[0].header("accept-encoding").unwrap().contains("gzip"));

    let cut = reply(200, &headers, &zipped[..zipped.len() / 2]);
    let server = Server::start(move |_| cut.clone()).await;
    assert!(refresh(&server).await.unwrap_err().is_passing());
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_never_ends_is_passing() {
    let answers: [&dyn Fn() -> Vec<u8>; 5] = [
        &Vec::new,
        &|| b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
        &|| b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{\"access_token\":\"a\"}".to_vec(),
        &|| b"SSH-2.0-not-http\r\n".to_vec(),
        &|| {
            let long = format!(r#"{{"access_token":"a","padding":"{}"}}"#, "x".repeat(70_000));
            reply(200, &[], long.as_bytes())
        },
    ];
    for answer in answers {
        let bytes = answer();
        let server = Server::start(move |_| bytes.clone()).await;
        let error = refresh(&server).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_passing() {
    // Bound, so that no other program gets the port, but not listening.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let error = refresh_at(&base).await.unwrap_err();
    assert!(error.is_passing());
    assert_eq!(error.refusal().code, "network");
    let port = silent.local_addr().unwrap().port();
    let said = format!("127.0.0.1 cannot be reached on port {port}");
    assert!(error.to_string().contains(&said), "{error}");
}

#[tokio::test]
async fn an_endpoint_without_tls_elsewhere_is_refused_before_anything_is_sent() {
    let error = refresh_at("http://login.example").await.unwrap_err();
    assert!(matches!(error, TokenError::NeedsAdministrator(_)));
    assert!(error.to_string().contains("https"), "{error}");
}

#[tokio::test]
async fn the_limit_counts_what_was_compressed() {
    let bomb = include_bytes!("300000-blanks.gz");
    let bytes = reply(200, &[("content-encoding", "gzip")], bomb);
    let server = Server::start(move |_| bytes.clone()).await;
    let error = refresh(&server).await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("longer than"), "{error}");
}

/// Security checklist row 10: TLS is verified on the HTTP leg.
#[tokio::test]
async fn a_server_without_a_trusted_certificate_gets_no_secret() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            count.store(bytes.len(), Ordering::SeqCst);
        }
    });
    let error = refresh_at(&format!("https://localhost:{port}")).await.unwrap_err();
    assert!(error.is_passing());
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(received.load(Ordering::SeqCst), 0);
}

/// Security checklist row 12: secrets that an endpoint echoes are never shown.
#[tokio::test]
async fn no_error_holds_what_was_sent() {
    let server = Server::start(|seen| {
        let body = json!({
            "error": "invalid_grant",
            "error_description": format!("token {} of client {} \r\n\x1b[2J", seen.form["refresh_token"], seen.form["client_secret"]),
        });
        reply(400, &[], body.to_string().as_bytes())
    })
    .await;
    let mut provider = provider(&server.base());
    provider.client_secret = Some(Secret::new("canary-client-secret"));
    let error = client(provider).refresh(&Secret::new(CANARY), &[]).await.unwrap_err();
    let shown = format!("{error} {error:?} {}", error.trouble().line("COMMAND"));
    assert!(!shown.contains("canary") && !shown.contains('\x1b'), "{shown}");
    assert_eq!(error.refusal().description.as_deref(), Some("token [masked] of client [masked] [2J"));
}

#[tokio::test]
async fn a_missing_client_id_says_what_to_do() {
    let mut provider = provider("https://login.example");
    provider.client_id = None;
    let error = client(provider).refresh(&Secret::new(CANARY), &[]).await.unwrap_err();
    assert!(error.trouble().line("COMMAND").contains("client_id in [providers.acme]"), "{error}");
}
