//! The charges of failed logins that other instances on the store do not know yet.
//!
//! A charge is *untold* until this process has written it to the store; to write it is to *tell* it. Each instance
//! throttles by the charges that it knows, and tells its new ones once a second. The store adds charges up, so none is
//! lost when several instances charge at once. The next free charge of a bucket belongs to the attempts that wait for
//! it ([`super::draw`]): a draw therefore charges its bucket in advance when it begins, so that no other instance uses
//! the same charge, and takes the charge back if the draw ends without a winner.

use std::collections::{HashMap, HashSet};

use super::origin::AttemptKey;
use super::sketch::{Buckets, Ticks, duration, ticks};
use crate::store::Owed;

/// The most buckets with untold charges, while the store is away; charges to further buckets count in this process
/// alone.
const MOST: usize = 50_000;

/// The kinds of buckets that instances share. The store holds the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tier {
    Pair = 1,
    Neighbour = 2,
    Network = 3,
    Forgiven = 4,
}

impl Tier {
    pub(super) fn numbered(number: i16) -> Option<Self> {
        [Self::Pair, Self::Neighbour, Self::Network, Self::Forgiven]
            .into_iter()
            .find(|tier| *tier as i16 == number)
    }

    /// The kind of `bucket`, which is one of `key`'s.
    pub(super) fn of(bucket: u64, key: &AttemptKey) -> Self {
        match bucket {
            _ if bucket == key.pair => Self::Pair,
            _ if bucket == key.neighbour => Self::Neighbour,
            _ => Self::Network,
        }
    }
}

/// Charges to tell, by bucket.
#[derive(Default)]
pub(super) struct Untold {
    charges: HashMap<(Tier, u64), i64>,
    /// The buckets that a draw here has charged in advance.
    reserved: HashSet<u64>,
}

impl Untold {
    /// Counts charges; those below zero take back.
    pub(super) fn add(&mut self, tier: Tier, bucket: u64, charges: i64) {
        let is_full = self.charges.len() >= MOST;
        let key = (tier, bucket);
        match self.charges.get_mut(&key) {
            Some(sum) => {
                *sum += charges;
                if *sum == 0 {
                    self.charges.remove(&key);
                }
            }
            None if is_full => {}
            None => drop(self.charges.insert(key, charges)),
        }
    }

    pub(super) fn charge(&mut self, key: &AttemptKey, charges: i64) {
        self.add(Tier::Pair, key.pair, charges);
        self.add(Tier::Neighbour, key.neighbour, charges);
        if let Some(network) = key.network {
            self.add(Tier::Network, network, charges);
        }
    }

    /// A draw of `bucket`, in which `key` takes part, has begun.
    pub(super) fn reserve(&mut self, bucket: u64, key: &AttemptKey) {
        if self.reserved.insert(bucket) {
            self.add(Tier::of(bucket, key), bucket, 1);
        }
    }

    /// The draw of `bucket`, in which `key` took part, has ended: takes the charge of the reservation back. A winner is
    /// charged by the caller. False if there was no reservation.
    pub(super) fn release(&mut self, bucket: u64, key: &AttemptKey) -> bool {
        let was_reserved = self.reserved.remove(&bucket);
        if was_reserved {
            self.add(Tier::of(bucket, key), bucket, -1);
        }
        was_reserved
    }

    /// Takes the untold charges.
    pub(super) fn take(&mut self, mut interval: impl FnMut(Tier) -> Ticks) -> Vec<Owed> {
        let owed = self.charges.drain().map(|((tier, bucket), charges)| Owed {
            tier: tier as i16,
            bucket: bucket.cast_signed(),
            millis: charges.saturating_mul(millis(interval(tier))),
        });
        owed.collect()
    }

    /// `owed` could not be written, so it is untold again. A bucket's charges are limited to its burst: older ones are
    /// refilled by the time of the next write.
    pub(super) fn give_back(&mut self, owed: &[Owed], mut buckets: impl FnMut(Tier) -> (Ticks, u32)) {
        for owed in owed {
            let Some(tier) = Tier::numbered(owed.tier) else { continue };
            let (interval, burst) = buckets(tier);
            let (bucket, burst) = (owed.bucket.cast_unsigned(), i64::from(burst));
            let known = self.charges.get(&(tier, bucket)).copied().unwrap_or_default();
            let charges = known.saturating_add(owed.millis / millis(interval).max(1)).clamp(-burst, burst);
            self.add(tier, bucket, charges - known);
        }
    }

