//! Builds the requests to token endpoints.
//!
//! oauth2 builds them (RFC 6749 §4.1.3, §4.4, §6, RFC 8628 §3.1): the parameters and the client
//! authentication, Basic with form-encoded id and secret (§2.3.1). oauth2 sends a request through a closure;
//! the closure here returns the request unsent, so that this module sends it and reads the answer. Where oauth2 offers
//! no single request (RFC 7523, RFC 8628 §3.4, RFC 7009), the headers and the client authentication are taken from one
//! that it builds.

use std::borrow::Cow;
use std::fmt;

use oauth2::basic::{BasicClient, BasicErrorResponse};
use oauth2::http::header::AUTHORIZATION;
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, DeviceAuthorizationUrl,
    EmptyExtraDeviceAuthorizationFields, EndpointNotSet, EndpointSet, HttpRequest, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse, TokenUrl,
};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::config::{ClientAuthentication, Provider};
use crate::oauth::TokenError;
use crate::secret::Secret;
use crate::trouble::Cure;

/// A request ready to send, and its secrets, which are masked where the answer echoes them.
pub(in crate::oauth) struct EndpointRequest {
    pub(in crate::oauth) http: HttpRequest,
    pub(in crate::oauth) secrets: Vec<Secret>,
}

/// A request, or the fault of the configuration that prevents it.
type Built = Result<EndpointRequest, TokenError>;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: [&str; 2] =
    ["client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"];
const ASSERTION: &str = "client_assertion";

/// Puts the assertion, if there is one, into a request that is being built. A macro, because each of oauth2's builders
/// has its own type.
macro_rules! proven {
    ($requests:expr, $builder:expr) => {
        match &$requests.assertion {
            Some(assertion) => {
                let [name, kind] = ASSERTION_TYPE;
                $builder.add_extra_param(name, kind).add_extra_param(ASSERTION, assertion.expose())
            }
            None => $builder,
        }
    };
}

type OauthClient = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Builds the requests of one provider's client.
pub(in crate::oauth) struct Requests<'a> {
    provider: &'a Provider,
    client: OauthClient,
    assertion: Option<Secret>,
}

impl<'a> Requests<'a> {
    /// With an `assertion` (RFC 7523 §2.2) the secret is not sent: a client authenticates in one way only (RFC 6749
    /// §2.3).
    pub(in crate::oauth) fn new(
        provider: &'a Provider,
        token_url: &Url,
        assertion: Option<Secret>,
    ) -> Result<Self, TokenError> {
        let id = ClientId::new(client_id(provider)?.to_owned());
        let client = BasicClient::new(id).set_token_uri(TokenUrl::from_url(token_url.clone()));
        let client = match (&assertion, &provider.client_secret, provider.client_authentication) {
            (None, Some(secret), authentication) => client
                .set_client_secret(ClientSecret::new(secret.expose().to_owned()))
                .set_auth_type(match authentication {
                    ClientAuthentication::Post => AuthType::RequestBody,
                    ClientAuthentication::Basic => AuthType::BasicAuth,
                }),
            _ => client.set_auth_type(AuthType::RequestBody),
        };
        Ok(Self { provider, client, assertion })
    }

    /// The client's secret, if the client authenticates with it.
    fn secret(&self) -> Option<&Secret> {
        self.provider.client_secret.as_ref().filter(|_| self.assertion.is_none())
    }

