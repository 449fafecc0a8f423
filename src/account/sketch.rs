//! Token buckets for any number of keys in a fixed amount of memory.
//!
//! A bucket is one number: the time at which it will be full again if nothing more is charged (the
//! "theoretical arrival time" of the generic cell rate algorithm). The numbers lie in a count-min sketch:
//! each key has a cell in each of two rows, and the lower of its two cells counts. So no client input is
//! stored, nothing needs cleaning up, and no flood of keys resets a bucket, because writing another key can
//! only raise a cell. Two keys that share both cells share their charges. A cell is lowered only when charges are
//! forgiven, or when the store says that there were fewer, and only if the cell equals the key's own value: a higher
//! cell belongs to another key.

use std::time::Duration;

/// Cells of a row. With two rows it takes thousands of throttled keys before another key finds both its cells
/// raised.
const CELLS: usize = 1 << 16;
/// Coarse enough that 32 bits last for 13 years without a restart; after that nothing is throttled.
const TICK: Duration = Duration::from_millis(100);

/// A moment in ticks since the program started.
pub(super) type Ticks = u32;

/// The ticks in `elapsed`.
pub(super) fn ticks(elapsed: Duration) -> Ticks {
    Ticks::try_from(elapsed.as_millis() / TICK.as_millis()).unwrap_or(Ticks::MAX)
}

/// The duration of `ticks`.
pub(super) fn duration(ticks: Ticks) -> Duration {
    TICK.saturating_mul(ticks)
}

/// Buckets of one size.
pub(super) struct Buckets {
    rows: [Box<[Ticks]>; 2],
    /// The time that one charge takes to refill.
    interval: Ticks,
    /// The burst, less its last charge.
    slack: Ticks,
}

impl Buckets {
    /// Buckets that allow `burst` charges at once, then one in each `interval`.
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        let interval = ticks(interval);
        let slack = interval.saturating_mul(burst.saturating_sub(1));
        // The kernel provides zeroed memory when it is first written to.
        let row = || vec![0; CELLS].into_boxed_slice();
        Self { rows: [row(), row()], interval, slack }
    }

    /// How long until `key` may be charged again; 0 if it may be now.
    pub(super) fn wait(&self, key: u64, now: Ticks) -> Ticks {
        self.full_at(key).saturating_sub(now).saturating_sub(self.slack)
    }

    pub(super) fn charge(&mut self, key: u64, now: Ticks) {
        self.raise(key, self.full_at(key).max(now).saturating_add(self.interval));
    }

    /// Takes one charge back.
    pub(super) fn forgive(&mut self, key: u64, now: Ticks) {
        self.lower(key, self.full_at(key).saturating_sub(self.interval).max(now));
    }

    /// Takes all charges back.
    pub(super) fn forgive_all(&mut self, key: u64, now: Ticks) {
        self.lower(key, now);
    }

    /// Whether `key` has charges that are not refilled yet.
    pub(super) fn owes(&self, key: u64, now: Ticks) -> bool {
        self.full_at(key) > now
    }

    /// The time that one charge takes to refill.
    pub(super) fn interval(&self) -> Ticks {
        self.interval
    }

    /// Sets the bucket of `key` to what the store says of all instances: it will be full at `full_at`. A value that is
    /// lower by less than half a charge differs only because of the clocks, and takes nothing back.
    pub(super) fn learn(&mut self, key: u64, full_at: Ticks, now: Ticks) {
        let before = self.full_at(key);
        if before.saturating_sub(full_at) >= self.interval / 2 {
            self.lower(key, full_at.max(now));
        } else if full_at > before && full_at > now {
            self.raise(key, full_at);
        }
    }

    /// Raises the cells of `key` to `full_at`.
    fn raise(&mut self, key: u64, full_at: Ticks) {
        for cell in self.cells(key) {
            *cell = full_at.max(*cell);
        }
    }

    /// Lowers the bucket of `key` to `full_at`, if it is higher. A cell above the bucket's value belongs to another key.
    fn lower(&mut self, key: u64, full_at: Ticks) {
        let before = self.full_at(key);
        for cell in self.cells(key) {
            if *cell == before {
                *cell = full_at.min(before);
            }
        }
    }

    fn full_at(&self, key: u64) -> Ticks {
        let [first, second] = places(key);
        self.rows[0][first].min(self.rows[1][second])
    }

    fn cells(&mut self, key: u64) -> [&mut Ticks; 2] {
        let [first, second] = places(key);
        let [one, other] = &mut self.rows;
        [&mut one[first], &mut other[second]]
    }
}

