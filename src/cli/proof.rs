//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::cell::Cell;
use std::time::Duration;

use super::installation::Legs;
use crate::protocol::{Door, MendedBy, NotListed, Refusal};
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
            Self::Refused(refusal) | Self::NotListed(NotListed(refusal)) => {
                refusal.mended_by() != MendedBy::Person
            }
            Self::Silent { .. } => true,
        }
    }
}

/// The door that a token is proven at.
pub(super) const DOOR: Door = Door::Imap;

/// Signs in as `user` with `token` and counts the folders.
pub(super) async fn prove(legs: &Legs, user: &str, token: &Secret) -> Result<usize, Unproven> {
    let dialler = legs.upstream.dialler(DOOR)?;
    let service = &dialler.service;
    let step = Cell::new("a connection");
    let attempt = async {
        let mut upstream = Wire::new(dialler.dial().await?);
        step.set("the sign-in");
        DOOR.sign_in(&mut upstream, &service.credential(user, token)).await?;
        step.set("the list of folders");
        DOOR.count_folders(&mut upstream).await.map_err(Unproven::NotListed)
    };
    let silent = |_| Unproven::Silent { endpoint: service.endpoint.to_string(), step: step.get() };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(silent)?
}
