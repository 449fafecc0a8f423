//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::cell::Cell;
use std::time::Duration;

use super::error::Unproven;
use super::providers::Legs;
use crate::config::Names;
use crate::protocol::Door;
use crate::secret::Secret;
use crate::wire::Wire;

/// Longer than any provider takes that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(45);

/// The door that a token is proven at.
pub(super) const DOOR: Door = Door::Imap;

/// Signs in with one of `names` and `token` and counts the folders.
pub(super) async fn prove(legs: &Legs, names: Names<'_>, token: &Secret) -> Result<usize, Unproven> {
    let dialler = legs.upstream.dialler(DOOR)?;
    let service = &dialler.service;
    let step = Cell::new("a connection");
    let attempt = async {
        let mut upstream = Wire::new(dialler.dial().await?);
        step.set("the sign-in");
        DOOR.sign_in(&mut upstream, &service.credential(names, token)).await?;
        step.set("the list of folders");
        Ok(DOOR.look_in(&mut upstream).await?.unwrap_or_default())
    };
    let silent = |_| Unproven::Silent { endpoint: service.endpoint.to_string(), step: step.get() };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(silent)?
}
