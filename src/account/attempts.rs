//! Failed logins: which attempts are throttled, and which throttled attempts are still verified.
//!
//! An attempt that needs a verification is charged before it is verified, so that many attempts at once do
//! not all get through. An attempt is charged to three buckets, and each of them must have room: the pair of neighbour
//! and account, the neighbour over all names, and the network around an IPv6 neighbour. A password that costs nothing
//! to verify needs no bucket: a generated one, or a remembered one from a pair that sent a right password before. So
//! the guesses of other clients do not affect the owner. While a bucket is empty, the attempts that arrive take part in
//! a draw for its next charge ([`super::draw`]).
//!
//! The buckets take constant memory and forget nothing ([`super::sketch`]): 2.5 MiB for all, of which the system
//! provides only the pages that were written to. Instances on one store exchange their charges ([`super::untold`]), so
//! that an attacker who spreads guesses over the instances has one budget.

mod others;

use std::collections::HashSet;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::draw::{Candidate, Draw, Draws, Ticket};
use super::origin::{AttemptKey, Hasher};
use super::sketch::{Buckets, Ticks, duration, ticks};
use super::untold::{Tier, Untold};
use crate::mutex::lock;

/// Charges for a pair at once. A person mistypes a few times; a mail program with an old password tries a few
/// times at once.
const OF_A_PAIR: u32 = 8;
/// After that, one charge per interval: a thousand guesses take eight hours, and the owner behind the same address
/// waits briefly.
const PAIR_INTERVAL: Duration = Duration::from_secs(30);
/// Enough for a house or an office with many old passwords, too few to try a list of names.
const OF_A_NEIGHBOUR: u32 = 100;
const NEIGHBOUR_INTERVAL: Duration = Duration::from_secs(5);
/// A site has a /48 (RFC 6177); an attacker who rents one has 65,536 neighbours in it.
const OF_A_NETWORK: u32 = 400;
const NETWORK_INTERVAL: Duration = Duration::from_millis(1200);
/// Attempts of a throttled pair that are compared with remembered passwords, if the pair has sent a right password
/// before. No mail program makes a thousand attempts; after them, one attempt in ten seconds is compared.
const EARLY: u32 = 1_000;
const EARLY_INTERVAL: Duration = Duration::from_secs(10);
/// Pairs that a right password came from. Only right passwords fill this set, so it is rarely cleared.
const PROVEN: usize = 65_536;
/// Guesses that right passwords give back at once: an owner's frequent logins must not refill the bucket for a guesser
/// at the same address.
const FORGIVEN: u32 = 1;
const FORGIVEN_INTERVAL: Duration = PAIR_INTERVAL;

/// The standing of an attempt that needs a verification.
#[derive(Debug)]
pub(super) enum Standing {
    /// Charged; [`Attempts::succeeded`] takes the charge back.
    Free,
    /// Not verified; the next attempt may be verified after this time. Where the attempt began a draw, the
    /// caller waits for it and calls [`Attempts::draw`].
    Waits(Duration, Option<Draw>),
}

/// The outcome of a draw.
pub(super) enum Drawn {
    /// The attempt is charged; the caller verifies the candidate, if there is one.
    Winner(Option<(AttemptKey, Candidate)>),
    /// Another of the attempt's buckets is empty. The attempt takes part in that bucket's draw, which is
    /// returned if it is new.
    Waits(Option<Draw>),
}

/// The charges of all failed attempts.
pub(super) struct Attempts {
    hasher: Hasher,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    pairs: Buckets,
    neighbours: Buckets,
    networks: Buckets,
    early: Buckets,
    forgiven: Buckets,
    /// Pairs that a right password came from.
    proven: HashSet<u64>,
    draws: Draws,
    /// Charges that other instances do not know yet; `None` if the store is not shared.
    untold: Option<Untold>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new(Hasher::Own(RandomState::new()), None)
    }
}

impl Attempts {
    /// The attempts at one of several instances, which share their charges. `hasher` has the same key on all instances.
    pub(super) fn shared(hasher: Hasher) -> Self {
        Self::new(hasher, Some(Untold::default()))
    }

    fn new(hasher: Hasher, untold: Option<Untold>) -> Self {
        Self {
            hasher,
            began: Instant::now(),
            state: Mutex::new(State {
                pairs: Buckets::new(OF_A_PAIR, PAIR_INTERVAL),
                neighbours: Buckets::new(OF_A_NEIGHBOUR, NEIGHBOUR_INTERVAL),
                networks: Buckets::new(OF_A_NETWORK, NETWORK_INTERVAL),
                early: Buckets::new(EARLY, EARLY_INTERVAL),
                forgiven: Buckets::new(FORGIVEN, FORGIVEN_INTERVAL),
                proven: HashSet::new(),
                draws: Draws::default(),
                untold,
            }),
        }
    }