/// The positions of `key`, a keyed hash, in the rows.
fn places(key: u64) -> [usize; 2] {
    let [.., a, b, c, d] = key.to_be_bytes();
    [u16::from_be_bytes([a, b]).into(), u16::from_be_bytes([c, d]).into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Ticks = 10;

    fn buckets() -> Buckets {
        Buckets::new(3, Duration::from_secs(10))
    }

    fn charged(buckets: &mut Buckets, key: u64, now: Ticks) -> bool {
        let free = buckets.wait(key, now) == 0;
        if free {
            buckets.charge(key, now);
        }
        free
    }

    #[test]
    fn a_bucket_takes_a_burst_and_then_one_an_interval() {
        let mut buckets = buckets();
        assert!((0..3).all(|_| charged(&mut buckets, 1, 5)));
        assert_eq!(buckets.wait(1, 5), 10 * SECOND);
        assert!(!charged(&mut buckets, 1, 5 + 10 * SECOND - 1));
        assert!(charged(&mut buckets, 1, 5 + 10 * SECOND));
        assert!(!charged(&mut buckets, 1, 5 + 10 * SECOND));
        let later = 5 + 100 * SECOND;
        assert_eq!((0..9).filter(|_| charged(&mut buckets, 1, later)).count(), 3);
    }

    #[test]
    fn one_charge_is_forgiven_at_a_time_and_never_more_than_there_were() {
        let mut buckets = buckets();
        (0..3).for_each(|_| buckets.charge(1, 5));
        buckets.forgive(1, 5);
        assert!(charged(&mut buckets, 1, 5) && !charged(&mut buckets, 1, 5));
        (0..9).for_each(|_| buckets.forgive(1, 5));
        assert_eq!((0..9).filter(|_| charged(&mut buckets, 1, 5)).count(), 3);
    }

    #[test]
    fn a_stranger_in_one_of_the_cells_neither_throttles_nor_forgives() {
        let (key, stranger) = (0x0001_0002, 0x0001_0003);
        let mut buckets = buckets();
        (0..3).for_each(|_| buckets.charge(stranger, 5));
        assert_eq!(buckets.wait(key, 5), 0);
        (0..2).for_each(|_| buckets.charge(key, 5));
        buckets.forgive(key, 5);
        assert_eq!(buckets.wait(stranger, 5), 10 * SECOND);
    }

    #[test]
    fn what_other_instances_know_is_learned_but_not_what_their_clocks_differ_by() {
        let mut buckets = buckets();
        buckets.learn(1, 5 + 30 * SECOND, 5);
        assert_eq!(buckets.wait(1, 5), 10 * SECOND);
        buckets.learn(1, 5 + 26 * SECOND, 5);
        assert_eq!(buckets.wait(1, 5), 10 * SECOND);
        buckets.learn(1, 5 + 20 * SECOND, 5);
        assert_eq!(buckets.wait(1, 5), 0);
        assert!(charged(&mut buckets, 1, 5) && !charged(&mut buckets, 1, 5));
        buckets.learn(1, 0, 5);
        assert!(!buckets.owes(1, 5));
    }

    #[test]
    fn the_end_of_time_throttles_nothing() {
        let mut buckets = buckets();
        let end = ticks(Duration::MAX);
        (0..9).for_each(|_| buckets.charge(1, end));
        assert_eq!(buckets.wait(1, end), 0);
    }
}
