//! The authorisation code flow (RFC 6749 §4.1, RFC 8252), always with PKCE S256 (RFC 7636).
//!
//! An [`AuthorizationRequest`] has its own `state`, verifier and nonce. It is used once, because
//! [`Client::exchange`] takes it by value. The token request repeats its redirect URI character for character
//! (RFC 6749 §4.1.3).

mod frozen;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;

use super::redirect::{AuthorizationCode, Expected, RedirectError};
use super::refused::AuthorizeError;
use crate::config::scope;
use crate::config::{Provider, is_loopback};
use crate::oauth::http::request;
use crate::oauth::meaning::text;
use crate::oauth::{Client, GrantedTokens, ProviderRefusal, TokenError};
use crate::secret::{Secret, random_text};
use crate::trouble::Cure;

pub use frozen::FrozenRequest;

/// One request for a person's consent.
pub struct AuthorizationRequest {
    url: Url,
    redirect_uri: String,
    verifier: Secret,
    nonce: Option<Secret>,
    asked: Vec<String>,
    pub(in crate::oauth) expected: Arc<Expected>,
}

impl AuthorizationRequest {
    /// The address to open in a browser. Its only secret is `state`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address that the provider sends the browser back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The address that an administrator opens once where the person may not consent (Microsoft). Its answer comes to
    /// the same place, and the sign-in continues.
    pub fn approval(&self) -> Option<&Url> {
        self.expected.approval.as_ref()
    }

    /// The `state` of this request, by which a shared callback finds the request.
    pub fn state(&self) -> &Secret {
        &self.expected.state
    }

    /// The code in a redirect's query; `state` is checked first.
    pub fn judge(&self, query: &str) -> Result<AuthorizationCode, RedirectError> {
        self.expected.judge(query)
    }

    /// The code in an address that a person pasted.
    pub fn judge_pasted(&self, pasted: &str) -> Result<AuthorizationCode, RedirectError> {
        self.expected.judge_pasted(pasted)
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares a request for consent with this `state`, which no other request may have. `redirect_uri` is that of a
    /// [`crate::oauth::Callback`], or [`redirect_text`] of the configured one. `login_hint` is the address to sign in
    /// with. `asked` are the scopes from [`Provider::asked_for`].
    pub async fn authorization(
        &self,
        state: Secret,
        redirect_uri: &str,
        login_hint: Option<&str>,
        asked: &[String],
    ) -> Result<AuthorizationRequest, TokenError> {
        let provider = self.provider();
        let endpoint = self.authorize_url().await?;
        // Made now, so that a mistake shows before a person has signed in.
        self.requests().await?;
        let (issuer, publishes_iss) = self.issuer();
        let sends_iss = publishes_iss || provider.quirks.sends_iss;
        let nonce = asked.iter().any(|scope| scope == "openid").then(|| Secret::new(random_text::<32>()));
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| {
            TokenError::local(
                "redirect_uri",
                "the redirect_uri is not an address",
                Cure::configure("redirect_uri", "correct redirect_uri of the provider"),
            )
        })?;

        let client = BasicClient::new(ClientId::new(request::client_id(provider)?.to_owned()))
            .set_auth_uri(AuthUrl::from_url(endpoint))
            .set_redirect_uri(redirect);
        let mut builder = client
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .set_pkce_challenge(challenge)
            .add_scopes(asked.iter().cloned().map(Scope::new));
        for (name, value) in extra_parameters(provider, login_hint, nonce.as_ref()) {
            builder = builder.add_extra_param(name, value);
        }
        let (url, _) = builder.url();
        let approval = provider.admin_consent(asked, redirect_uri, Some(state.expose()));
        Ok(AuthorizationRequest {
            url,
            redirect_uri: redirect_uri.to_owned(),
            verifier: Secret::new(verifier.into_secret()),
            nonce,
            asked: asked.to_vec(),
            expected: Arc::new(Expected { approval, state, issuer, sends_iss }),
        })
    }

    /// Redeems a code (RFC 6749 §4.1.3) and checks the answer: it must hold a refresh token and mail scopes,
    /// and an id_token must answer our request. The caller still has to check who consented:
    /// [`Client::names`] and [`crate::oauth::identity::judge`].
    pub async fn exchange(
        &self,
        authorization: AuthorizationRequest,
        code: AuthorizationCode,
    ) -> Result<GrantedTokens, AuthorizeError> {
        let AuthorizationRequest { redirect_uri, verifier, nonce, asked, .. } = authorization;
        let request = self.requests().await?.code(&code.0, &verifier, &redirect_uri)?;
        let object = self.object(request).await.map_err(for_code)?;
        self.accept(&object, nonce.as_ref(), &asked)
    }

