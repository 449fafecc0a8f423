//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::time::Duration;

use super::installation::Legs;
use crate::protocol::Credential;
use crate::protocol::imap::{Refusal, count_folders, sign_in};
use crate::secret::Secret;
use crate::upstream::DialError;
use crate::wire::Wire;

/// Longer than any provider takes that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(45);

/// Why the proof was not given.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0} did not answer within 45 s")]
    Silent(String),
}

impl Unproven {
    /// Whether it says nothing about the token: the provider could not be asked.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Refused(refusal) => is_passing(refusal),
            Self::Silent(_) => true,
        }
    }
}

/// Whether a refusal says nothing about the token or the mailbox.
pub(super) fn is_passing(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Closed
            | Refusal::Io(_)
            | Refusal::Unavailable(_)
            | Refusal::Connections(_)
            | Refusal::Throttled { .. }
    )
}

/// Signs in as `user` with `token` and counts the folders.
pub(super) async fn prove(legs: &Legs, user: &str, token: &Secret) -> Result<usize, Unproven> {
    let provider = &legs.provider;
    let attempt = async {
        let stream = legs.dialler.dial().await?;
        let mut upstream = Wire::new(stream);
        let credential = Credential {
            user,
            token,
            mechanisms: &provider.mechanisms,
            host: &provider.imap.host,
            port: provider.imap.port,
            sasl_ir: provider.sasl_ir,
        };
        sign_in(b"a1", &mut upstream, &credential).await?;
        Ok(count_folders(&mut upstream).await?)
    };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(|_| Unproven::Silent(provider.imap.to_string()))?
}
