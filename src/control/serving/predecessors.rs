//! The sessions of an older process, for the gates of a newer one.
//!
//! After an upgrade the old process keeps its sessions, and the provider counts them. So a new process asks every
//! process on the state directory for its sessions of each account, before it reports that it is ready, and then
//! receives each change until the other process ends. Nothing is stored: the counts disappear with the connection
//! between the two, also if the other process is killed. A third process asks both directly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::running::Running;
use crate::connection::Live;
use crate::protocol::Door;

/// How long changes are collected before they are sent: with thousands of sessions, each message costs a pass over all
/// of them.
const GATHER: Duration = Duration::from_millis(100);

/// The number of sessions of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its name, folded.
    pub(crate) account: String,
    pub(crate) door: Door,
    pub(crate) sessions: usize,
}

/// The sessions of this process, reported to a newer one.
pub(crate) struct Holding {
    live: Arc<Live>,
    changes: watch::Receiver<()>,
    /// `None` before the first report.
    told: Option<BTreeMap<(String, Door), usize>>,
}

impl Holding {
    /// At the first call all sessions; after that the changes, as they occur.
    pub(crate) async fn next(&mut self) -> Vec<Held> {
        loop {
            if self.told.is_some() {
                // The sender lives as long as `live`.
                let _ = self.changes.changed().await;
                tokio::time::sleep(GATHER).await;
            }
            self.changes.mark_unchanged();
            let now = self.live.by_account();
            let before = self.told.replace(now.clone());
            let is_first = before.is_none();
            let changed = changed(&before.unwrap_or_default(), &now);
            if is_first || !changed.is_empty() {
                return changed;
            }
        }
    }
}

fn changed(before: &BTreeMap<(String, Door), usize>, now: &BTreeMap<(String, Door), usize>) -> Vec<Held> {
    let held =
        |(account, door): &(String, Door), sessions| Held { account: account.clone(), door: *door, sessions };
    let other = now.iter().filter(|(key, count)| before.get(*key) != Some(*count));
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    other.map(|(key, count)| held(key, *count)).chain(gone.map(|key| held(key, 0))).collect()
}

impl Running {
    pub(crate) fn holding(&self) -> Holding {
        let live = self.kept.live.clone();
        Holding { changes: live.changes(), live, told: None }
    }

    /// Counts the sessions of `process` together with those of this one.
    pub(crate) fn held_elsewhere(&self, process: &str, held: &Held) {
        self.kept.gates.held_elsewhere(process, &held.account, held.door, held.sessions);
    }

    /// Stops counting the sessions of `process`.
    pub(crate) fn ended_elsewhere(&self, process: &str) {
        self.kept.gates.ended_elsewhere(process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_told() {
        let counts = |counts: &[(&str, usize)]| {
            counts.iter().map(|(name, count)| (((*name).to_owned(), Door::Imap), *count)).collect()
        };
        let told =
            changed(&counts(&[("a", 1), ("b", 2), ("c", 3)]), &counts(&[("a", 1), ("b", 1), ("d", 1)]));
        let told: Vec<_> = told.iter().map(|held| (held.account.as_str(), held.sessions)).collect();
        assert_eq!(told, [("b", 1), ("d", 1), ("c", 0)]);
    }
}
