//! The leases that a process has asked for in a database that it shares with others, each with its mark.
//!
//! A statement that was given up, because its answer did not come, may lie in a socket and be executed when the network or the
//! server goes on. So the release of a lease, late or not, frees no lease that was taken after it: each lease has the second of
//! its taking as its mark, which grows with each, and a release names the mark. A taking is executed in time or not at all
//! ([`Contact::take_until`](super::Contact::take_until)); one that was executed unnoticed is released afterwards.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Id;

/// By then a taking that was given up is executed, or never: longer than the time that [`super::Contact`] gives it.
const SETTLED: Duration = Duration::from_secs(15);
/// So long a mark is remembered after its lease ended: a release that was given up may name it.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The marks of this process.
#[derive(Debug, Default)]
pub struct LeaseMarks {
    last: HashMap<Id, Last>,
    /// Takings without an answer: the grant, the mark, and when the process gave up.
    unanswered: Vec<(Id, i64, Instant)>,
}

#[derive(Debug)]
struct Last {
    mark: i64,
    at: Instant,
    /// Whether the lease may be in the row.
    held: bool,
}

impl LeaseMarks {
    /// The mark of a lease on `grant` that is asked for in the second `second`, by the clock of this process.
    pub fn begin(&mut self, grant: &Id, second: i64, now: Instant) -> i64 {
        let mark = self.last.get(grant).map_or(second, |last| second.max(last.mark.saturating_add(1)));
        self.last.insert(grant.clone(), Last { mark, at: now, held: true });
        mark
    }

    /// The newest mark on `grant`, which a release names.
    pub fn of(&self, grant: &Id) -> Option<i64> {
        self.last.get(grant).map(|last| last.mark)
    }

    /// The database says that this process has no lease on `grant`.
    pub fn ended(&mut self, grant: &Id) {
        if let Some(last) = self.last.get_mut(grant) {
            last.held = false;
        }
    }

    /// The taking with `mark` was given up.
    pub fn gave_up(&mut self, grant: &Id, mark: i64, now: Instant) {
        self.unanswered.push((grant.clone(), mark, now));
    }

    /// Takings that were given up and may have been executed after the release that followed; they are to be released now.
    /// Forgets what no statement names any more.
    pub fn unnoticed(&mut self, now: Instant) -> Vec<(Id, i64)> {
        self.last.retain(|_, last| last.held || now.duration_since(last.at) < REMEMBERED);
        let mut unnoticed = Vec::new();
        self.unanswered.retain(|(grant, mark, at)| {
            let is_in_use = self.last.get(grant).is_some_and(|last| last.held && last.mark == *mark);
            let stays = is_in_use || now.duration_since(*at) < SETTLED;
            if !stays {
                unnoticed.push((grant.clone(), *mark));
            }
            stays
        });
        unnoticed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lease_has_a_greater_mark_than_the_one_before() {
        let (mut marks, grant, now) = (LeaseMarks::default(), Id::random(), Instant::now());
        assert_eq!(marks.of(&grant), None);
        assert_eq!(marks.begin(&grant, 100, now), 100);
        marks.ended(&grant);
        assert_eq!(marks.begin(&grant, 100, now), 101, "in the same second");
        assert_eq!(marks.begin(&grant, 7, now), 102, "the clock went back");
        assert_eq!(marks.of(&grant), Some(102));
        marks.ended(&grant);
        marks.unnoticed(now + REMEMBERED);
        assert_eq!(marks.of(&grant), None, "it is forgotten");
    }

    #[test]
    fn a_taking_that_was_given_up_is_released_once_it_can_come_no_more() {
        let (mut marks, grant, now) = (LeaseMarks::default(), Id::random(), Instant::now());
        let mark = marks.begin(&grant, 100, now);
        marks.gave_up(&grant, mark, now);
        assert_eq!(marks.unnoticed(now + SETTLED), [], "the process releases it itself");
        marks.ended(&grant);
        assert_eq!(marks.unnoticed(now), [], "it may still come");
        assert_eq!(marks.unnoticed(now + SETTLED), [(grant, mark)]);
        assert_eq!(marks.unnoticed(now + SETTLED), []);
    }
}
