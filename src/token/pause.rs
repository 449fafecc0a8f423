//! The pause after a passing failure: 1, 2, 4 … 60 s, each lengthened at random by up to half, so that
//! accounts that failed together do not retry together; and until when a pause in a row counts.

use time::{Duration, OffsetDateTime};

use crate::clock::Clock;

const LONGEST_SECONDS: u32 = 60;
/// The longest pause before the next request to a provider: a `Retry-After` is honoured up to a day.
pub(super) const LONGEST_PAUSE: Duration = Duration::hours(25);
/// A failure that lies so far ahead was dated by a clock that differs from this machine's.
const AHEAD: Duration = Duration::minutes(1);

/// The pause after `failures` failures in a row.
pub(super) fn after_failures(failures: u32, clock: &Clock) -> Duration {
    let seconds = 2u32.saturating_pow(failures.saturating_sub(1).min(10)).min(LONGEST_SECONDS);
    let jitter = clock.dice() / 2.0;
    Duration::seconds_f64(f64::from(seconds) * (1.0 + jitter))
}

/// When the provider may be asked again after the failure at `failed_at`, if `retry_at` is still ahead. A pause above
/// [`LONGEST_PAUSE`], or after a failure that lies ahead, was written by a wrong clock, perhaps another machine's, and is
/// ignored; it could last for decades.
pub(super) fn pause_until(
    failed_at: Option<OffsetDateTime>,
    retry_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    let is_ahead = failed_at.is_some_and(|failed_at| failed_at - now > AHEAD);
    retry_at.filter(|retry_at| *retry_at > now && *retry_at - now <= LONGEST_PAUSE && !is_ahead)
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

    #[test]
    fn a_pause_that_another_clock_dated_delays_by_a_minute_at_most() {
        let now = OffsetDateTime::now_utc();
        let pause = |clock: Duration| pause_until(Some(now + clock), Some(now + clock + AHEAD), now);
        assert_eq!(pause(Duration::ZERO), Some(now + AHEAD));
        assert_eq!(pause(AHEAD), Some(now + AHEAD * 2));
        assert_eq!(pause(Duration::minutes(8)), None, "not nine minutes");
        assert_eq!(pause(Duration::minutes(-8)), None);
    }
}
