//! Limits how fast unknown sign-in links are tried: a count that falls with time. A link that is known is not counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How many unknown links are looked up at once, and then one in each interval.
const BURST: u64 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits the search for unknown links: a count that falls with time.
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
    /// Counts an unknown link; returns whether there were too many.
    pub(super) fn count(&self) -> bool {
        self.count_at(self.began.elapsed())
    }

    fn count_at(&self, now: Duration) -> bool {
        let interval = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let after = |empty_at: u64| {
            let empty_at = empty_at.max(now);
            (empty_at - now < BURST * interval).then(|| empty_at.saturating_add(interval))
        };
        self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_err()
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
        assert!(misses.count_at(now));
        assert!(!misses.count_at(now + INTERVAL));
        assert!(misses.count_at(now + INTERVAL));
    }
}
