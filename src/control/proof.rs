//! The proof of a token: a sign-in at a mail server of the provider, and a look into the mailbox if the protocol
//! has one. Nothing is changed there, and no message is sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::error::Unproven;
use super::providers::Legs;
use crate::config::{Door, Names};
use crate::protocol::{Credential, Refusal};
use crate::secret::Secret;
use crate::tls::Socket;
use crate::upstream::{DialError, Dialler};
use crate::wire::Wire;

/// Longer than any useful answer of a provider takes.
const PATIENCE: Duration = Duration::from_secs(45);

/// Signs in at `door` with `token` and one of `names`. Returns the number of folders, if the protocol has folders.
pub(super) async fn prove(
    legs: &Legs,
    door: Door,
    names: Names<'_>,
    token: &Secret,
) -> Result<Option<usize>, Unproven> {
    let dialler = legs.upstream.dialler(door)?;
    let service = &dialler.service;
    let steps = ["a connection", "the sign-in", door.look_command()];
    let step = AtomicUsize::new(0);
    let attempt = async {
        let connected = || step.store(1, Ordering::Relaxed);
        let (mut upstream, _) = sign_in::<Unproven>(dialler, names, token, connected).await?;
        step.store(2, Ordering::Relaxed);
        Ok(door.look_in(&mut upstream).await?)
    };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(|_| {
        let step = steps.get(step.load(Ordering::Relaxed)).copied().unwrap_or_default();
        Unproven::Silent { endpoint: service.endpoint.to_string(), step }
    })?
}

/// Signs in with `token` and one of `names`, as a login does, and returns the accepted name. If a provider hangs
/// up after it refused the first name, the other is tried on a new connection.
pub(super) async fn sign_in<E: From<DialError> + From<Refusal>>(
    dialler: &Dialler,
    names: Names<'_>,
    token: &Secret,
    connected: impl Fn() + Send,
) -> Result<(Wire<Socket>, String), E> {
    let (door, credential) = (dialler.service.door, dialler.service.credential(names, token));
    let mut upstream = Wire::new(dialler.dial().await?);
    connected();
    match (door.sign_in(&mut upstream, &credential).await, credential.or_user) {
        (Err(Refusal::Closed), Some(user)) => {
            let mut upstream = Wire::new(dialler.dial().await?);
            door.sign_in(&mut upstream, &Credential { or_user: None, user, ..credential }).await?;
            Ok((upstream, user.to_owned()))
        }
        (outcome, or_user) => {
            let by_other_name = outcome?.by_other_name;
            Ok((upstream, or_user.filter(|_| by_other_name).unwrap_or(credential.user).to_owned()))
        }
    }
}