    /// When a bucket is full again: by the charges in the store, plus the untold ones, less the charge that a draw here
    /// has reserved.
    pub(super) fn full_at(&self, owed: &Owed, tier: Tier, buckets: &Buckets, now: Ticks) -> Ticks {
        let bucket = owed.bucket.cast_unsigned();
        let own = self.charges.get(&(tier, bucket)).copied().unwrap_or_default();
        let own = own - i64::from(tier != Tier::Forgiven && self.reserved.contains(&bucket));
        let left = owed.millis.saturating_add(own.saturating_mul(millis(buckets.interval())));
        let left = std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0));
        now.saturating_add(ticks(left))
    }
}

fn millis(ticks: Ticks) -> i64 {
    i64::try_from(duration(ticks).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::account::attempts::{Attempts, Drawn, Standing};
    use crate::account::draw::{Candidate, Draw};
    use crate::account::origin::Hasher;
    use crate::secret::Secret;

    const FROM: &str = "192.0.2.7";

    /// Instances on one store, which tell and look once a second.
    struct Instances {
        attempts: Vec<Attempts>,
        began: Instant,
        now: Instant,
        /// When the buckets are full again, in milliseconds since the beginning.
        store: HashMap<(i16, i64), i64>,
        draws: Vec<(usize, Draw)>,
        /// The names that were verified, and the second.
        verified: Vec<(String, u64)>,
    }

    fn attempts() -> Attempts {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
        Attempts::shared(Hasher::Shared(key.into(), "machine".to_owned()))
    }

    impl Instances {
        fn new(count: usize) -> Self {
            let attempts = (0..count).map(|_| attempts()).collect();
            let now = Instant::now();
            Self { attempts, began: now, now, store: HashMap::new(), draws: Vec::new(), verified: Vec::new() }
        }

        fn millis(&self) -> i64 {
            i64::try_from((self.now - self.began).as_millis()).unwrap()
        }

        fn second(&self) -> u64 {
            (self.now - self.began).as_secs()
        }

        /// The statement of the store.
        fn tell(&mut self, owed: &[Owed]) {
            let now = self.millis();
            for owed in owed {
                let key = (owed.tier, owed.bucket);
                let full_at = self.store.get(&key).copied().unwrap_or(now);
                match owed.millis {
                    0.. => drop(self.store.insert(key, full_at.max(now) + owed.millis)),
                    taken if full_at > now => drop(self.store.insert(key, (full_at + taken).max(now))),
                    _ => {}
                }
            }
        }

        fn look(&self, attempts: &Attempts) {
            let left = |((tier, bucket), full_at): (&(i16, i64), &i64)| Owed {
                tier: *tier,
                bucket: *bucket,
                millis: full_at - self.millis(),
            };
            attempts.learn(&self.store.iter().map(left).collect::<Vec<_>>(), self.now);
        }

        /// A guess by `name`, which is its own password, at the account `owner` on an instance.
        fn come(&mut self, instance: usize, name: &str) {
            let attempts = &self.attempts[instance];
            let from = FROM.parse().unwrap();
            let key = attempts.key(from, "owner");
            match attempts.charge(&key, self.now, || Candidate::new(name, &Secret::new(name), from)) {
                Standing::Free => self.verified.push((name.to_owned(), self.second())),
                Standing::Waits(_, draw) => self.draws.extend(draw.map(|draw| (instance, draw))),
            }
        }

        /// A second passes: draws that are due are held, then all tell and look.
        fn pass(&mut self) {
            self.now += Duration::from_secs(1);
            for (instance, draw) in std::mem::take(&mut self.draws) {
                if draw.at > self.now {
                    self.draws.push((instance, draw));
                    continue;
                }
                match self.attempts[instance].draw(draw.bucket, self.now) {
                    Drawn::Winner(winner) => {
                        let (_, winner) = winner.unwrap();
                        self.verified.push((winner.name, self.second()));
                    }
                    Drawn::Waits(next) => self.draws.extend(next.map(|draw| (instance, draw))),
                }
            }
            for number in 0..self.attempts.len() {
                let owed = self.attempts[number].take_untold();
                self.tell(&owed);
            }
            self.attempts.iter().for_each(|attempts| self.look(attempts));
        }

        fn first(&self, name: &str) -> Option<u64> {
            self.verified.iter().find(|(verified, _)| verified == name).map(|(_, second)| *second)
        }
    }

    #[test]
    fn security_row_29_an_attacker_who_spreads_over_five_instances_has_one_budget() {
        let mut instances = Instances::new(5);
        for _ in 0..600 {
            (0..5).for_each(|instance| instances.come(instance, "guesser"));
            instances.pass();
        }
        // Eight at once and one each 30 s. What the first seconds allowed beyond that was paid back.
        let verified = instances.verified.len();
        assert!((24..=32).contains(&verified), "{verified} verifications");
    }

    #[test]
    fn security_row_29_a_burst_on_all_instances_at_once_is_owed() {
        let mut instances = Instances::new(5);
        for instance in 0..5 {
            (0..20).for_each(|_| instances.come(instance, "guesser"));
        }
        let at_once = instances.verified.len();
        assert_eq!(at_once, 40, "no instance knows of the others yet");
        for _ in 0..900 {
            instances.pass();
            (0..5).for_each(|instance| instances.come(instance, "guesser"));
        }
        // Each has begun a draw before it knew.
        let verified = instances.verified.len();
        assert_eq!(verified, at_once + 5, "{verified} verifications in a quarter of an hour");
    }

    #[test]
    fn security_row_30_an_owner_and_a_guesser_on_two_instances_take_turns() {
        let mut instances = Instances::new(2);
        for _ in 0..10 {
            instances.come(0, "guesser");
        }
        for _ in 0..120 {
            instances.pass();
            instances.come(0, "guesser");
            if instances.second().is_multiple_of(5) {
                instances.come(1, "owner");
            }
        }
        let second = instances.first("owner");
        assert!(second.is_some_and(|second| second <= 61), "{second:?}: {:?}", instances.verified);
        let guesses = instances.verified.iter().filter(|(name, _)| name == "guesser").count();
        assert!(guesses <= 8 + 3, "{:?}", instances.verified);
    }

    #[test]
    fn an_instance_that_starts_throttles_what_was_throttled_before() {
        let mut instances = Instances::new(1);
        (0..9).for_each(|_| instances.come(0, "guesser"));
        instances.pass();
        let started = attempts();
        instances.look(&started);
        instances.attempts.push(started);
        instances.come(1, "guesser");
        assert_eq!(instances.verified.len(), 8);
        for _ in 0..9 * 30 {
            instances.pass();
        }
        instances.come(1, "guesser");
        assert_eq!(
            instances.verified.last().unwrap().1,
            instances.second(),
            "what is refilled counts no more"
        );
    }

    #[test]
    fn a_login_that_fails_at_no_time_tells_nothing_and_a_success_is_told_only_beside_failures() {
        let attempts = attempts();
        let key = attempts.key(FROM.parse().unwrap(), "owner");
        let now = Instant::now();
        let charge = || assert!(matches!(attempts.charge(&key, now, || None), Standing::Free));
        attempts.succeeded(&key, false, now);
        assert!(attempts.take_untold().is_empty());
        charge();
        attempts.succeeded(&key, true, now);
        assert!(attempts.take_untold().is_empty(), "its own charge is back before it is told");
        charge();
        charge();
        assert_eq!(attempts.take_untold().len(), 2, "a pair and a neighbour");
        attempts.succeeded(&key, false, now + Duration::from_secs(31));
        let mut told: Vec<_> = attempts.take_untold().iter().map(|owed| (owed.tier, owed.millis)).collect();
        told.sort_unstable();
        assert_eq!(told, [(Tier::Pair as i16, -30_000), (Tier::Forgiven as i16, 30_000)]);
    }

    #[test]
    fn what_cannot_be_told_is_told_later_but_never_more_than_one_instance_allows() {
        let attempts = attempts();
        let key = attempts.key(FROM.parse().unwrap(), "owner");
        let mut now = Instant::now();
        for _ in 0..20 {
            now += Duration::from_secs(30);
            assert!(matches!(attempts.charge(&key, now, || None), Standing::Free));
            let owed = attempts.take_untold();
            attempts.tell_later(&owed);
        }
        let owed = attempts.take_untold();
        let pair = owed.iter().find(|owed| owed.tier == Tier::Pair as i16).unwrap();
        assert_eq!(pair.millis, 8 * 30_000);
        attempts.learn(&owed, now);
        assert!(matches!(attempts.charge(&key, now, || None), Standing::Waits(..)));
    }

    #[test]
    fn a_local_address_is_another_one_on_each_machine() {
        let key = || aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
        let on = |machine: &str, from: &str| {
            let key = AttemptKey::new(
                &Hasher::Shared(key().into(), machine.to_owned()),
                from.parse().unwrap(),
                "a",
            );
            (key.pair, key.neighbour, key.network)
        };
        assert_ne!(on("one", "127.0.0.1"), on("other", "127.0.0.1"));
        assert_eq!(on("one", "127.0.0.1"), on("one", "127.9.9.9"));
        assert_eq!(on("one", "2001:db8::1"), on("other", "2001:db8::2"));
    }
}
