//! From a consent to a grant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use imap_oauth_proxy::config::{Provider, Quirks};
use imap_oauth_proxy::oauth::identity::{self, Compared};
use imap_oauth_proxy::oauth::{AuthorizationRequest, AuthorizeError, Callback, GrantedTokens, redirect_text};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::support::{Server, browse, client, id_token, provider, reply, request};

fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn google_like(server: &Server) -> Provider {
    let mut provider = provider(&server.base());
    provider.issuer = Some("https://accounts.google.com".to_owned());
    provider.quirks = Quirks { sends_iss: true, offline_by_parameters: true, ..Quirks::default() };
    provider.scopes = ["https://mail.google.com/", "openid", "email"].map(str::to_owned).to_vec();
    provider.authorize_params = BTreeMap::from(
        [("access_type", "offline"), ("prompt", "consent")].map(|(n, v)| (n.to_owned(), v.to_owned())),
    );
    provider
}

fn claims(nonce: &str) -> Value {
    json!({
        "iss": "https://accounts.google.com", "aud": "client", "sub": "1",
        "exp": OffsetDateTime::now_utc().unix_timestamp() + 3600,
        "nonce": nonce, "email": "Bob@corp.example", "email_verified": true,
    })
}

/// The claims of the id_token in an answer.
fn claims_of(answer: &Value) -> Value {
    use base64::Engine as _;
    let payload = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn google_answer(nonce: &str) -> Value {
    json!({
        "access_token": "ya29.a0", "expires_in": 3599, "refresh_token": "1//0refresh", "token_type": "Bearer",
        "scope": "https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email",
        "id_token": id_token(&claims(nonce)),
    })
}

/// A token endpoint whose answer the test sets after it knows the nonce.
struct Endpoint {
    server: Server,
    answer: Arc<Mutex<Value>>,
}

impl Endpoint {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new(Value::Null));
        let current = Arc::clone(&answer);
        let server =
            Server::start(move |_| reply(200, &[], current.lock().unwrap().to_string().as_bytes())).await;
        Self { server, answer }
    }

    /// Consents, and redeems the code; `change` alters Google's answer.
    async fn exchange(
        &self,
        provider: Provider,
        change: impl Fn(&mut Value),
    ) -> Result<GrantedTokens, AuthorizeError> {
        let client = client(provider);
        let authorization = request(&client, "http://127.0.0.1:1/callback", None).await.unwrap();
        let parameters = query(authorization.url());
        let mut answer = google_answer(parameters.get("nonce").map_or("", String::as_str));
        change(&mut answer);
        *self.answer.lock().unwrap() = answer;
        let code = judged(&authorization);
        client.exchange(authorization, code).await
    }
}

fn judged(authorization: &AuthorizationRequest) -> imap_oauth_proxy::oauth::AuthorizationCode {
    let state = authorization.state().expose();
    authorization.judge(&format!("state={state}&iss=https://accounts.google.com&code=4/0A")).unwrap()
}

#[tokio::test]
async fn a_consent_in_the_browser_becomes_a_grant() {
    let endpoint = Endpoint::start().await;
    let client = client(google_like(&endpoint.server));
    let callback = Callback::bind(&Url::parse("http://127.0.0.1/callback").unwrap()).await.unwrap();
    let redirect_uri = callback.redirect_uri();
    let authorization = request(&client, &redirect_uri, Some("bob@corp.example")).await.unwrap();

    let asked = query(authorization.url());
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", &redirect_uri),
        ("scope", "https://mail.google.com/ openid email"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("login_hint", "bob@corp.example"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43, "256 bits each");

    *endpoint.answer.lock().unwrap() = google_answer(&asked["nonce"]);
    let back = format!(
        "{redirect_uri}?state={}&iss=https%3A%2F%2Faccounts.google.com&code=4%2F0A&scope=x",
        asked["state"]
    );
    let (code, page) = tokio::join!(callback.wait(&authorization), browse(&back));
    assert!(page.starts_with("HTTP/1.1 200"));
    let tokens = client.exchange(authorization, code.unwrap()).await.unwrap();
    assert_eq!(tokens.refresh_token.as_ref().unwrap().expose(), "1//0refresh");

    let names = client.names(&tokens).await.unwrap();
    assert_eq!(identity::judge("bob@CORP.example", &names), Compared::Match);
    assert_eq!(
        identity::judge("eve@corp.example", &names),
        Compared::Mismatch { names: vec!["Bob@corp.example".to_owned()] }
    );

    let form = &endpoint.server.seen()[0].form;
    assert_eq!((form["grant_type"].as_str(), form["code"].as_str()), ("authorization_code", "4/0A"));
    assert_eq!(form["redirect_uri"], redirect_uri);
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    assert!((43..=128).contains(&form["code_verifier"].len()));
    assert_eq!(PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str(), asked["code_challenge"]);
}

#[tokio::test]
async fn each_request_has_its_own_state_nonce_and_verifier() {
    let client = client(google_like(&Endpoint::start().await.server));
    let one = request(&client, "http://127.0.0.1:1/", None).await.unwrap();
    let two = request(&client, "http://127.0.0.1:1/", None).await.unwrap();
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(query(one.url())[name], query(two.url())[name], "{name}");
    }
}

