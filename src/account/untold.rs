//! The charges of failed logins that other instances on the store do not know yet.
//!
//! Each instance throttles by what it knows, and tells the others once a second what it has added. Charges add up in the
//! store, so none is lost however many instances charge at once. What a bucket allows next belongs to the attempts that
//! wait for it ([`super::draw`]): a draw charges its bucket for the others when it begins, so that no other instance
//! gives the same charge away, and gives it back if it ends without one.

use std::collections::{HashMap, HashSet};

use super::origin::AttemptKey;
use super::sketch::{Buckets, Ticks, duration, ticks};
use crate::store::Owed;

/// The most buckets that wait to be told, while the store is away; what is charged to others counts here alone.
const MOST: usize = 50_000;

/// The kinds of buckets that instances share. The numbers stand in the store.
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

    /// The draw of `bucket` has ended; its winner `key` is charged anew, if it is.
    pub(super) fn release(&mut self, bucket: u64, key: &AttemptKey) {
        if self.reserved.remove(&bucket) {
            self.add(Tier::of(bucket, key), bucket, -1);
        }
    }

    /// Takes what is to be told.
    pub(super) fn take(&mut self, mut interval: impl FnMut(Tier) -> Ticks) -> Vec<Owed> {
        let owed = self.charges.drain().map(|((tier, bucket), charges)| Owed {
            tier: tier as i16,
            bucket: bucket.cast_signed(),
            millis: charges.saturating_mul(millis(interval(tier))),
        });
        owed.collect()
    }

    /// `owed` could not be told. An instance alone allows a burst, so more is never told later: what was charged long
    /// ago is refilled by then.
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

    /// When a bucket is full again by what the store says, by what the others do not know yet, and without what is
    /// reserved for a draw here.
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