    /// RFC 6749 §4.1.3 with the verifier of RFC 7636 §4.5. `redirect_uri` must equal the authorisation
    /// request's exactly.
    pub(in crate::oauth) fn code(&self, code: &Secret, verifier: &Secret, redirect_uri: &str) -> Built {
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| malformed())?;
        let exchange = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect));
        let built = proven!(self, exchange).request(&keep);
        self.finish(built, [code, verifier])
    }

    /// RFC 6749 §6; `scopes` may be empty.
    pub(in crate::oauth) fn refresh(&self, token: &Secret, scopes: &[String]) -> Built {
        let old = RefreshToken::new(token.expose().to_owned());
        let exchange = self.client.exchange_refresh_token(&old).add_scopes(named(scopes));
        let built = proven!(self, exchange).request(&keep);
        self.finish(built, [token])
    }

    /// RFC 6749 §4.4.
    pub(in crate::oauth) fn client_credentials(&self, scopes: &[String]) -> Built {
        let exchange = self.client.exchange_client_credentials().add_scopes(named(scopes));
        let built = proven!(self, exchange).request(&keep);
        self.finish(built, [])
    }

    /// RFC 8628 §3.1.
    pub(in crate::oauth) fn device(&self, device_url: &Url, scopes: &[String]) -> Built {
        let client = self
            .client
            .clone()
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(device_url.clone()));
        let exchange = client.exchange_device_code().add_scopes(named(scopes));
        let built: Result<StandardDeviceAuthorizationResponse, _> =
            proven!(self, exchange).request::<_, EmptyExtraDeviceAuthorizationFields>(&keep);
        self.finish(built, [])
    }

    /// RFC 8628 §3.4.
    pub(in crate::oauth) fn device_poll(&self, device_code: &Secret) -> Built {
        const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
        self.authenticated(
            None,
            &[("grant_type", DEVICE_CODE), ("device_code", device_code.expose())],
            device_code,
        )
    }

    /// RFC 7009 §2.1.
    pub(in crate::oauth) fn revoke(&self, revoke_url: &Url, refresh_token: &Secret) -> Built {
        let form = [("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
        self.authenticated(Some(revoke_url), &form, refresh_token)
    }

    /// A form that oauth2 cannot build, to the token endpoint or to `url`, with oauth2's headers and client
    /// authentication.
    fn authenticated(&self, url: Option<&Url>, form: &[(&str, &str)], secret: &Secret) -> Built {
        let mut request = self.client_credentials(&[])?;
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form);
        if !request.http.headers().contains_key(AUTHORIZATION) {
            body.append_pair("client_id", self.client.client_id());
            if let Some(secret) = self.secret() {
                body.append_pair("client_secret", secret.expose());
            }
            if let Some(assertion) = &self.assertion {
                let [name, kind] = ASSERTION_TYPE;
                body.append_pair(name, kind).append_pair(ASSERTION, assertion.expose());
            }
        }
        *request.http.body_mut() = body.finish().into_bytes();
        if let Some(url) = url {
            *request.http.uri_mut() = url.as_str().parse().map_err(|_| malformed())?;
        }
        request.secrets.push(secret.clone());
        Ok(request)
    }

    fn finish<'s, T>(
        &self,
        built: Result<T, RequestTokenError<Kept, BasicErrorResponse>>,
        secrets: impl IntoIterator<Item = &'s Secret>,
    ) -> Built {
        let Err(RequestTokenError::Request(Kept(http))) = built else { return Err(malformed()) };
        let own = self.secret().or(self.assertion.as_ref());
        let secrets = secrets.into_iter().cloned().chain(own.cloned()).collect();
        Ok(EndpointRequest { http: *http, secrets })
    }
}

/// RFC 7523 §2.1: the assertion is the only authentication.
pub(in crate::oauth) fn jwt_bearer(token_url: &Url, assertion: &Secret) -> Built {
    let body = Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", assertion.expose())
        .finish();
    let http = oauth2::http::Request::post(token_url.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body.into_bytes())
        .map_err(|_| malformed())?;
    Ok(EndpointRequest { http, secrets: vec![assertion.clone()] })
}

/// The client id, or an error that says how to get one.
pub(in crate::oauth) fn client_id(provider: &Provider) -> Result<&str, TokenError> {
    provider.client_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| {
        TokenError::local(
            "client_id",
            format!("no OAuth client is configured for {}", provider.title),
            Cure::configure(
                "client_id",
                format!("register one and set client_id in [providers.{}]", provider.name),
            ),
        )
    })
}

fn named(scopes: &[String]) -> impl Iterator<Item = Scope> {
    scopes.iter().cloned().map(Scope::new)
}

pub(super) fn malformed() -> TokenError {
    TokenError::local(
        "endpoint",
        "an endpoint's address cannot be used in a request",
        Cure::configure("token_url", "check the URLs of the provider"),
    )
}

/// Used as oauth2's HTTP client: returns the request as the error.
fn keep(request: HttpRequest) -> Result<oauth2::HttpResponse, Kept> {
    Err(Kept(Box::new(request)))
}

