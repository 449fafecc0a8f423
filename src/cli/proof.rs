//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::cell::Cell;
use std::time::Duration;

use super::installation::Legs;
use crate::protocol::Credential;
use crate::protocol::imap::{NotListed, Refusal, count_folders, sign_in};
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
    #[error(transparent)]
    NotListed(NotListed),
    #[error("{endpoint} did not answer within 45 s; it was asked for {step}")]
    Silent { endpoint: String, step: &'static str },
}

impl Unproven {
    /// Whether it says nothing about the token: the provider could not be asked.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Refused(refusal) => is_passing(refusal),
            Self::NotListed(NotListed(refusal)) => is_passing(refusal),
            Self::Silent { .. } => true,
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
    let step = Cell::new("a connection");
    let attempt = async {
        let stream = legs.dialler.dial().await?;
        let mut upstream = Wire::new(stream);
        step.set("the sign-in");
        let credential = Credential {
            user,
            token,
            mechanisms: &provider.mechanisms,
            host: &provider.imap.host,
            port: provider.imap.port,
            sasl_ir: provider.sasl_ir,
        };
        sign_in(b"a1", &mut upstream, &credential).await?;
        step.set("the list of folders");
        count_folders(&mut upstream).await.map_err(|refusal| Unproven::NotListed(NotListed(refusal)))
    };
    let silent = |_| Unproven::Silent { endpoint: provider.imap.to_string(), step: step.get() };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(silent)?
}
