//! How long an attempt would wait for its verification, whether or not it needs one.
//!
//! A wrong password takes a run of argon2id if the account has a chosen password, and none if the account has only
//! generated ones or does not exist. The answer must not tell these cases apart. So every attempt joins an imagined
//! queue as if it took a run, and this queue decides the answer: "wrong password" if the run would end before the
//! answer is due, otherwise "busy". The real runs have a queue of their own and never wait for an attempt that needs no
//! run.

use std::time::Duration;

use tokio::time::Instant;

/// Concurrent runs of argon2id: each takes 19 MiB and a core for some milliseconds.
pub(super) const AT_ONCE: u32 = 2;
/// Runs that may wait: a few seconds of work even on a slow machine, about as long as a mail program waits
/// for an answer. A longer queue would only answer too late.
pub(super) const PLACES: u32 = 64;
/// The assumed duration of a run on a common machine, until runs are measured.
const USUAL_RUN: Duration = Duration::from_millis(25);
/// A run counts as done in time even if it takes this much longer than the average.
const MARGIN: Duration = Duration::from_millis(100);

/// The imagined queue.
pub(super) struct Backlog {
    /// When the last run in the queue would begin.
    clear_at: Option<Instant>,
    /// The duration of a run, averaged over the last few.
    run: Duration,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { clear_at: None, run: USUAL_RUN }
    }
}

impl Backlog {
    /// Joins the queue. Returns whether a run that begins in its turn would end before `due`.
    pub(super) fn join(&mut self, now: Instant, due: Instant) -> bool {
        let share = self.run / AT_ONCE;
        let begins = self.clear_at.map_or(now, |clear_at| clear_at.max(now));
        if begins - now >= share * PLACES {
            return false;
        }
        self.clear_at = Some(begins + share);
        begins + self.run + MARGIN <= due
    }

    /// Adds the duration of a finished run to the average.
    pub(super) fn took(&mut self, run: Duration) {
        self.run = (self.run * 7 + run) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_waits_for_those_before_it_and_for_no_more_than_there_are_places() {
        let now = Instant::now();
        let due = now + Duration::from_millis(500);
        let mut backlog = Backlog::default();
        let in_time = (0..100_000).filter(|_| backlog.join(now, due)).count();
        // (500 - 100 - 25) / 12.5, plus the first one.
        assert_eq!(in_time, 31);
        let cleared = now + USUAL_RUN / AT_ONCE * PLACES;
        assert!(backlog.join(cleared, cleared + Duration::from_millis(500)), "a flood is soon forgotten");
    }

    #[test]
    fn slow_runs_make_it_longer() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        (0..50).for_each(|_| backlog.took(Duration::from_secs(1)));
        assert!(!backlog.join(now, now + Duration::from_millis(500)));
    }
}
