//! Counts misses: look-ups of sign-in links, sessions, entrances and consents that do not exist, and sign-ins by a link
//! that fail to begin. Each miss costs the database or a provider a request.
//!
//! Each kind has a count of its own, which falls with time. After a burst of misses the answer is to wait. That stops a
//! program that tries links, or that makes the proxy ask a provider again and again. It costs a person nothing: a known
//! link that begins a sign-in is not counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many misses get their own answer at once; after that, one in each interval does.
const BURST: u64 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

/// The count of misses.
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

/// Decides whether the store is asked for a token: always for a token that was found lately, and for others until there
/// were too many misses. So a program that tries tokens does not take the database's connections from logins, and
/// people with a session keep it.
#[derive(Default)]
pub(crate) struct Lookups {
    misses: Misses,
    /// The keys that were found last, which are hashes of tokens.
    found: Mutex<VecDeque<String>>,
}

impl Lookups {
    /// Whether the store may be asked for `key`.
    pub(crate) fn may(&self, key: &str) -> bool {
        !self.misses.is_full() || self.keys().iter().any(|other| other == key)
    }

    /// `key` was found in the store.
    pub(crate) fn found(&self, key: &str) {
        let mut keys = self.keys();
        if keys.iter().any(|other| other == key) {
            return;
        }
        if keys.len() >= REMEMBERED {
            keys.pop_front();
        }
        keys.push_back(key.to_owned());
    }

    /// A key was not in the store.
    pub(crate) fn missed(&self) {
        self.misses.count();
    }

    fn keys(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn a_key_that_was_found_is_looked_up_although_many_others_are_not_there() {
        let lookups = Lookups::default();
        lookups.found("session");
        assert!(lookups.may("session") && lookups.may("another"));
        for _ in 0..BURST {
            assert!(lookups.may("another"));
            lookups.missed();
        }
        assert!(!lookups.may("another") && lookups.may("session"));
        tokio::time::advance(INTERVAL).await;
        assert!(lookups.may("another"));
        (0..REMEMBERED).for_each(|number| lookups.found(&number.to_string()));
        assert!(!lookups.keys().iter().any(|key| key == "session"), "only so many are remembered");
    }
}
