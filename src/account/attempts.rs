//! Failed logins, by address and name.
//!
//! A pair of address and name that failed a few times in a row waits, longer each time. Others are
//! not touched: the owner gets in from elsewhere, and with a remembered or generated password even
//! from the same address, because verifying one costs next to nothing. An attempt is charged before it is
//! looked at, so that a crowd that comes at once is not let through at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A person mistypes a few times; a mail program with an old password tries a few times at once.
const FREE_FAILURES: u32 = 8;
/// Doubling from a second to this: five minutes between two guesses is no attack any more.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Guesses that a pair may try against a remembered password while it waits. A mail program never comes
/// there; whoever does is guessing, and is then only listened to when its turn comes.
const MANY_FAILURES: u32 = 10_000;
/// After this long without a failure the pair is forgotten.
const MEMORY: Duration = Duration::from_secs(900);
/// Pairs kept at once; about a megabyte. Beyond it the oldest go first.
const PAIRS: usize = 10_000;

/// The address that an attempt is charged to. Whoever has one IPv6 address has the 2^64 of its network
/// (RFC 6177), and an IPv4 client that came in over an IPv6 socket is an IPv4 client.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)))
        }
        other => other,
    }
}

/// How a pair stands before its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may try.
    Free,
    /// It has to wait this long; what costs nothing to verify is verified.
    Waits(Duration),
    /// The same, after so many failures that not even a remembered password is compared.
    Guesses(Duration),
}

#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<(IpAddr, String), Failures>>);

struct Failures {
    count: u32,
    last: Instant,
    /// Attempts that came while the pair had to wait.
    early: u32,
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
    /// Charges an attempt as failed and says how the pair stood before. [`Attempts::succeeded`] forgives.
    pub(super) fn charge(&self, from: IpAddr, name: &str) -> Standing {
        let mut pairs = self.pairs();
        if pairs.len() >= PAIRS {
            make_room(&mut pairs);
        }
        let now = Instant::now();
        let pair = (neighbourhood(from), name.to_owned());
        let failures = pairs.entry(pair).or_insert(Failures { count: 0, last: now, early: 0 });
        if failures.last.elapsed() > MEMORY {
            *failures = Failures { count: 0, last: now, early: 0 };
        }
        let wait = failures.wait().saturating_sub(failures.last.elapsed());
        let standing = match failures.early {
            _ if wait.is_zero() => Standing::Free,
            early if early < MANY_FAILURES => Standing::Waits(wait),
            _ => Standing::Guesses(wait),
        };
        match standing {
            Standing::Free => {
                failures.count = failures.count.saturating_add(1);
                failures.last = now;
            }
            // It makes the wait no longer, or a mail program that comes each second would never get in.
            Standing::Waits(_) | Standing::Guesses(_) => failures.early = failures.early.saturating_add(1),
        }
        standing
    }

    pub(super) fn succeeded(&self, from: IpAddr, name: &str) {
        self.pairs().remove(&(neighbourhood(from), name.to_owned()));
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
    const ELSEWHERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn waits(standing: Standing) -> bool {
        matches!(standing, Standing::Waits(_))
    }

    #[test]
    fn only_the_pair_that_keeps_failing_waits() {
        let attempts = Attempts::default();
        for _ in 0..FREE_FAILURES {
            assert_eq!(attempts.charge(HERE, "alice"), Standing::Free);
        }
        assert!(waits(attempts.charge(HERE, "alice")));
        assert_eq!(attempts.charge(ELSEWHERE, "alice"), Standing::Free);
        assert_eq!(attempts.charge(HERE, "bob"), Standing::Free);
        attempts.succeeded(HERE, "alice");
        assert_eq!(attempts.charge(HERE, "alice"), Standing::Free);
    }

    #[test]
    fn a_flood_against_one_account_loses_even_the_cheap_comparison() {
        let attempts = Attempts::default();
        for _ in 0..FREE_FAILURES + MANY_FAILURES {
            assert!(!matches!(attempts.charge(HERE, "alice"), Standing::Guesses(_)));
        }
        assert!(matches!(attempts.charge(HERE, "alice"), Standing::Guesses(_)));
        assert_eq!(attempts.charge(ELSEWHERE, "alice"), Standing::Free);
    }

    #[test]
    fn an_ipv6_network_is_one_neighbour_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::1"), "::1");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let attempts = Attempts::default();
        for name in 0..3 * PAIRS {
            attempts.charge(HERE, &name.to_string());
        }
        assert!(attempts.pairs().len() <= PAIRS);
    }
}
