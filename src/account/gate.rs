//! Limits the sessions that one account holds at its provider.
//!
//! Providers refuse one session too many, some of them in a way that makes mail programs ask for a new password. The
//! proxy therefore stays below the limit itself. A login that finds no free session waits a moment, and is then refused
//! with that reason. Sessions of other processes (the previous process after an upgrade, other instances on the same
//! store) count as well: this process withholds one permit for each of them. A process that has died holds none. A
//! login does not wait for the other instances, so two instances may use the last free session at the same moment. A
//! count is *untold* until it has been sent to the other instances.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::mutex::lock;
use crate::protocol::Door;
use crate::store::{Account, Folded, fold};

/// The mailboxes of a domain account are counted each by itself.
type Key = (Folded, Door);

/// The sessions of all accounts.
#[derive(Default)]
pub struct Gates(Arc<Shared>);

#[derive(Default)]
struct Shared {
    counted: Mutex<Counted>,
    /// Notified when a count is untold.
    untold: Notify,
}

#[derive(Default)]
struct Counted {
    gates: HashMap<Key, Gate>,
    /// The sessions of other processes, by process.
    elsewhere: HashMap<String, HashMap<Key, usize>>,
    /// The untold counts; `None` while there are no other instances.
    untold: Option<Untold>,
}

struct Untold {
    keys: HashSet<Key>,
    /// The other instances need all counts: they know none yet, or may have missed a change.
    is_whole: bool,
}

/// The connections of a mailbox that this process holds, for other instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldHere {
    /// The mailbox's name, folded.
    pub account: String,
    /// The door.
    pub door: Door,
    /// Their number, those included that are signing in.
    pub sessions: usize,
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
    shared: Arc<Shared>,
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
        let permits = lock(&self.0.counted).gate(&key, limit);
        let permit = match patience {
            Some(patience) => tokio::time::timeout(patience, permits.acquire_owned()).await.ok()?,
            None => permits.acquire_owned().await,
        };
        let permit = Some(permit.ok()?);
        self.0.note(&mut lock(&self.0.counted), &key);
        Some(UpstreamPermit(Some(Held { permit, key, shared: self.0.clone() })))
    }

    /// Sets the number of sessions that `process` holds of the account with the login name `account`.
    pub fn held_elsewhere(&self, process: &str, account: &str, door: Door, sessions: usize) {
        let key = (fold(account), door);
        let mut counted = lock(&self.0.counted);
        let held = counted.elsewhere.entry(process.to_owned()).or_default();
        match sessions {
            0 => drop(held.remove(&key)),
            _ => drop(held.insert(key.clone(), sessions)),
        }
        counted.withhold(&key);
    }

    /// `process` has ended, and holds nothing.
    pub fn ended_elsewhere(&self, process: &str) {
        let mut counted = lock(&self.0.counted);
        let held = counted.elsewhere.remove(process).unwrap_or_default();
        held.keys().for_each(|key| counted.withhold(key));
    }

    /// `process` holds the sessions `held` and no others.
    pub fn replace_elsewhere(&self, process: &str, held: Vec<HeldHere>) {
        let held: HashMap<Key, usize> =
            held.into_iter().map(|held| ((fold(&held.account), held.door), held.sessions)).collect();
        let mut counted = lock(&self.0.counted);
        let before = counted.elsewhere.insert(process.to_owned(), held.clone()).unwrap_or_default();
        before.keys().chain(held.keys()).for_each(|key| counted.withhold(key));
    }

    /// Whether there are other instances, which have to know what this one holds. When instances appear after a
    /// `false`, all counts are untold.
    pub fn share(&self, is_shared: bool) {
        let mut counted = lock(&self.0.counted);
        match (is_shared, counted.untold.is_some()) {
            (true, false) => {
                let keys = counted.gates.keys().cloned().collect();
                counted.untold = Some(Untold { keys, is_whole: true });
                self.0.untold.notify_one();
            }
            (false, true) => counted.untold = None,
            _ => {}
        }
    }

    /// Waits until a count is untold.
    pub async fn untold(&self) {
        self.0.untold.notified().await;
    }

    /// Takes the untold counts; true if these are all counts of this process, which replace what the others know of it.
    pub fn take_untold(&self) -> (Vec<HeldHere>, bool) {
        let mut counted = lock(&self.0.counted);
        let Counted { gates, untold: Some(untold), .. } = &mut *counted else { return (Vec::new(), false) };
        let held = |key: Key| {
            let sessions = gates.get(&key).map_or(0, Gate::held);
            HeldHere { account: key.0.as_str().to_owned(), door: key.1, sessions }
        };
        let held = untold.keys.drain().map(held).collect();
        (held, std::mem::take(&mut untold.is_whole))
    }

    /// Sending failed: all counts are untold again.
    pub fn tell_again(&self) {
        self.share(false);
        self.share(true);
    }
}

impl Shared {
    /// The number of connections at `key` has changed.
    fn note(&self, counted: &mut Counted, key: &Key) {
        if let Some(untold) = &mut counted.untold {
            untold.keys.insert(key.clone());
            self.untold.notify_one();
        }
    }
}

impl Gate {
    /// The connections that this process holds.
    fn held(&self) -> usize {
        self.limit.saturating_sub(self.permits.available_permits()).saturating_sub(self.withheld)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counted = lock(&self.shared.counted);
        if counted.is_owed(&self.key) {
            // The permit must not become free first: a waiting login would get it.
            if let (Some(permit), Some(gate)) = (self.permit.take(), counted.gates.get_mut(&self.key)) {
                permit.forget();
                gate.withheld += 1;
            }
        }
        // Dropped before the change is noted, so that the count is right when it is read.
        drop(self.permit.take());
        self.shared.note(&mut counted, &self.key);
    }
}

impl fmt::Debug for UpstreamPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the right to one connection to the provider")
    }
}

impl Counted {
    fn gate(&mut self, key: &Key, limit: usize) -> Arc<Semaphore> {
        // Removes unused gates: clients can ask for any number of mailbox names.
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

    /// Withholds as many permits as there are sessions elsewhere. Where too few are free, the permits of sessions that
    /// end here are withheld next.
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

    fn untold(gates: &Gates) -> (Vec<usize>, bool) {
        let (held, is_whole) = gates.take_untold();
        assert!(held.iter().all(|held| held.account == "alice@example.com" && held.door == DOOR));
        (held.into_iter().map(|held| held.sessions).collect(), is_whole)
    }

    #[tokio::test]
    async fn other_instances_are_told_what_has_changed_and_nothing_while_there_are_none() {
        let gates = Gates::default();
        let one = enter(&gates).await;
        assert_eq!(untold(&gates), (vec![], false));
        gates.share(true);
        gates.untold().await;
        assert_eq!(untold(&gates), (vec![1], true));
        assert_eq!(untold(&gates), (vec![], false));
        gates.held_elsewhere("other", "alice@example.com", DOOR, 1);
        assert!(enter(&gates).await.is_none());
        assert_eq!(untold(&gates), (vec![], false), "what is withheld is not held");
        gates.replace_elsewhere("other", vec![]);
        let two = enter(&gates).await;
        assert!(two.is_some());
        drop(one);
        assert_eq!(untold(&gates), (vec![1], false));
        drop(two);
        gates.tell_again();
        assert_eq!(untold(&gates), (vec![0], true));
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