#[tokio::test]
async fn what_the_flow_owns_cannot_be_configured_away() {
    let endpoint = Endpoint::start().await;
    let mut provider = google_like(&endpoint.server);
    for name in ["state", "redirect_uri", "code_challenge", "client_id", "nonce", "scope", "client_secret"] {
        provider.authorize_params.insert(name.to_owned(), "mine".to_owned());
    }
    let authorization = request(&client(provider), "http://127.0.0.1:1/", None).await.unwrap();
    assert!(authorization.url().query_pairs().all(|(_, value)| value != "mine"));
    let mut names: Vec<_> = authorization.url().query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), authorization.url().query_pairs().count(), "no parameter twice");
}

#[tokio::test]
async fn without_openid_there_is_no_nonce() {
    let endpoint = Endpoint::start().await;
    let authorization =
        request(&client(provider(&endpoint.server.base())), "http://127.0.0.1:1/", None).await.unwrap();
    assert!(!query(authorization.url()).contains_key("nonce"));
}

#[tokio::test]
async fn an_id_token_for_somebody_else_is_refused() {
    let endpoint = Endpoint::start().await;
    for (name, value, why) in [
        ("iss", json!("https://evil.example"), "another issuer"),
        ("aud", json!("another"), "another client"),
        ("exp", json!(1_000_000_000), "expired"),
        ("nonce", json!("replayed"), "another request"),
    ] {
        let change = |answer: &mut Value| {
            let mut claims = claims_of(answer);
            claims[name] = value.clone();
            answer["id_token"] = id_token(&claims).into();
        };
        let outcome = endpoint.exchange(google_like(&endpoint.server), change).await;
        assert!(
            matches!(outcome, Err(AuthorizeError::IdToken(said)) if said.contains(why)),
            "{name}: {outcome:?}"
        );
    }
    let outcome =
        endpoint.exchange(google_like(&endpoint.server), |answer| answer["id_token"] = "x".into()).await;
    assert!(matches!(outcome, Err(AuthorizeError::IdToken(_))));
    endpoint.exchange(google_like(&endpoint.server), |_| ()).await.unwrap();
}

#[tokio::test]
async fn no_refresh_token_is_an_error_that_says_why() {
    let endpoint = Endpoint::start().await;
    let without = |answer: &mut Value| answer["refresh_token"] = Value::Null;
    let said = async |provider: Provider| endpoint.exchange(provider, without).await.unwrap_err().to_string();

    assert!(said(google_like(&endpoint.server)).await.contains("myaccount.google.com/permissions"));
    let mut online = google_like(&endpoint.server);
    online.authorize_params.clear();
    assert!(said(online).await.contains("access_type"));
    let mut plain = provider(&endpoint.server.base());
    plain.scopes = vec!["https://mail.google.com/".to_owned()];
    assert!(said(plain.clone()).await.contains("add offline_access"));
    plain.scopes.push("offline_access".to_owned());
    assert!(said(plain).await.contains("registration"));
}

