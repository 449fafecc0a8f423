//! The sessions of this process, by the app password that opened them.
//!
//! The invariant: a session learns within two seconds that its password, its account or its grant is revoked,
//! by this process or another.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::mutex::lock;
use crate::store::{Folded, Id};

/// All sessions, including those that are still signing in.
#[derive(Default)]
pub struct Sessions {
    by_password: Arc<Mutex<HashMap<Id, Opened>>>,
    /// Whether a session began since the last look: its password may have been revoked since the login read
    /// it.
    entered: AtomicBool,
}

/// The sessions of one app password.
struct Opened {
    grant: Option<Id>,
    /// For a device's sessions: the login name of its account.
    device: Option<Folded>,
    count: usize,
    in_force: watch::Sender<bool>,
}

/// Counts one session for its app password until dropped.
pub struct SessionGuard {
    by_password: Arc<Mutex<HashMap<Id, Opened>>>,
    password: Id,
    in_force: watch::Receiver<bool>,
}

impl Sessions {
    /// A session that the app password `password` has opened. The session of a `device`, which sends as the account with
    /// that login name, is listed under the account's id, which no password has.
    pub(super) fn enter(&self, password: &Id, grant: Option<&Id>, device: Option<&Folded>) -> SessionGuard {
        let mut by_password = lock(&self.by_password);
        let opened = by_password.entry(password.clone()).or_insert_with(|| Opened {
            grant: None,
            device: None,
            count: 0,
            in_force: watch::Sender::new(true),
        });
        opened.grant = grant.cloned();
        opened.device = device.cloned();
        opened.count += 1;
        let in_force = opened.in_force.subscribe();
        drop(by_password);
        self.entered.store(true, Ordering::Release);
        SessionGuard { by_password: self.by_password.clone(), password: password.clone(), in_force }
    }

    /// The grants that open sessions use.
    pub fn grants(&self) -> HashSet<Id> {
        lock(&self.by_password).values().filter_map(|opened| opened.grant.clone()).collect()
    }

    /// The accounts that devices have sessions of: their ids, and the names that they are known by there.
    pub(super) fn devices(&self) -> Vec<(Id, Folded)> {
        let by_password = lock(&self.by_password);
        let devices =
            by_password.iter().filter_map(|(id, opened)| Some((id.clone(), opened.device.clone()?)));
        devices.collect()
    }

    /// The ids of the passwords, and of the devices' accounts, that have open sessions.
    pub(super) fn opened(&self) -> HashSet<Id> {
        lock(&self.by_password).keys().cloned().collect()
    }

    pub(super) fn has_new(&self) -> bool {
        self.entered.swap(false, Ordering::AcqRel)
    }

    /// Ends all sessions of those passwords of `looked_at` that are not `in_force`; returns the number of those
    /// passwords. A session that entered after the look began is judged by the next look, because this one read the
    /// store too early for it.
    pub(super) fn end_others(&self, looked_at: &HashSet<Id>, in_force: &HashSet<Id>) -> usize {
        let mut by_password = lock(&self.by_password);
        let mut ended = 0;
        for password in looked_at.difference(in_force) {
            if let Some(opened) = by_password.remove(password) {
                opened.in_force.send_replace(false);
                ended += 1;
            }
        }
        ended
    }
}

impl SessionGuard {
    /// Resolves when the session's password, account or grant is revoked.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut in_force = self.in_force.clone();
        async move {
            // An error means that the entry, and with it the sender, was removed.
            let _ = in_force.wait_for(|in_force| !*in_force).await;
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut by_password = lock(&self.by_password);
        // The entry of a revoked password was removed already, or belongs to newer sessions.
        if !*self.in_force.borrow() {
            return;
        }
        if let Some(opened) = by_password.get_mut(&self.password) {
            opened.count -= 1;
            if opened.count == 0 {
                by_password.remove(&self.password);
            }
        }
    }
}

impl fmt::Debug for SessionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session's guard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_end_with_what_let_them_in() {
        let sessions = Sessions::default();
        let (kept, gone, grant) = (Id("kept".into()), Id("gone".into()), Id("grant".into()));
        let stays = sessions.enter(&kept, Some(&grant), None);
        let ends = sessions.enter(&gone, Some(&grant), None);
        let leaves = sessions.enter(&kept, None, None);
        assert!(sessions.has_new() && !sessions.has_new());
        drop(leaves);
        assert_eq!(sessions.end_others(&sessions.opened(), &HashSet::from([kept])), 1);
        ends.revoked().await;
        let still = tokio::time::timeout(std::time::Duration::from_millis(20), stays.revoked()).await;
        assert!(still.is_err());
        drop((stays, ends));
        assert!(sessions.grants().is_empty());
    }

    #[tokio::test]
    async fn a_session_that_begins_during_a_look_is_not_ended_by_it() {
        let sessions = Sessions::default();
        let (earlier, later) = (Id("earlier".into()), Id("later".into()));
        let ends = sessions.enter(&earlier, None, None);
        assert!(sessions.has_new());
        let looked_at = sessions.opened();
        let stays = sessions.enter(&later, None, Some(&crate::store::fold("scan@example.com")));
        assert_eq!(sessions.end_others(&looked_at, &HashSet::new()), 1);
        ends.revoked().await;
        let still = tokio::time::timeout(std::time::Duration::from_millis(20), stays.revoked()).await;
        assert!(still.is_err());
        assert!(sessions.has_new(), "the next look judges it");
    }
}
