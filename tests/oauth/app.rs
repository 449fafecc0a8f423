//! Tokens for an application: the requests contain what the vendors check.

use std::path::PathBuf;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imap_oauth_proxy::config::{AppGrant, Provider};
use imap_oauth_proxy::oauth::TokenError;
use imap_oauth_proxy::secret::Secret;
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::{Server, client, provider};

/// RSA keys are slow to make, so all tests share one.
static KEY: LazyLock<rcgen::KeyPair> =
    LazyLock::new(|| rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap());

struct Files {
    directory: tempfile::TempDir,
    certificate_der: Vec<u8>,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&*KEY).unwrap();
        let files = Self { directory, certificate_der: certificate.der().to_vec() };
        std::fs::write(files.path("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(files.path("key.pem"), KEY.serialize_pem()).unwrap();
        let service_account = json!({
            "type": "service_account", "client_email": "proxy@project.iam.example",
            "private_key": KEY.serialize_pem(), "private_key_id": "key-7",
        });
        std::fs::write(files.path("service.json"), service_account.to_string()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

async fn endpoint() -> Server {
    Server::json(200, json!({"access_token": "app-token", "expires_in": 3599})).await
}

fn with(server: &Server, app: AppGrant) -> Provider {
    let mut provider = provider(&server.base());
    provider.app = Some(app);
    provider
}

/// The header and claims of a JWT whose signature is verified.
fn verified(jwt: &str, algorithm: &'static RsaParameters) -> (Value, Value) {
    let parts: Vec<&str> = jwt.split('.').collect();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(algorithm, KEY.der_bytes()).verify(signed.as_bytes(), &decode(parts[2])).unwrap();
    let json = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (json(parts[0]), json(parts[1]))
}

#[tokio::test]
async fn client_credentials_with_a_secret() {
    let server = endpoint().await;
    let mut provider = with(
        &server,
        AppGrant::ClientSecret { scopes: vec!["https://outlook.office365.com/.default".to_owned()] },
    );
    provider.client_secret = Some(Secret::new("secret"));
    let tokens = client(provider).app_token("helpdesk@corp.example").await.unwrap();
    assert_eq!(tokens.access_token.expose(), "app-token");
    assert!(tokens.refresh_token.is_none());
    let form = &server.seen()[0].form;
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "https://outlook.office365.com/.default");
    assert_eq!(form["client_secret"], "secret");
}

#[tokio::test]
async fn client_credentials_with_a_certificate() {
    let (server, files) = (endpoint().await, Files::new());
    let app = AppGrant::Certificate {
        scopes: vec!["https://outlook.office365.com/.default".to_owned()],
        certificate: files.path("certificate.pem"),
        key: files.path("key.pem"),
    };
    client(with(&server, app)).app_token("helpdesk@corp.example").await.unwrap();
    let form = &server.seen()[0].form;
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (header, claims) = verified(&form["client_assertion"], &RSA_PSS_2048_8192_SHA256);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(digest(&SHA256, &files.certificate_der)));
    assert_eq!(claims["aud"], format!("{}/token", server.base()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("client")));
    let now = OffsetDateTime::now_utc().unix_timestamp();
    assert!(claims["nbf"].as_i64().unwrap() < now && claims["exp"].as_i64().unwrap() <= now + 600);
}

#[tokio::test]
async fn a_service_account_names_the_mailbox() {
    let (server, files) = (endpoint().await, Files::new());
    let app = AppGrant::ServiceAccount {
        scopes: vec!["https://mail.google.com/".to_owned()],
        key: files.path("service.json"),
    };
    client(with(&server, app)).app_token("helpdesk@corp.example").await.unwrap();
    let form = &server.seen()[0].form;
    assert_eq!(form.len(), 2, "the assertion is all the authentication: {form:?}");
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = verified(&form["assertion"], &RSA_PKCS1_2048_8192_SHA256);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-7"}));
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("proxy@project.iam.example"), &json!("helpdesk@corp.example"))
    );
    assert_eq!(claims["scope"], "https://mail.google.com/");
    assert_eq!(claims["aud"], format!("{}/token", server.base()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn what_a_person_would_cure_is_the_administrators() {
    let files = Files::new();
    for (body, says) in [
        (
            r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token"}"#,
            "clock",
        ),
        (r#"{"error":"invalid_grant","error_description":"Invalid email or User ID"}"#, "address"),
        (r#"{"error":"invalid_grant"}"#, "key and permissions"),
    ] {
        let server = Server::json(400, body).await;
        let app = AppGrant::ServiceAccount { scopes: Vec::new(), key: files.path("service.json") };
        let error = client(with(&server, app)).app_token("bob@corp.example").await.unwrap_err();
        assert!(matches!(error, TokenError::NeedsAdministrator(_)), "{error:?}");
        let line = error.trouble().line("COMMAND");
        assert!(line.contains(says) && !line.contains("COMMAND"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_file_is_named_and_nothing_is_sent() {
    let (server, files) = (endpoint().await, Files::new());
    std::fs::write(files.path("canary.pem"), "canary-key").unwrap();
    std::fs::write(files.path("canary.json"), r#"{"private_key":"canary-key","client_email":"x"}"#).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(files.path("ecdsa.pem"), other.serialize_pem()).unwrap();
    let certificate = |certificate: &str, key: &str| AppGrant::Certificate {
        scopes: Vec::new(),
        certificate: files.path(certificate),
        key: files.path(key),
    };
    for (app, says) in [
        (certificate("missing.pem", "key.pem"), "cannot be read"),
        (certificate("canary.pem", "key.pem"), "no certificate"),
        (certificate("certificate.pem", "canary.pem"), "no private key"),
        (certificate("certificate.pem", "ecdsa.pem"), "not an RSA key"),
        (AppGrant::ServiceAccount { scopes: Vec::new(), key: files.path("canary.pem") }, "not the JSON key"),
        (AppGrant::ServiceAccount { scopes: Vec::new(), key: files.path("canary.json") }, "no private key"),
    ] {
        let error = client(with(&server, app)).app_token("bob@corp.example").await.unwrap_err();
        assert!(matches!(error, TokenError::NeedsAdministrator(_)));
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary-key"), "{error:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn without_secret_or_app_it_says_what_to_set() {
    let server = endpoint().await;
    let none = client(provider(&server.base())).app_token("bob@corp.example").await.unwrap_err();
    assert!(none.trouble().line("COMMAND").contains("[providers.acme]"), "{none}");
    let app = AppGrant::ClientSecret { scopes: Vec::new() };
    let error = client(with(&server, app)).app_token("bob@corp.example").await.unwrap_err();
    assert!(error.trouble().line("COMMAND").contains("client_secret"), "{error}");
    assert!(server.seen().is_empty());
}