/// A built, unsent request. It holds secrets, so it has no printable form.
#[derive(thiserror::Error)]
#[error("a request")]
struct Kept(Box<HttpRequest>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use url::form_urlencoded;

    use super::*;
    use crate::oauth::testing;

    fn form(request: &EndpointRequest) -> BTreeMap<String, String> {
        form_urlencoded::parse(request.http.body()).into_owned().collect()
    }

    fn requests(provider: &Provider) -> Requests<'_> {
        proven_requests(provider, None)
    }

    fn proven_requests<'a>(provider: &'a Provider, assertion: Option<&str>) -> Requests<'a> {
        let url = Url::parse("https://login.example/token").unwrap();
        Requests::new(provider, &url, assertion.map(Secret::new)).unwrap()
    }

    #[test]
    fn a_public_client_sends_its_id_and_no_secret() {
        let provider = testing::provider("https://login.example");
        let request =
            requests(&provider).refresh(&Secret::new("r/1+2"), &["a b".to_owned(), "c".to_owned()]).unwrap();
        assert_eq!(
            form(&request),
            BTreeMap::from(
                [
                    ("grant_type", "refresh_token"),
                    ("refresh_token", "r/1+2"),
                    ("client_id", "client"),
                    ("scope", "a b c")
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
            )
        );
    }

    #[test]
    fn a_secret_goes_into_the_form_and_never_into_the_url() {
        let mut provider = testing::provider("https://login.example");
        provider.client_secret = Some(Secret::new("s:%+~/ü"));
        let all = [
            requests(&provider).refresh(&Secret::new("r"), &[]).unwrap(),
            requests(&provider).device_poll(&Secret::new("d")).unwrap(),
            requests(&provider)
                .revoke(&Url::parse("https://login.example/revoke").unwrap(), &Secret::new("r"))
                .unwrap(),
        ];
        for request in all {
            assert_eq!(form(&request)["client_secret"], "s:%+~/ü");
            assert!(request.http.uri().query().is_none());
            assert!(!request.http.headers().contains_key(AUTHORIZATION));
        }
    }

    #[test]
    fn basic_form_encodes_id_and_secret() {
        let mut provider = testing::provider("https://login.example");
        provider.client_id = Some("id:1".to_owned());
        provider.client_secret = Some(Secret::new("s:%+ü"));
        provider.client_authentication = ClientAuthentication::Basic;
        let code =
            requests(&provider).code(&Secret::new("c"), &Secret::new("v"), "http://127.0.0.1:1/").unwrap();
        let poll = requests(&provider).device_poll(&Secret::new("d")).unwrap();
        for request in [code, poll] {
            let header =
                request.http.headers()[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
            assert_eq!(STANDARD.decode(header).unwrap(), b"id%3A1:s%3A%25%2B%C3%BC");
            assert!(!form(&request).contains_key("client_secret"));
        }
    }

    #[test]
    fn the_redirect_uri_is_sent_as_it_was_before() {
        let provider = testing::provider("https://login.example");
        for redirect_uri in
            ["http://localhost:4711", "http://127.0.0.1:4711/callback", "https://mail.example/oauth?x=1"]
        {
            let request =
                requests(&provider).code(&Secret::new("c"), &Secret::new("v"), redirect_uri).unwrap();
            assert_eq!(form(&request)["redirect_uri"], redirect_uri);
        }
    }

    #[test]
    fn an_assertion_takes_the_place_of_the_secret() {
        let mut provider = testing::provider("https://login.example");
        provider.client_secret = Some(Secret::new("unused"));
        provider.client_authentication = ClientAuthentication::Basic;
        let requests = proven_requests(&provider, Some("jwt"));
        let (secret, url) = (Secret::new("s"), Url::parse("https://login.example/other").unwrap());
        for (request, grant_type) in [
            (requests.client_credentials(&["x/.default".to_owned()]), Some("client_credentials")),
            (requests.refresh(&secret, &[]), Some("refresh_token")),
            (requests.code(&secret, &secret, "http://127.0.0.1:1/"), Some("authorization_code")),
            (requests.device(&url, &[]), None),
            (requests.device_poll(&secret), Some("urn:ietf:params:oauth:grant-type:device_code")),
            (requests.revoke(&url, &secret), None),
        ] {
            let request = request.unwrap();
            let form = form(&request);
            assert_eq!(form.get("grant_type").map(String::as_str), grant_type);
            assert_eq!(form["client_assertion"], "jwt");
            assert_eq!(
                form["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            assert_eq!(form["client_id"], "client");
            assert!(!form.contains_key("client_secret"));
            assert!(!request.http.headers().contains_key(AUTHORIZATION));
            assert!(request.secrets.iter().any(|secret| secret.expose() == "jwt"), "it is masked");
        }
    }

    #[test]
    fn what_holds_a_request_has_no_printable_form() {
        let kept = Kept(Box::new(HttpRequest::new(b"canary".to_vec())));
        assert!(!format!("{kept} {kept:?}").contains("canary"));
    }

    #[test]
    fn a_missing_client_id_says_what_to_set() {
        let mut provider = testing::provider("https://login.example");
        provider.client_id = None;
        let line = client_id(&provider).unwrap_err().trouble().line("COMMAND");
        assert!(line.contains("set client_id in [providers.acme]"), "{line}");
    }
}