    /// The buckets of an attempt from `from` at `account`, a folded name.
    pub(super) fn key(&self, from: IpAddr, account: &str) -> AttemptKey {
        AttemptKey::new(&self.hasher, from, account)
    }

    /// Whether an attempt is compared with remembered results: yes if its buckets have room, or if its pair has sent a
    /// right password before and has not tried too often since.
    pub(super) fn may_compare(&self, key: &AttemptKey, now: Instant) -> bool {
        let now = self.at(now);
        let state = lock(&self.state);
        state.obstacle(key, &now, None).is_none()
            || state.proven.contains(&key.pair) && state.early.wait(key.pair, now.ticks) == 0
    }

    /// A drawn password was right: the pair's next attempts are compared, however many came before.
    pub(super) fn won(&self, key: &AttemptKey, now: Instant) {
        let now = self.at(now).ticks;
        let mut state = lock(&self.state);
        state.prove(key.pair);
        state.early.forgive_all(key.pair, now);
    }

    /// Charges an attempt as failed, or says how long it has to wait. A throttled attempt takes part in the
    /// draw of the bucket with the longest wait; `candidate` is called only if the draw keeps this attempt.
    pub(super) fn charge(
        &self,
        key: &AttemptKey,
        now: Instant,
        candidate: impl FnOnce() -> Option<Candidate>,
    ) -> Standing {
        let now = self.at(now);
        let mut state = lock(&self.state);
        let Some((wait, draw)) = state.obstacle(key, &now, None) else {
            state.charge(key, &now);
            return Standing::Free;
        };
        if state.early.wait(key.pair, now.ticks) == 0 {
            state.early.charge(key.pair, now.ticks);
        }
        Standing::Waits(wait, state.enter_draw(draw, *key, candidate))
    }

    /// Ends the draw of `bucket`, which is due. The drawn attempt is charged even if its account does not
    /// exist.
    pub(super) fn draw(&self, bucket: u64, now: Instant) -> Drawn {
        let now = self.at(now);
        let mut state = lock(&self.state);
        let Some(Ticket { key, candidate }) = state.draws.end(bucket) else { return Drawn::Winner(None) };
        // The charge that this draw reserved belongs to it, even if other instances have reserved more after it.
        let reserved = state.untold.as_mut().is_some_and(|untold| untold.release(bucket, &key));
        if let Some((_, draw)) = state.obstacle(&key, &now, reserved.then_some(bucket)) {
            return Drawn::Waits(state.enter_draw(draw, key, || candidate));
        }
        state.charge(&key, &now);
        Drawn::Winner(candidate.map(|candidate| (key, candidate)))
    }

    /// The password was right: takes back the attempt's charge if it was `charged`, and forgives the pair one guess
    /// more. It never forgives all guesses: with an owner who logs in each minute, a guesser at the same address would
    /// get a new budget each minute.
    pub(super) fn succeeded(&self, key: &AttemptKey, charged: bool, now: Instant) {
        let now = self.at(now).ticks;
        let mut state = lock(&self.state);
        state.prove(key.pair);
        if charged {
            state.pairs.forgive(key.pair, now);
            state.neighbours.forgive(key.neighbour, now);
            if let Some(network) = key.network {
                state.networks.forgive(network, now);
            }
            if let Some(untold) = &mut state.untold {
                untold.charge(key, -1);
            }
        }
        if state.forgiven.wait(key.pair, now) == 0 {
            let owes = state.pairs.owes(key.pair, now);
            state.forgiven.charge(key.pair, now);
            state.pairs.forgive(key.pair, now);
            // A pair without charges has nothing to forgive, so the other instances need not know of this login.
            if let Some(untold) = state.untold.as_mut().filter(|_| owes) {
                untold.add(Tier::Pair, key.pair, -1);
                untold.add(Tier::Forgiven, key.pair, 1);
            }
        }
    }

    fn at(&self, instant: Instant) -> Now {
        Now { instant, ticks: ticks(instant - self.began), began: self.began }
    }
}

/// A moment on both clocks.
struct Now {
    instant: Instant,
    ticks: Ticks,
    began: Instant,
}

