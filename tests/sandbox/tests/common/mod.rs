//! Helpers for the sandbox's tests: one authorisation flow, and one token request.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sandbox::mail::Client;
use sandbox::{Sandbox, Security, smtp};
use serde_json::Value;
use url::Url;

const REDIRECT: &str = "http://localhost:4711/callback";
const STATE: &str = "0123456789abcdefghijklmnop";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// One authorisation, as a client sees it.
pub(crate) struct Flow<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox) -> Self {
        Self { sandbox }
    }

    pub(crate) fn url(&self, user: &str) -> String {
        let client = self.sandbox.client();
        let scopes = self.sandbox.vendor().scopes().join(" ");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let pairs = [
            ("client_id", client.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", &scopes),
            ("state", STATE),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
            ("login_hint", user),
        ];
        Url::parse_with_params(&self.sandbox.url("/authorize"), pairs).unwrap().into()
    }

    /// The code and `iss` of a redirect.
    pub(crate) fn code(&self, redirect: &str) -> (String, Option<String>) {
        assert!(redirect.starts_with(REDIRECT), "{redirect}");
        let url = Url::parse(redirect).unwrap();
        let get =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(get("state").as_deref(), Some(STATE));
        (get("code").unwrap_or_else(|| panic!("a code in {redirect}")), get("iss"))
    }

    pub(crate) fn exchange(&self, code: &str) -> Vec<(&'static str, String)> {
        let mut form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
        ];
        self.sign(&mut form);
        form
    }

    pub(crate) fn refresh(&self, token: &str) -> Vec<(&'static str, String)> {
        let mut form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
        self.sign(&mut form);
        form
    }

    pub(crate) fn sign(&self, form: &mut Vec<(&'static str, String)>) {
        let client = self.sandbox.client();
        form.push(("client_id", client.id.clone()));
        form.extend(client.secret.clone().map(|secret| ("client_secret", secret)));
    }
}

/// POSTs to the token endpoint: the status, and the body as JSON.
pub(crate) async fn token_form(sandbox: &Sandbox, form: &[(&'static str, String)]) -> (u16, Value) {
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = sandbox.browser().post(&sandbox.url("/token"), &form).await.unwrap();
    (page.status, serde_json::from_str(&page.body).unwrap_or(Value::String(page.body)))
}

/// The claims of the id_token in a token answer.
pub(crate) fn claims(answer: &Value) -> Value {
    let token = answer["id_token"].as_str().expect("an id_token");
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

pub(crate) async fn imap(sandbox: &Sandbox) -> Client {
    Client::connect(sandbox.imap_address(), &sandbox.tls_client()).await
}

/// A connection to the submission server under TLS, after EHLO.
pub(crate) async fn submit(sandbox: &Sandbox) -> smtp::Client {
    let (address, security) = sandbox.submission();
    let mut client = match security {
        Security::Tls => smtp::Client::connect(address, &sandbox.tls_client()).await,
        Security::StartTls => smtp::Client::starttls(address, &sandbox.tls_client()).await,
    };
    client.ehlo().await;
    client
}

/// A client assertion (RFC 7523 §2.2), RS256.
pub(crate) fn assertion(key: &rcgen::KeyPair, audience: &str, client: &str) -> String {
    use rcgen::SigningKey;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT" });
    let claims = serde_json::json!({
        "iss": client, "sub": client, "aud": audience, "nbf": now - 60, "exp": now + 300, "jti": "1"
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