    /// Checks a person's new grant; `asked` are the requested scopes. With a missing mail scope the doors
    /// that need it stay closed, which the caller decides; without any mail scope the grant is refused.
    pub(in crate::oauth) fn accept(
        &self,
        object: &Map<String, Value>,
        nonce: Option<&Secret>,
        asked: &[String],
    ) -> Result<GrantedTokens, AuthorizeError> {
        let now = OffsetDateTime::now_utc();
        let provider = self.provider();
        if let Some(kind) = object.get("token_type").and_then(Value::as_str)
            && !kind.eq_ignore_ascii_case("bearer")
        {
            return Err(AuthorizeError::TokenType(text::plain(kind, 40)));
        }
        let mut tokens = GrantedTokens::read(object, now)?;
        match &tokens.id_claims {
            Some(claims) => {
                let (issuer, _) = self.issuer();
                let client_id = request::client_id(provider)?;
                let alias = provider.quirks.alias.as_deref();
                let checked = claims.check(issuer.as_deref(), alias, client_id, nonce, now);
                checked.map_err(AuthorizeError::IdToken)?;
            }
            None if object.get("id_token").is_some_and(|token| !token.is_null()) => {
                return Err(AuthorizeError::IdToken("it is not readable"));
            }
            None => {}
        }
        let missing = scope::missing(asked, tokens.scopes.as_deref());
        let for_mail = asked.iter().filter(|scope| scope::is_for_mail(scope)).count();
        if !missing.is_empty() && missing.len() == for_mail {
            let granted = tokens.scopes.unwrap_or_default();
            return Err(AuthorizeError::ScopesMissing { missing, granted });
        }
        if tokens.refresh_token.is_none() {
            let reason = no_refresh_token(provider, asked);
            return Err(AuthorizeError::NoRefreshToken { provider: provider.title.clone(), reason });
        }
        tokens.scopes.get_or_insert_with(|| asked.to_vec());
        Ok(tokens)
    }
}

/// The redirect URI as sent: a loopback address without a path has no slash at its end, because such
/// addresses are registered without one.
pub fn redirect_text(url: &Url) -> String {
    let text = url.as_str();
    match is_loopback(url) && url.path() == "/" && url.query().is_none() {
        true => text.trim_end_matches('/').to_owned(),
        false => text.to_owned(),
    }
}

/// The provider's extra parameters, except those that belong to the flow itself.
fn extra_parameters(
    provider: &Provider,
    login_hint: Option<&str>,
    nonce: Option<&Secret>,
) -> BTreeMap<String, String> {
    const OWN: [&str; 9] = [
        "response_type",
        "client_id",
        "client_secret",
        "state",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "scope",
        "nonce",
    ];
    let mut parameters = provider.authorize_params.clone();
    parameters.retain(|name, _| !OWN.contains(&name.as_str()));
    if let Some(hint) = login_hint {
        parameters.entry("login_hint".to_owned()).or_insert_with(|| hint.to_owned());
    }
    if let Some(nonce) = nonce {
        parameters.insert("nonce".to_owned(), nonce.expose().to_owned());
    }
    parameters
}

/// The provider refused the code, not an existing grant, so the text is changed.
fn for_code(error: TokenError) -> TokenError {
    match error {
        TokenError::NeedsPerson(refusal) if refusal.is_plain_invalid_grant() => {
            TokenError::NeedsPerson(Box::new(ProviderRefusal {
                meaning: "the provider does not accept the code: it was used already, or too late".into(),
                cure: Cure::authorize_and(" again"),
                ..*refusal
            }))
        }
        other => other,
    }
}

/// Why a provider sends no refresh token, as far as known.
fn no_refresh_token(provider: &Provider, asked: &[String]) -> &'static str {
    let parameter = |name: &str| provider.authorize_params.get(name).map(String::as_str);
    if provider.quirks.offline_by_parameters {
        return match (parameter("access_type"), parameter("prompt")) {
            (Some("offline"), Some(prompt)) if prompt.contains("consent") => {
                "remove the app at myaccount.google.com/permissions and authorise again"
            }
            _ => {
                "Google sends one only with access_type = \"offline\" and prompt = \"consent\" in authorize_params"
            }
        };
    }
    match asked.iter().any(|scope| scope == "offline_access") {
        false => "add offline_access to the scopes and authorise again",
        true => "allow the client refresh tokens (offline access) in its registration and authorise again",
    }
}
