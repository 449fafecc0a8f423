//! How long an attempt would have to wait for its verification, whether or not there is one.
//!
//! A wrong password takes a run of argon2id where the account has a chosen password, and none where it has
//! not or where there is no such account. So that the answer does not tell which, every attempt joins an
//! imagined queue, as if each took a run, and is answered by that queue's length: "wrong password" where it
//! would have been verified before the answer is due, "busy" where not. The runs themselves queue up
//! elsewhere, and wait for no attempt that needs none.

use std::time::Duration;

use tokio::time::Instant;

/// argon2id runs at once: each takes 19 MiB and a core for some milliseconds.
pub(super) const AT_ONCE: u32 = 2;
/// Runs that may wait; a few seconds of work even for a slow machine, and what a mail program waits before
/// it tries again. One more would only be too late.
pub(super) const PLACES: u32 = 64;
/// Before anything was measured: what a run takes on a common machine.
const USUAL_RUN: Duration = Duration::from_millis(25);
/// A run may take longer than the average by this, and is still counted on.
const MARGIN: Duration = Duration::from_millis(100);

/// The imagined queue.
pub(super) struct Backlog {
    /// When the last one in it would be begun.
    clear_at: Option<Instant>,
    /// What a run takes, on average of the last few.
    run: Duration,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { clear_at: None, run: USUAL_RUN }
    }
}

impl Backlog {
    /// Joins the queue, and tells whether a verification that begins when its turn comes ends before `due`.
    pub(super) fn join(&mut self, now: Instant, due: Instant) -> bool {
        let share = self.run / AT_ONCE;
        let begins = self.clear_at.map_or(now, |clear_at| clear_at.max(now));
        if begins - now >= share * PLACES {
            return false;
        }
        self.clear_at = Some(begins + share);
        begins + self.run + MARGIN <= due
    }

    /// Learns from a run that took so long.
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
        // (500 - 100 - 25) / 12.5, and the first.
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
