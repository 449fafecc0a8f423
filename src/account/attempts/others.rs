//! The exchange of charges with the other instances: which charges of this one they need, and which of theirs count
//! here.
//!
//! The store says how full a bucket is by all charges that instances have written to it. This instance adds the charges
//! that it has not written yet, and subtracts those that it has reserved for a draw of its own. So writing and reading
//! must not overlap: a charge on its way to the store would be counted twice, or not at all.

use tokio::time::Instant;

use super::{Attempts, FORGIVEN, OF_A_NEIGHBOUR, OF_A_NETWORK, OF_A_PAIR, State};
use crate::account::sketch::Buckets;
use crate::account::untold::Tier;
use crate::mutex::lock;
use crate::store::Owed;

impl Attempts {
    /// Takes the charges that other instances have to know.
    pub(in crate::account) fn take_untold(&self) -> Vec<Owed> {
        let mut state = lock(&self.state);
        let Some(mut untold) = state.untold.take() else { return Vec::new() };
        let owed = untold.take(|tier| state.buckets(tier).0.interval());
        state.untold = Some(untold);
        owed
    }

    /// Takes back charges that could not be written to the store, for a later write.
    pub(in crate::account) fn tell_later(&self, owed: &[Owed]) {
        let mut state = lock(&self.state);
        let Some(mut untold) = state.untold.take() else { return };
        untold.give_back(owed, |tier| {
            let (buckets, burst) = state.buckets(tier);
            (buckets.interval(), burst)
        });
        state.untold = Some(untold);
    }

    /// Sets the buckets to the charges of all instances, as read from the store. Call it when the charges of
    /// [`Attempts::take_untold`] are in the store, or are given back to [`Attempts::tell_later`].
    pub(in crate::account) fn learn(&self, owed: &[Owed], now: Instant) {
        let now = self.at(now).ticks;
        let mut state = lock(&self.state);
        let Some(untold) = state.untold.take() else { return };
        for owed in owed {
            let Some(tier) = Tier::numbered(owed.tier) else { continue };
            let (buckets, _) = state.buckets(tier);
            let full_at = untold.full_at(owed, tier, buckets, now);
            buckets.learn(owed.bucket.cast_unsigned(), full_at, now);
        }
        state.untold = Some(untold);
    }
}

impl State {
    /// The buckets of a kind, and their burst.
    fn buckets(&mut self, tier: Tier) -> (&mut Buckets, u32) {
        match tier {
            Tier::Pair => (&mut self.pairs, OF_A_PAIR),
            Tier::Neighbour => (&mut self.neighbours, OF_A_NEIGHBOUR),
            Tier::Network => (&mut self.networks, OF_A_NETWORK),
            Tier::Forgiven => (&mut self.forgiven, FORGIVEN),
        }
    }
}
