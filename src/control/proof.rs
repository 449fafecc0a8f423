//! The proof of a token: a sign-in at the provider, and a count of the folders.

use std::cell::Cell;
use std::time::Duration;

use super::error::Unproven;
use super::providers::Legs;
use crate::protocol::imap::{self, NotListed, Refusal};
use crate::secret::Secret;
use crate::tls::Stream;
use crate::wire::Wire;

/// Longer than any provider takes that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(45);

/// Signs in as `user` with `token` and counts the folders.
pub(super) async fn prove(legs: &Legs, user: &str, token: &Secret) -> Result<usize, Unproven> {
    let step = Cell::new("a connection");
    let attempt = async {
        let stream = legs.dialler.dial().await?;
        step.set("the sign-in");
        let mut session = sign_in(legs, stream, user, token).await?;
        step.set("the list of folders");
        count_folders(&mut session).await.map_err(Unproven::NotListed)
    };
    let silent = |_| Unproven::Silent { endpoint: legs.provider.imap.to_string(), step: step.get() };
    tokio::time::timeout(PATIENCE, attempt).await.map_err(silent)?
}

/// Signs in over a fresh connection.
pub(super) async fn sign_in(
    legs: &Legs,
    stream: Stream,
    user: &str,
    token: &Secret,
) -> Result<Wire<Stream>, Refusal> {
    let mut session = Wire::new(stream);
    imap::sign_in(b"a1", &mut session, &legs.provider.credential(user, token)).await?;
    Ok(session)
}

/// Counts the folders of a mailbox that was just signed in to, and leaves it.
pub(super) async fn count_folders(session: &mut Wire<Stream>) -> Result<usize, NotListed> {
    imap::count_folders(session).await.map_err(NotListed)
}
