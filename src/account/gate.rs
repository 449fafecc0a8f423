//! Limits the sessions that one account holds at its provider.
//!
//! Providers refuse a session over their limit, and some then make mail programs prompt for a new password.
//! The proxy stays below the limit: a login waits a moment for a session to end, then gets a clear refusal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::protocol::Door;
use crate::store::{Account, Folded, Id, fold};

/// The sessions of all accounts.
#[derive(Default)]
pub struct Gates(Mutex<HashMap<(Id, Folded, Door), Arc<Semaphore>>>);

/// The right to one connection to the provider. Dropping it admits the next waiting login.
#[derive(Debug)]
pub struct UpstreamPermit(
    #[allow(dead_code, reason = "it counts for as long as it lives")] Option<OwnedSemaphorePermit>,
);

impl Gates {
    /// One of the `limit` connections of `account` at `door`; `None` if none became free within `patience`.
    /// Without `patience` the caller's deadline limits the wait.
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
            // Drops unused gates: a domain account has one for each mailbox, and clients can name any number.
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