impl State {
    /// The bucket with the longest wait for this attempt, and the wait. The bucket `reserved` is not considered.
    fn obstacle(&self, key: &AttemptKey, now: &Now, reserved: Option<u64>) -> Option<(Duration, Draw)> {
        let tiers = [
            (&self.pairs, Some(key.pair)),
            (&self.neighbours, Some(key.neighbour)),
            (&self.networks, key.network),
        ];
        let waits = tiers.into_iter().filter_map(|(buckets, bucket)| {
            let bucket = bucket.filter(|bucket| reserved != Some(*bucket))?;
            let wait = buckets.wait(bucket, now.ticks);
            (wait > 0 || self.draws.is_due(bucket, now.instant)).then_some((wait, bucket))
        });
        let (wait, bucket) = waits.max_by_key(|(wait, _)| *wait)?;
        let at = match wait {
            0 => now.instant,
            // A draw is due at the beginning of the tick in which the bucket has room.
            _ => now.began + duration(now.ticks.saturating_add(wait)),
        };
        Some((at - now.instant, Draw { bucket, at }))
    }

    fn prove(&mut self, pair: u64) {
        if self.proven.len() >= PROVEN {
            self.proven.clear();
        }
        self.proven.insert(pair);
    }

    /// Takes part in the draw of `draw.bucket`, and returns it if it is new.
    fn enter_draw(
        &mut self,
        draw: Draw,
        key: AttemptKey,
        candidate: impl FnOnce() -> Option<Candidate>,
    ) -> Option<Draw> {
        let begun = self.draws.enter(draw, key, candidate)?;
        if let Some(untold) = &mut self.untold {
            untold.reserve(begun.bucket, &key);
        }
        Some(begun)
    }

