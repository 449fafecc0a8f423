//! Requests to one provider's endpoints.

use std::sync::Arc;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use url::Url;

use super::consent::identity::ClaimedNames;
use super::flow::assertion;
use super::http::answer;
use super::http::discovery::{self, Metadata};
use super::http::exchange::Exchange;
use super::http::request::{EndpointRequest, Requests};
use super::http::transport::Transport;
use super::{GrantedTokens, TokenError};
use crate::clock::Clock;
use crate::config::{NetworkProxy, Provider};
use crate::secret::Secret;
use crate::trouble::Cure;

/// The OAuth client at one provider. Cheap to share; discovered endpoints are cached for the client's life.
pub struct Client {
    pub(super) provider: Arc<Provider>,
    pub(super) transport: Transport,
    discovered: OnceCell<Metadata>,
    clock: Clock,
}

impl Client {
    /// A client for `provider` that uses the trust roots of `tls` and connects through `proxy`. Sends nothing
    /// yet.
    pub fn new(
        provider: Arc<Provider>,
        tls: rustls::ClientConfig,
        proxy: Option<&Arc<NetworkProxy>>,
    ) -> Result<Self, TokenError> {
        let transport = Transport::new(tls, proxy)?;
        Ok(Self { provider, transport, discovered: OnceCell::new(), clock: Clock::default() })
    }

    /// A client for tests: `exchange` carries its forms, and `clock` gives the time of the answers.
    pub fn over(provider: Arc<Provider>, exchange: Arc<dyn Exchange>, clock: Clock) -> Self {
        Self { provider, transport: Transport::over(exchange), discovered: OnceCell::new(), clock }
    }

    /// The client's provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// A new access token for a grant (RFC 6749 §6). `scopes` are sent only if the provider requires them. A
    /// refresh token in the answer replaces the one used, and must be stored before the access token is used.
    /// Never cancel this future: a rotating provider may already have answered.
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        scopes: &[String],
    ) -> Result<GrantedTokens, TokenError> {
        let scopes = if self.provider.scope_on_refresh { scopes } else { &[] };
        let request = self.requests().await?.refresh(refresh_token, scopes)?;
        self.tokens(request).await
    }

    /// The names of the person who consented, from the id_token or, if that has none, from the userinfo
    /// endpoint. Empty if the provider tells none.
    pub async fn names(&self, tokens: &GrantedTokens) -> Result<Vec<String>, TokenError> {
        let email_counts = self.provider.email_identifies;
        let claims = tokens.id_claims.as_ref();
        let claimed = claims.map(|claims| claims.names.that_count(email_counts)).unwrap_or_default();
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        let known = self.discovered.get().and_then(|metadata| metadata.userinfo.clone());
        let Some(url) = self.provider.userinfo_url.clone().or(known) else { return Ok(Vec::new()) };
        let reply = self.transport.get(&url, Some(&tokens.access_token)).await?;
        match answer::object(&reply, std::slice::from_ref(&tokens.access_token)) {
            Ok(userinfo) => Ok(ClaimedNames::of(&userinfo).that_count(email_counts)),
            Err(error) if error.is_passing() => Err(error),
            // Microsoft's userinfo endpoint refuses mail tokens: no name then.
            Err(_) => Ok(Vec::new()),
        }
    }

    pub(super) async fn requests(&self) -> Result<Requests<'_>, TokenError> {
        let assertion = match &self.provider.client_assertion_file {
            Some(path) => Some(assertion::read(path, OffsetDateTime::now_utc()).await?),
            None => None,
        };
        Requests::new(&self.provider, &self.token_url().await?, assertion)
    }

    pub(super) async fn tokens(&self, request: EndpointRequest) -> Result<GrantedTokens, TokenError> {
        GrantedTokens::read(&self.object(request).await?, self.clock.now())
    }

    pub(super) async fn object(&self, request: EndpointRequest) -> Result<Map<String, Value>, TokenError> {
        let secrets = request.secrets.clone();
        let reply = self.transport.send(request).await?;
        answer::object(&reply, &secrets).map_err(|error| self.with_link(error))
    }

    pub(super) async fn authorize_url(&self) -> Result<Url, TokenError> {
        self.endpoint("authorize_url", &self.provider.authorize_url, |metadata| &metadata.authorize).await
    }

    pub(super) async fn token_url(&self) -> Result<Url, TokenError> {
        self.endpoint("token_url", &self.provider.token_url, |metadata| &metadata.token).await
    }

    /// The configured address, or else the discovered one.
    pub(super) async fn endpoint(
        &self,
        key: &str,
        configured: &Option<Url>,
        discovered: impl Fn(&Metadata) -> &Option<Url>,
    ) -> Result<Url, TokenError> {
        if let Some(url) = configured {
            return Ok(url.clone());
        }
        discovered(self.metadata(key).await?).clone().ok_or_else(|| self.missing(key))
    }

    /// The issuer's published metadata, requested once; after a failure the next call requests it again.
    pub(super) async fn metadata(&self, key: &str) -> Result<&Metadata, TokenError> {
        let issuer = self.provider.issuer.as_deref().ok_or_else(|| self.missing(key))?;
        self.discovered.get_or_try_init(|| discovery::fetch(&self.transport, issuer)).await
    }

    /// The issuer to compare `iss` with, and whether it is known to send `iss` in redirects.
    pub(super) fn issuer(&self) -> (Option<String>, bool) {
        match self.discovered.get() {
            Some(metadata) => (Some(metadata.issuer.clone()), metadata.sends_iss),
            None => (self.provider.issuer.clone(), false),
        }
    }

    fn missing(&self, key: &str) -> TokenError {
        TokenError::local(
            "endpoint",
            format!("the {key} of {} is not known", self.provider.title),
            Cure::configure(key, format!("set {key} or issuer in [providers.{}]", self.provider.name)),
        )
    }
}
