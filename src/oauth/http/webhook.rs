//! Posts JSON to an address of the administrator's choice, with the HTTP client of `transport`, which follows no
//! redirect. Errors never contain the address's path or query, which may be secret.

use std::sync::Arc;

use url::Url;

use super::transport::Transport;
use crate::config::NetworkProxy;
use crate::oauth::TokenError;

/// One webhook address.
pub struct Webhook {
    transport: Transport,
    url: Url,
}

impl Webhook {
    /// `url` is https, or http on a loopback host.
    pub fn new(
        url: Url,
        tls: rustls::ClientConfig,
        proxy: Option<&Arc<NetworkProxy>>,
    ) -> Result<Self, TokenError> {
        Ok(Self { transport: Transport::new(tls, proxy)?, url })
    }

    /// Sends `json`; any answer but 2xx is an error.
    pub async fn post(&self, json: String) -> Result<(), TokenError> {
        let reply = self.transport.post_json(&self.url, json).await?;
        match reply.status {
            200..300 => Ok(()),
            status => Err(TokenError::passing(
                &format!("HTTP {status}"),
                "the webhook did not accept the event",
                Some(status),
            )),
        }
    }
}