    fn charge(&mut self, key: &AttemptKey, now: &Now) {
        if let Some(untold) = &mut self.untold {
            untold.charge(key, 1);
        }
        self.pairs.charge(key.pair, now.ticks);
        self.neighbours.charge(key.neighbour, now.ticks);
        if let Some(network) = key.network {
            self.networks.charge(network, now.ticks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const ATTACKER: &str = "192.0.2.7";
    const OWNER: &str = "owner";

    struct Bench {
        attempts: Attempts,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let attempts = Attempts::default();
            Self { now: attempts.began, attempts }
        }

        fn key(&self, from: &str, name: &str) -> AttemptKey {
            self.attempts.key(from.parse().unwrap(), name)
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn charge(&self, from: &str, name: &str) -> Standing {
            self.attempts.charge(&self.key(from, name), self.now, || None)
        }

        /// Whether an attempt takes part in no draw.
        fn is_free(&self, from: &str, name: &str) -> bool {
            let free = matches!(self.charge(from, name), Standing::Free);
            lock(&self.attempts.state).draws = Draws::default();
            free
        }

        fn succeed(&self, from: &str, name: &str, charged: bool) {
            self.attempts.succeeded(&self.key(from, name), charged, self.now);
        }

        /// How many of `count` guesses at one name from one address are free.
        fn free(&self, from: &str, name: &str, count: usize) -> usize {
            (0..count).filter(|_| self.is_free(from, name)).count()
        }
    }

    fn by(candidate: &str) -> impl FnOnce() -> Option<Candidate> {
        move || Candidate::new(candidate, &Secret::new("password"), ATTACKER.parse().unwrap())
    }

    #[test]
    fn only_the_pair_that_keeps_failing_waits() {
        let mut bench = Bench::new();
        assert_eq!(bench.free(ATTACKER, "alice", 20), 8);
        let Standing::Waits(wait, Some(_)) = bench.charge(ATTACKER, "alice") else { panic!() };
        assert_eq!(wait, PAIR_INTERVAL);
        assert!(bench.is_free("192.0.2.8", "alice") && bench.is_free(ATTACKER, "bob"));
        bench.pass(29);
        assert!(!bench.is_free(ATTACKER, "alice"));
        bench.pass(1);
        assert_eq!(bench.free(ATTACKER, "alice", 20), 1);
    }

    #[test]
    fn security_row_29_a_flood_of_junk_names_forgets_no_throttle() {
        let bench = Bench::new();
        assert_eq!(bench.free(ATTACKER, "alice", 9), 8);
        let junk = (0..12_000).filter(|number| bench.is_free(ATTACKER, &format!("junk-{number}")));
        assert_eq!(junk.count(), 92, "an address has a budget over all names");
        assert!(!bench.is_free(ATTACKER, "alice"));

        // Nor does a flood from many addresses.
        for number in 0..12_000 {
            bench.is_free(&format!("198.18.{}.{}", number / 250, number % 250), &format!("junk-{number}"));
        }
        assert!(!bench.is_free(ATTACKER, "alice"));
        assert!(bench.is_free("203.0.113.5", OWNER), "and hardly any other client is throttled");
    }

    #[test]
    fn security_row_29_a_success_forgives_one_guess_and_not_all() {
        let mut bench = Bench::new();
        assert_eq!(bench.free(ATTACKER, "alice", 9), 8);
        bench.succeed(ATTACKER, "alice", false);
        assert_eq!(bench.free(ATTACKER, "alice", 9), 1);
        // However often the owner logs in, one more guess is free in 30 seconds.
        let mut guesses = 0;
        for _ in 0..600 {
            bench.pass(1);
            bench.succeed(ATTACKER, "alice", false);
            guesses += bench.free(ATTACKER, "alice", 3);
        }
        assert_eq!(guesses, 600 / 30 * 2);
    }

    #[test]
    fn a_right_password_that_was_charged_costs_nothing() {
        let bench = Bench::new();
        for _ in 0..1_000 {
            assert!(bench.is_free("2001:db8::1", OWNER));
            bench.succeed("2001:db8::1", OWNER, true);
        }
        assert_eq!(bench.free("2001:db8::1", OWNER, 20), 8);
    }

    #[test]
    fn security_row_29_all_of_this_machine_is_one_neighbour() {
        let bench = Bench::new();
        let guesses = (0..200).map(|number| bench.free(&format!("127.0.{number}.9"), "alice", 8));
        assert_eq!(guesses.sum::<usize>(), 8);
        assert!(!bench.is_free("::ffff:127.8.8.8", "alice") && bench.is_free("::1", "alice"));
    }

    #[test]
    fn security_row_29_the_networks_of_an_ipv6_site_have_one_budget() {
        let bench = Bench::new();
        assert_eq!(bench.free("2001:db8:1:2::7", "alice", 9), 8);
        assert_eq!(bench.free("2001:db8:1:2:ffff::8", "alice", 9), 0, "a /64 is one neighbour");
        let guesses = (3..1_003).map(|number| bench.free(&format!("2001:db8:1:{number:x}::7"), "alice", 8));
        assert_eq!(guesses.sum::<usize>(), OF_A_NETWORK as usize - 8);
        assert!(bench.is_free("2001:db8:2:2::7", "alice"), "the next /48 is another");
    }

    #[test]
    fn security_row_28_no_name_costs_more_than_another() {
        let bench = Bench::new();
        let long = "x".repeat(60_000);
        let keys = [bench.key(ATTACKER, &long), bench.key(ATTACKER, &(long + "y"))];
        assert_eq!(keys[0].pair, keys[1].pair);
        let bytes = 5 * 2 * (1 << 16) * size_of::<Ticks>();
        assert!(bytes < 3 << 20, "{bytes} bytes for all counters");
    }

    #[test]
    fn security_row_29_a_throttled_guesser_is_not_even_compared_with_what_is_remembered() {
        let bench = Bench::new();
        let key = bench.key(ATTACKER, "alice");
        assert!(bench.attempts.may_compare(&key, bench.now));
        assert_eq!(bench.free(ATTACKER, "alice", 9), 8);
        assert!(!bench.attempts.may_compare(&key, bench.now));
        assert!(
            bench.attempts.may_compare(&bench.key("192.0.2.8", "alice"), bench.now),
            "the owner elsewhere"
        );
    }

    #[test]
    fn a_flood_beside_the_owner_loses_the_cheap_comparison_until_a_draw_is_won() {
        let mut bench = Bench::new();
        let key = bench.key(ATTACKER, "alice");
        bench.succeed(ATTACKER, "alice", false);
        (0..OF_A_PAIR + EARLY).for_each(|_| {
            assert!(bench.attempts.may_compare(&key, bench.now));
            bench.charge(ATTACKER, "alice");
        });
        assert!(!bench.attempts.may_compare(&key, bench.now));
        bench.pass(10);
        assert!(bench.attempts.may_compare(&key, bench.now), "one in ten seconds");
        bench.charge(ATTACKER, "alice");
        assert!(!bench.attempts.may_compare(&key, bench.now));
        bench.attempts.won(&key, bench.now);
        assert!(bench.attempts.may_compare(&key, bench.now));
    }

    /// One guess a second from the owner's address, and one of the owner's tries each `pause` seconds;
    /// returns the seconds until the owner is drawn.
    fn seconds_until_drawn(bench: &mut Bench, guesser: bool, pause: u64) -> u64 {
        let key = bench.key(ATTACKER, OWNER);
        let mut draws: Vec<Draw> = Vec::new();
        let mut verified = 0;
        for second in 0..100_000 {
            let now = bench.now;
            let mut come = |name: &str| match bench.attempts.charge(&key, now, by(name)) {
                Standing::Free => verified += 1,
                Standing::Waits(_, draw) => draws.extend(draw),
            };
            if guesser {
                come("guesser");
            }
            if second % pause == 0 {
                come(OWNER);
            }
            let due = draws.iter().position(|draw| draw.at <= now);
            if let Some(draw) = due.map(|due| draws.remove(due)) {
                let Drawn::Winner(Some((_, winner))) = bench.attempts.draw(draw.bucket, now) else {
                    panic!()
                };
                verified += 1;
                if winner.name == OWNER {
                    assert!(verified <= second / 30 + 1, "{verified} verifications in {second} s");
                    return second;
                }
            }
            bench.pass(1);
        }
        panic!("never drawn");
    }

    #[test]
    fn security_row_30_an_owner_alone_is_drawn_after_thirty_seconds() {
        let mut bench = Bench::new();
        assert_eq!(bench.free(ATTACKER, OWNER, 9), 8);
        assert_eq!(seconds_until_drawn(&mut bench, false, 5), 30);
    }

    #[test]
    fn security_row_30_an_owner_beside_a_guesser_is_drawn_within_minutes() {
        let rounds = 400;
        let mut seconds = 0;
        for _ in 0..rounds {
            let mut bench = Bench::new();
            bench.free(ATTACKER, OWNER, 9);
            seconds += seconds_until_drawn(&mut bench, true, 5);
        }
        // One in six each 30 s averages 180 s; the average of 400 rounds usually deviates by 8 s.
        let average = seconds / rounds;
        assert!((100..300).contains(&average), "{average} s");
    }

    /// The draw that the owner's attempts begin once their bucket is empty.
    fn begun_by_owner(bench: &Bench) -> Draw {
        bench.free(ATTACKER, OWNER, 8);
        match bench.attempts.charge(&bench.key(ATTACKER, OWNER), bench.now, by(OWNER)) {
            Standing::Waits(_, Some(draw)) => draw,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_an_empty_bucket_allows_next_belongs_to_those_who_wait_for_it() {
        let mut bench = Bench::new();
        let (draw, key) = (begun_by_owner(&bench), bench.key(ATTACKER, OWNER));
        bench.pass(30);
        let late = bench.attempts.charge(&key, bench.now, || None);
        assert!(matches!(late, Standing::Waits(Duration::ZERO, None)), "{late:?}");
        assert!(matches!(bench.attempts.draw(draw.bucket, bench.now), Drawn::Winner(_)));
        let Standing::Waits(wait, Some(_)) = bench.charge(ATTACKER, OWNER) else { panic!() };
        assert_eq!(wait, PAIR_INTERVAL);
    }

    #[test]
    fn a_winner_whose_neighbour_waits_takes_part_in_that_draw() {
        let mut bench = Bench::new();
        let draw = begun_by_owner(&bench);
        bench.pass(30);
        let names = (0..).map(|number: u32| number.to_string());
        let _ = names.take_while(|name| matches!(bench.charge(ATTACKER, name), Standing::Free)).count();
        let Drawn::Waits(None) = bench.attempts.draw(draw.bucket, bench.now) else { panic!() };
        let Standing::Waits(wait, None) = bench.charge(ATTACKER, OWNER) else { panic!() };
        assert!(wait <= NEIGHBOUR_INTERVAL);
    }

    #[test]
    fn draws_are_bounded() {
        let bench = Bench::new();
        let mut begun = 0;
        for number in 0..3_000 {
            let from = format!("198.18.{}.{}", number / 250, number % 250);
            for _ in 0..9 {
                begun += usize::from(matches!(bench.charge(&from, "x"), Standing::Waits(_, Some(_))));
            }
        }
        assert_eq!(begun, 1024);
        let from = ATTACKER.parse().unwrap();
        assert!(Candidate::new(&"x".repeat(321), &Secret::new("y"), from).is_none());
        assert!(Candidate::new("x", &Secret::new("y".repeat(1025)), from).is_none());
    }
}
