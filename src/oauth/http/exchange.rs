//! A way to a token endpoint without a network, for a simulation that carries the forms itself.
//!
//! The requests are built, and the answers read, by the same code as on the network; only the transport differs.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::answer::{Body, Reply};
use super::request::EndpointRequest;
use crate::oauth::TokenError;

/// Carries forms to token endpoints.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// Carries `form` to the endpoint; `None` if there is no answer, or none in time.
    async fn post(&self, form: &[u8]) -> Option<Exchanged>;
}

/// An endpoint's answer.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

pub(super) async fn carry(exchange: &dyn Exchange, request: &EndpointRequest) -> Result<Reply, TokenError> {
    let answer = exchange.post(request.http.body()).await;
    let answer = answer.ok_or_else(|| TokenError::passing("network", "the endpoint did not answer", None))?;
    let body = Body::Whole(Zeroizing::new(answer.body));
    Ok(Reply { status: answer.status, retry_after: answer.retry_after, body })
}
