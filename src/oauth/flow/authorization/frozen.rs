//! A request for consent as plain values, so that another process can finish it. The values include the verifier and
//! `state`, so they are stored sealed.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::AuthorizationRequest;
use crate::oauth::flow::redirect::Expected;
use crate::secret::Secret;

/// The values of an [`AuthorizationRequest`].
#[derive(Serialize, Deserialize)]
pub struct FrozenRequest {
    url: Url,
    redirect_uri: String,
    #[serde(serialize_with = "exposed")]
    verifier: Secret,
    #[serde(serialize_with = "exposed_if_any")]
    nonce: Option<Secret>,
    asked: Vec<String>,
    #[serde(serialize_with = "exposed")]
    state: Secret,
    issuer: Option<String>,
    sends_iss: bool,
    approval: Option<Url>,
}

impl From<&AuthorizationRequest> for FrozenRequest {
    fn from(request: &AuthorizationRequest) -> Self {
        let AuthorizationRequest { url, redirect_uri, verifier, nonce, asked, expected } = request;
        Self {
            url: url.clone(),
            redirect_uri: redirect_uri.clone(),
            verifier: verifier.clone(),
            nonce: nonce.clone(),
            asked: asked.clone(),
            state: expected.state.clone(),
            issuer: expected.issuer.clone(),
            sends_iss: expected.sends_iss,
            approval: expected.approval.clone(),
        }
    }
}

impl From<FrozenRequest> for AuthorizationRequest {
    fn from(frozen: FrozenRequest) -> Self {
        let FrozenRequest { url, redirect_uri, verifier, nonce, asked, state, issuer, sends_iss, approval } =
            frozen;
        let expected = Arc::new(Expected { state, issuer, sends_iss, approval });
        Self { url, redirect_uri, verifier, nonce, asked, expected }
    }
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn exposed_if_any<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
