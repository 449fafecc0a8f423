//! How many sessions one account holds at its provider.
//!
//! Providers refuse one session too many, some of them with a prompt for a new password. So we stay
//! below the limit ourselves: a login waits a moment for a session to end, and is then told so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::protocol::Door;
use crate::store::{Account, Folded, Id, fold};

/// The sessions of all accounts.
#[derive(Default)]
pub struct Gates(Mutex<HashMap<(Id, Folded, Door), Arc<Semaphore>>>);

/// The right to one connection to the provider; the next login in line gets it when it is dropped.
#[derive(Debug)]
pub struct UpstreamPermit(
    #[allow(dead_code, reason = "it counts for as long as it lives")] Option<OwnedSemaphorePermit>,
);

impl Gates {
    /// One of the `limit` connections of `account` at `door`; `None` where none became free in time. Without
    /// `patience` the caller's deadline counts.
    pub async fn enter(
        &self,
        account: &Account,
        door: Door,
        limit: Option<u32>,
        patience: Option<Duration>,
    ) -> Option<UpstreamPermit> {
        let Some(limit) = limit else { return Some(UpstreamPermit(None)) };
        let gate = {
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS)));
            // The mailboxes of a domain account are counted each by itself, and any number of names can be asked for.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
            gates.entry((account.id.clone(), fold(&account.name), door)).or_insert_with(new).clone()
        };
        let permit = match patience {
            Some(patience) => tokio::time::timeout(patience, gate.acquire_owned()).await.ok()?,
            None => gate.acquire_owned().await,
        };
        let permit = permit.ok()?;
        Some(UpstreamPermit(Some(permit)))
    }
}
