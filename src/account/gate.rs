//! Limits the sessions that one account holds at its provider.
//!
//! Providers refuse one session too many, some of them with a prompt for a new password. So we stay
//! below the limit ourselves: a login waits a moment for a session to end, and is then told so. Sessions that
//! another process holds, such as the one of before an upgrade, count as well: so many permits are withheld here, and
//! given back as they end there. A process that has died holds none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::protocol::Door;
use crate::store::{Account, Folded, fold};

/// The mailboxes of a domain account are counted each by itself.
type Key = (Folded, Door);

/// The sessions of all accounts.
#[derive(Default)]
pub struct Gates(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    gates: HashMap<Key, Gate>,
    /// The sessions of other processes, by process.
    elsewhere: HashMap<String, HashMap<Key, usize>>,
}

struct Gate {
    limit: usize,
    permits: Arc<Semaphore>,
    /// Permits that stand for sessions elsewhere.
    withheld: usize,
}

/// The right to one connection to the provider. Dropping it admits the next waiting login, unless sessions elsewhere
/// take its place.
pub struct UpstreamPermit(#[allow(dead_code, reason = "it counts for as long as it lives")] Option<Held>);

struct Held {
    /// Always there until the drop.
    permit: Option<OwnedSemaphorePermit>,
    key: Key,
    counted: Arc<Mutex<Counted>>,
}

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
        let limit = usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS);
        let key = (fold(&account.name), door);
        let permits = self.lock().gate(&key, limit);
        let permit = match patience {
            Some(patience) => tokio::time::timeout(patience, permits.acquire_owned()).await.ok()?,
            None => permits.acquire_owned().await,
        };
        let permit = Some(permit.ok()?);
        Some(UpstreamPermit(Some(Held { permit, key, counted: self.0.clone() })))
    }

    /// Sets the number of sessions that `process` holds of the account of that name.
    pub fn held_elsewhere(&self, process: &str, account: &str, door: Door, sessions: usize) {
        let key = (fold(account), door);
        let mut counted = self.lock();
        let held = counted.elsewhere.entry(process.to_owned()).or_default();
        match sessions {
            0 => drop(held.remove(&key)),
            _ => drop(held.insert(key.clone(), sessions)),
        }
        counted.withhold(&key);
    }

    /// `process` has ended, and holds nothing.
    pub fn ended_elsewhere(&self, process: &str) {
        let mut counted = self.lock();
        let held = counted.elsewhere.remove(process).unwrap_or_default();
        held.keys().for_each(|key| counted.withhold(key));
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        lock(&self.0)
    }
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counted = lock(&self.counted);
        if counted.is_owed(&self.key) {
            // Not given back first: a login that waits would get it.
            if let (Some(permit), Some(gate)) = (self.permit.take(), counted.gates.get_mut(&self.key)) {
                permit.forget();
                gate.withheld += 1;
            }
        }
    }
}

impl fmt::Debug for UpstreamPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the right to one connection to the provider")
    }
}

impl Counted {
    fn gate(&mut self, key: &Key, limit: usize) -> Arc<Semaphore> {
        // Any number of names can be asked for.
        self.gates.retain(|_, gate| Arc::strong_count(&gate.permits) > 1);
        let new = || Gate { limit, permits: Arc::new(Semaphore::new(limit)), withheld: 0 };
        let permits = self.gates.entry(key.clone()).or_insert_with(new).permits.clone();
        self.withhold(key);
        permits
    }

    fn elsewhere(&self, key: &Key) -> usize {
        self.elsewhere.values().filter_map(|held| held.get(key)).sum()
    }

    /// Whether fewer permits are withheld than there are sessions elsewhere.
    fn is_owed(&self, key: &Key) -> bool {
        let elsewhere = self.elsewhere(key);
        self.gates.get(key).is_some_and(|gate| gate.withheld < elsewhere.min(gate.limit))
    }

    /// Withholds as many permits as there are sessions elsewhere. Where fewer are free, each session here that ends
    /// gives its own.
    fn withhold(&mut self, key: &Key) {
        let elsewhere = self.elsewhere(key);
        let Some(gate) = self.gates.get_mut(key) else { return };
        let wanted = elsewhere.min(gate.limit);
        match wanted.checked_sub(gate.withheld) {
            Some(more) => gate.withheld += gate.permits.forget_permits(more),
            None => {
                gate.permits.add_permits(gate.withheld - wanted);
                gate.withheld = wanted;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Id;

    const DOOR: Door = Door::Imap;

    fn alice() -> Account {
        Account {
            id: Id("1".to_owned()),
            name: "alice@example.com".to_owned(),
            aliases: Vec::new(),
            grant: None,
            last_login_at: None,
            last_login_from: None,
            troubles: std::collections::BTreeMap::new(),
            disabled: false,
            sign_in_as: None,
            refusal: None,
        }
    }

    async fn enter(gates: &Gates) -> Option<UpstreamPermit> {
        gates.enter(&alice(), DOOR, Some(2), Some(Duration::ZERO)).await
    }

    #[tokio::test]
    async fn sessions_of_two_earlier_processes_count_until_they_end() {
        let gates = Gates::default();
        gates.held_elsewhere("first", "Alice@example.com", DOOR, 1);
        let ours = enter(&gates).await;
        assert!(ours.is_some() && enter(&gates).await.is_none());
        gates.held_elsewhere("second", "alice@example.com", DOOR, 1);
        drop(ours);
        assert!(enter(&gates).await.is_none(), "both are held elsewhere");
        gates.held_elsewhere("second", "alice@example.com", DOOR, 0);
        assert!(enter(&gates).await.is_some());
        gates.ended_elsewhere("first");
        let (one, two) = (enter(&gates).await, enter(&gates).await);
        assert!(one.is_some() && two.is_some() && enter(&gates).await.is_none());
    }

    #[tokio::test]
    async fn a_permit_that_is_owed_to_another_process_goes_to_no_login_that_waits() {
        let gates = Gates::default();
        let (one, two) = (enter(&gates).await, enter(&gates).await);
        assert!(one.is_some() && two.is_some());
        let account = alice();
        let waiting = gates.enter(&account, DOOR, Some(2), None);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        gates.held_elsewhere("first", "alice@example.com", DOOR, 1);
        drop(one);
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err(), "it is held elsewhere");
        drop(two);
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn a_login_that_waits_goes_on_when_a_session_elsewhere_ends() {
        let gates = Gates::default();
        gates.held_elsewhere("first", "alice@example.com", DOOR, 7);
        let account = alice();
        let waiting = gates.enter(&account, DOOR, Some(2), None);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        gates.held_elsewhere("first", "alice@example.com", DOOR, 1);
        assert!(waiting.await.is_some());
    }
}
