//! Revokes a grant at the provider (RFC 7009), or says where the person can do it.

use url::Url;

use crate::oauth::http::answer;
use crate::oauth::{Client, TokenError};
use crate::secret::Secret;

/// The outcome of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider has revoked the token. At Google this ends everything that the person granted to the same
    /// project.
    Revoked,
    /// The provider has no revocation endpoint.
    ByHand {
        /// Where the person can revoke the grant, one clause.
        instruction: String,
    },
}

impl Client {
    /// Revokes a refresh token and the access tokens made with it. After [`TokenError::Passing`] the token is
    /// still valid (RFC 7009 §2.2.1).
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<Revocation, TokenError> {
        let Some(url) = self.revoke_url().await? else {
            return Ok(Revocation::ByHand { instruction: self.by_hand() });
        };
        let request = self.requests().await?.revoke(&url, refresh_token)?;
        let secrets = request.secrets.clone();
        let reply = self.transport.send(request).await?;
        // RFC 7009 §2.2: only the status counts; an unknown token counts as revoked.
        if (200..300).contains(&reply.status) {
            return Ok(Revocation::Revoked);
        }
        match answer::object(&reply, &secrets) {
            Err(error) => match error.refusal().error.as_deref() {
                // Google's answer for a token that was revoked before.
                Some("invalid_token") => Ok(Revocation::Revoked),
                _ => Err(error),
            },
            Ok(_) => Ok(Revocation::Revoked),
        }
    }

    /// The revocation endpoint. A page for the person to click on counts as none.
    async fn revoke_url(&self) -> Result<Option<Url>, TokenError> {
        let provider = self.provider();
        if provider.revoke_url.is_some() || provider.revoke_page.is_some() || provider.issuer.is_none() {
            return Ok(provider.revoke_url.clone());
        }
        match self.metadata("revoke_url").await {
            Ok(metadata) => Ok(metadata.revoke.clone()),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn by_hand(&self) -> String {
        let provider = self.provider();
        match &provider.revoke_page {
            Some(page) => format!("withdraw the access at {page}"),
            None => format!("withdraw the access in the account settings of {}", provider.title),
        }
    }
}
