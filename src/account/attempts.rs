//! Failed logins, by address and name.
//!
//! A pair of address and name that failed a few times in a row waits, longer each time. Others are
//! not touched: the owner gets in from elsewhere, and with a remembered or generated password even
//! from the same address, because verifying one costs next to nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A person mistypes a few times; a mail program with an old password tries a few times at once.
const FREE_FAILURES: u32 = 8;
/// Doubling from a second to this: five minutes between two guesses is no attack any more.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After this long without a failure the pair is forgotten.
const MEMORY: Duration = Duration::from_secs(900);
/// Pairs kept at once; about a megabyte. Beyond it the oldest go first.
const PAIRS: usize = 10_000;

#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<(IpAddr, String), Failures>>);

struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(&self) -> Duration {
        match self.count.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(excess) => Duration::from_secs(1u64 << excess.min(16)).min(LONGEST_WAIT),
        }
    }
}

impl Attempts {
    /// How long this pair has to wait yet.
    pub(super) fn wait(&self, from: IpAddr, name: &str) -> Option<Duration> {
        let pairs = self.pairs();
        let failures = pairs.get(&(from, name.to_owned()))?;
        failures.wait().checked_sub(failures.last.elapsed()).filter(|wait| !wait.is_zero())
    }

    pub(super) fn failed(&self, from: IpAddr, name: &str) {
        let mut pairs = self.pairs();
        if pairs.len() >= PAIRS {
            make_room(&mut pairs);
        }
        let now = Instant::now();
        let failures = pairs.entry((from, name.to_owned())).or_insert(Failures { count: 0, last: now });
        if failures.last.elapsed() > MEMORY {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    pub(super) fn succeeded(&self, from: IpAddr, name: &str) {
        self.pairs().remove(&(from, name.to_owned()));
    }

    fn pairs(&self) -> MutexGuard<'_, HashMap<(IpAddr, String), Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(pairs: &mut HashMap<(IpAddr, String), Failures>) {
    pairs.retain(|_, failures| failures.last.elapsed() < MEMORY);
    if pairs.len() < PAIRS {
        return;
    }
    let mut ages: Vec<_> = pairs.values().map(|failures| failures.last).collect();
    let (_, median, _) = ages.select_nth_unstable(PAIRS / 2);
    let median = *median;
    pairs.retain(|_, failures| failures.last > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn only_the_pair_that_keeps_failing_waits() {
        let attempts = Attempts::default();
        for _ in 0..FREE_FAILURES {
            assert_eq!(attempts.wait(HERE, "alice"), None);
            attempts.failed(HERE, "alice");
        }
        assert!(attempts.wait(HERE, "alice").is_some());
        assert_eq!(attempts.wait(ELSEWHERE, "alice"), None);
        assert_eq!(attempts.wait(HERE, "bob"), None);
        attempts.succeeded(HERE, "alice");
        assert_eq!(attempts.wait(HERE, "alice"), None);
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let attempts = Attempts::default();
        for name in 0..3 * PAIRS {
            attempts.failed(HERE, &name.to_string());
        }
        assert!(attempts.pairs().len() <= PAIRS);
    }
}
