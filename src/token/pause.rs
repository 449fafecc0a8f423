//! The pause after a passing failure: 1, 2, 4 … 60 s, each lengthened at random by up to half, so that
//! accounts that failed together do not retry together.

use time::Duration;

use crate::clock::Clock;

const LONGEST_SECONDS: u32 = 60;

/// The pause after `failures` failures in a row.
pub(super) fn after_failures(failures: u32, clock: &Clock) -> Duration {
    let seconds = 2u32.saturating_pow(failures.saturating_sub(1).min(10)).min(LONGEST_SECONDS);
    let jitter = clock.dice() / 2.0;
    Duration::seconds_f64(f64::from(seconds) * (1.0 + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_trouble_is_tried_again_after_one_to_ninety_seconds() {
        for (failures, least) in [(1, 1), (2, 2), (3, 4), (7, 60), (100, 60)] {
            let pause = after_failures(failures, &Clock::default());
            let least = Duration::seconds(least);
            assert!(pause >= least && pause <= least * 1.5, "{failures}: {pause}");
        }
    }
}
