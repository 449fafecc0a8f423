//! Bounds what made-up tokens cost the database: tokens of sign-in links, sessions, entrances, consents and answers that
//! do not exist.
//!
//! A token with a mark of this installation ([`crate::secret::marks`]) is always looked up, but not again after it was
//! missing once. A token without a mark was made up, or made before there were marks; such tokens are looked up until too
//! many were missing. That count falls with time. So a program that tries tokens does not take the database's connections
//! from logins, and stops no person. Sign-ins by a link that fail to begin are counted as well, because each asks a provider.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::mutex::lock;

/// How many misses get their own answer at once; after that, one in each interval does.
const BURST: u64 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Misses {
    began: Instant,
    /// When the count is back at zero, in milliseconds since `began`.
    empty_at: AtomicU64,
}

impl Default for Misses {
    fn default() -> Self {
        Self { began: Instant::now(), empty_at: AtomicU64::new(0) }
    }
}

impl Misses {
    /// Counts a miss; returns whether there were too many.
    pub(crate) fn count(&self) -> bool {
        self.count_at(self.began.elapsed())
    }

    /// Whether the next miss is one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full_at(self.began.elapsed())
    }

    fn is_full_at(&self, now: Duration) -> bool {
        after_a_miss(self.empty_at.load(Ordering::Relaxed), now).is_none()
    }

    fn count_at(&self, now: Duration) -> bool {
        let after = |empty_at| after_a_miss(empty_at, now);
        self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_err()
    }
}

/// When the count is back at zero after one more miss at `now`, in milliseconds; `None` if that miss is one too many.
fn after_a_miss(empty_at: u64, now: Duration) -> Option<u64> {
    let interval = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let empty_at = empty_at.max(now);
    (empty_at - now < BURST * interval).then(|| empty_at.saturating_add(interval))
}

/// The number of remembered keys; there are never as many sessions, entrances or consents at one time.
const REMEMBERED: usize = 512;

/// Decides whether the store is asked for a token.
#[derive(Default)]
pub(crate) struct Lookups {
    misses: Misses,
    /// The keys of the last marked tokens that were not there, which are hashes. They do not come back.
    gone: Mutex<VecDeque<String>>,
}

/// The answer of [`Lookups::judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Ask the store, and call [`Lookups::missed`] if the token is not there.
    Look,
    Gone,
    /// Too many without a mark were not there; whether this one is there is not known.
    TooMany,
}

impl Lookups {
    /// Whether the store is asked for `key`, of a token that has a mark or not.
    pub(crate) fn judge(&self, key: &str, is_marked: bool) -> Judged {
        match is_marked {
            true if self.keys().iter().any(|other| other == key) => Judged::Gone,
            false if self.misses.is_full() => Judged::TooMany,
            _ => Judged::Look,
        }
    }

    /// `key` was not there.
    pub(crate) fn missed(&self, key: &str, is_marked: bool) {
        if !is_marked {
            self.misses.count();
            return;
        }
        let mut keys = self.keys();
        if keys.len() >= REMEMBERED {
            keys.pop_front();
        }
        keys.push_back(key.to_owned());
    }

    fn keys(&self) -> MutexGuard<'_, VecDeque<String>> {
        lock(&self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_links_are_counted_and_forgotten_with_time() {
        let misses = Misses::default();
        let now = Duration::from_secs(5);
        assert!((0..BURST).all(|_| !misses.count_at(now)));
        assert!(misses.is_full_at(now) && misses.count_at(now));
        let in_the_same_millisecond = now + Duration::from_micros(900);
        assert!(misses.is_full_at(in_the_same_millisecond) && misses.count_at(in_the_same_millisecond));
        assert!(!misses.is_full_at(now + INTERVAL));
        assert!(!misses.count_at(now + INTERVAL));
        assert!(misses.count_at(now + INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_marked_key_is_looked_up_once_although_many_others_are_not_there() {
        let lookups = Lookups::default();
        for _ in 0..BURST {
            assert_eq!(lookups.judge("made up", false), Judged::Look);
            lookups.missed("made up", false);
        }
        assert_eq!(lookups.judge("made up", false), Judged::TooMany);
        assert_eq!(lookups.judge("session", true), Judged::Look);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(lookups.judge("made up", false), Judged::Look);
        lookups.missed("session", true);
        assert_eq!(lookups.judge("session", true), Judged::Gone);
        (0..REMEMBERED).for_each(|number| lookups.missed(&number.to_string(), true));
        assert_eq!(lookups.keys().len(), REMEMBERED, "only so many are remembered");
    }
}