#[tokio::test]
async fn an_unticked_mail_permission_is_named() {
    let endpoint = Endpoint::start().await;
    let outcome = endpoint
        .exchange(google_like(&endpoint.server), |answer| answer["scope"] = "openid email".into())
        .await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, AuthorizeError::ScopesMissing { missing } if missing == &["https://mail.google.com/"])
    );
    assert!(error.to_string().contains("leave every permission ticked"), "{error}");
    let silent =
        endpoint.exchange(google_like(&endpoint.server), |answer| answer["scope"] = Value::Null).await;
    assert!(silent.is_ok(), "silence means as asked");
}

#[tokio::test]
async fn a_token_type_is_bearer_in_any_case_or_nothing() {
    let endpoint = Endpoint::start().await;
    for (kind, good) in
        [(json!("bearer"), true), (json!("BEARER"), true), (Value::Null, true), (json!("mac"), false)]
    {
        let outcome = endpoint
            .exchange(google_like(&endpoint.server), |answer| answer["token_type"] = kind.clone())
            .await;
        assert_eq!(outcome.is_ok(), good, "{kind} {outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_code_carries_the_providers_reason_and_no_secret() {
    let server = Server::start(|seen| {
        let body = json!({"error": "invalid_grant", "error_description": format!("bad {} {}", seen.form["code"], seen.form["code_verifier"])});
        reply(400, &[], body.to_string().as_bytes())
    })
    .await;
    let client = client(google_like(&server));
    let authorization = request(&client, "http://127.0.0.1:1/", None).await.unwrap();
    let code = judged(&authorization);
    assert!(!format!("{authorization:?} {code:?}").contains("4/0A"));
    let error = client.exchange(authorization, code).await.unwrap_err();
    let AuthorizeError::Token(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.refusal().description.as_deref(), Some("bad [masked] [masked]"));
    assert_eq!(
        error.to_string(),
        "the provider does not accept the code: it was used already, or too late (invalid_grant, HTTP 400)"
    );
    assert_eq!(error.cure().unwrap().words("COMMAND"), "run `COMMAND` again");
    assert!(!format!("{error:?}").contains(&server.seen()[0].form["code_verifier"]));
}

#[tokio::test]
async fn a_name_comes_from_userinfo_where_the_id_token_tells_none() {
    let endpoint = Endpoint::start().await;
    let tokens = endpoint
        .exchange(google_like(&endpoint.server), |answer| answer["id_token"] = Value::Null)
        .await
        .unwrap();
    for (status, body, names) in [
        (200, r#"{"sub":"1","email":"bob@corp.example"}"#, Some(vec!["bob@corp.example".to_owned()])),
        (200, r#"{"sub":"1"}"#, Some(Vec::new())),
        (
            401,
            r#"{"error":{"code":"InvalidAuthenticationToken","message":"Invalid audience."}}"#,
            Some(Vec::new()),
        ),
        (503, "", None),
    ] {
        let userinfo = Server::json(status, body).await;
        let mut provider = google_like(&endpoint.server);
        provider.userinfo_url = Some(userinfo.url("/userinfo"));
        assert_eq!(client(provider).names(&tokens).await.ok(), names, "{status} {body}");
        let seen = &userinfo.seen()[0];
        assert_eq!(seen.header("authorization"), Some("Bearer ya29.a0"));
        assert_eq!(seen.path, "/userinfo", "no token in an address");
    }
    let untold = client(google_like(&endpoint.server)).names(&tokens).await.unwrap();
    assert_eq!(identity::judge("bob@corp.example", &untold), Compared::Unknown);
}

#[tokio::test]
async fn a_fixed_redirect_is_sent_as_registered_and_its_answer_pasted() {
    let endpoint = Endpoint::start().await;
    let client = client(google_like(&endpoint.server));
    for redirect_uri in
        ["https://mail.corp.example/oauth/callback", "https://mail.corp.example/", "http://localhost"]
    {
        let sent = redirect_text(&Url::parse(redirect_uri).unwrap());
        assert_eq!(sent, redirect_uri);
        let authorization = request(&client, &sent, None).await.unwrap();
        assert_eq!(query(authorization.url())["redirect_uri"], redirect_uri);
        let state = authorization.state().expose();
        let pasted = format!(" '{redirect_uri}?code=4/0A&state={state}&iss=https://accounts.google.com'\n");
        assert!(authorization.judge_pasted(&pasted).is_ok());
        assert!(authorization.judge_pasted(&pasted.replace(state, "other")).is_err());
    }
}
