//! The sessions of this process, by the app password that opened them.
//!
//! The invariant: a session does not outlive what let it in. When its password, its account or its
//! grant is gone from the store, whoever removed it, the session learns of it within two seconds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::store::Id;

/// All sessions, those that are still signing in included.
#[derive(Default)]
pub struct Sessions {
    doors: Arc<Mutex<HashMap<Id, Door>>>,
    /// Whether somebody entered since the last look: what let them in may be gone since it was read.
    entered: AtomicBool,
}

/// What one app password opens.
struct Door {
    grant: Option<Id>,
    inside: usize,
    open: watch::Sender<bool>,
}

/// One session's place; dropping it leaves.
pub struct Place {
    doors: Arc<Mutex<HashMap<Id, Door>>>,
    password: Id,
    open: watch::Receiver<bool>,
}

impl Sessions {
    pub(super) fn enter(&self, password: &Id, grant: Option<&Id>) -> Place {
        let mut doors = lock(&self.doors);
        let door = doors.entry(password.clone()).or_insert_with(|| Door {
            grant: None,
            inside: 0,
            open: watch::Sender::new(true),
        });
        door.grant = grant.cloned();
        door.inside += 1;
        let open = door.open.subscribe();
        drop(doors);
        self.entered.store(true, Ordering::Release);
        Place { doors: self.doors.clone(), password: password.clone(), open }
    }

    /// The grants that sessions are using.
    pub fn grants(&self) -> HashSet<Id> {
        lock(&self.doors).values().filter_map(|door| door.grant.clone()).collect()
    }

    pub(super) fn has_new(&self) -> bool {
        self.entered.swap(false, Ordering::AcqRel)
    }

    /// Tells all sessions to end whose password is not `in_force`; how many passwords those are.
    pub(super) fn keep_only(&self, in_force: &HashSet<Id>) -> usize {
        let mut doors = lock(&self.doors);
        let closed: Vec<Id> = doors.keys().filter(|password| !in_force.contains(password)).cloned().collect();
        for password in &closed {
            if let Some(door) = doors.remove(password) {
                let _ = door.open.send(false);
            }
        }
        closed.len()
    }
}

impl Place {
    /// Ends when what let the session in is gone.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut open = self.open.clone();
        async move {
            // The sender is gone with the door.
            let _ = open.wait_for(|open| !*open).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut doors = lock(&self.doors);
        // A door that was closed is not there any more, or is a new one for others.
        if !*self.open.borrow() {
            return;
        }
        if let Some(door) = doors.get_mut(&self.password) {
            door.inside -= 1;
            if door.inside == 0 {
                doors.remove(&self.password);
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session's place")
    }
}

fn lock(doors: &Mutex<HashMap<Id, Door>>) -> MutexGuard<'_, HashMap<Id, Door>> {
    doors.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_end_with_what_let_them_in() {
        let sessions = Sessions::default();
        let (kept, gone, grant) = (Id("kept".into()), Id("gone".into()), Id("grant".into()));
        let stays = sessions.enter(&kept, Some(&grant));
        let ends = sessions.enter(&gone, Some(&grant));
        let leaves = sessions.enter(&kept, None);
        assert!(sessions.has_new() && !sessions.has_new());
        drop(leaves);
        assert_eq!(sessions.keep_only(&HashSet::from([kept])), 1);
        ends.revoked().await;
        let still = tokio::time::timeout(std::time::Duration::from_millis(20), stays.revoked()).await;
        assert!(still.is_err());
        drop((stays, ends));
        assert!(sessions.grants().is_empty());
    }
}
