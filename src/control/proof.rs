//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::time::Duration;

use super::providers::Legs;
use crate::protocol::imap::{MendedBy, Refusal, count_folders, sign_in};
use crate::secret::Secret;
use crate::upstream::DialError;
use crate::wire::Wire;

/// Longer than any provider takes that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(45);

/// Why the proof was not given.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// There was no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The mail server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The mail server said nothing.
    #[error("{0} did not answer within 45 s")]
    Silent(String),
}

impl Unproven {
    /// Whether it says nothing about the token: the provider could not be asked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Refused(refusal) => refusal.mended_by() != MendedBy::Person,
            Self::Silent(_) => true,
        }
    }
}

/// Signs in as `user` with `token` and counts the folders.
pub(super) async fn prove(legs: &Legs, user: &str, token: &Secret) -> Result<usize, Unproven> {
    let provider = &legs.provider;
    let attempt = async {
        let stream = legs.dialler.dial().await?;
        let mut upstream = Wire::new(stream);
        let credential = provider.credential(user, token);
        sign_in(b"a1", &mut upstream, &credential).await?;
        Ok(count_folders(&mut upstream).await?)
    };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(|_| Unproven::Silent(provider.imap.to_string()))?
}
