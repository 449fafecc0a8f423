//! The proof of a token: a sign-in at a mail server of the provider, and a look into the mailbox where the protocol
//! has one. Nothing is changed there, and no message is sent.

use std::cell::Cell;
use std::time::Duration;

use super::error::Unproven;
use super::providers::Legs;
use crate::config::{Door, Names};
use crate::secret::Secret;
use crate::wire::Wire;

/// Longer than any provider takes that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(45);

/// Signs in at `door` with `token` and one of `names`. The number of folders, where the protocol has such.
pub(super) async fn prove(
    legs: &Legs,
    door: Door,
    names: Names<'_>,
    token: &Secret,
) -> Result<Option<usize>, Unproven> {
    let dialler = legs.upstream.dialler(door)?;
    let service = &dialler.service;
    let step = Cell::new("a connection");
    let attempt = async {
        let mut upstream = Wire::new(dialler.dial().await?);
        step.set("the sign-in");
        door.sign_in(&mut upstream, &service.credential(names, token)).await?;
        step.set(door.look_command());
        Ok(door.look_in(&mut upstream).await?)
    };
    let silent = |_| Unproven::Silent { endpoint: service.endpoint.to_string(), step: step.get() };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(silent)?
}
