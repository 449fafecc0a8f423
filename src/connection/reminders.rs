//! Warnings that are logged once a day, and not at each login.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::mutex::lock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The times of the last warnings: about words that the configuration promises, and about accounts whose grants end.
#[derive(Default)]
pub struct Reminders(Mutex<Said>);

#[derive(Default)]
struct Said {
    at: HashMap<String, Instant>,
    /// When old entries were last removed: accounts come and go, and the map must not grow for ever.
    swept_at: Option<Instant>,
}

impl Reminders {
    /// Whether `what` was not logged within the last day; the call counts as the log line.
    pub(super) fn is_due(&self, what: &str) -> bool {
        self.is_due_at(what, Instant::now())
    }

    fn is_due_at(&self, what: &str, now: Instant) -> bool {
        let mut said = lock(&self.0);
        let is_recent = |last: &Instant| now.duration_since(*last) < DAY;
        if said.at.get(what).is_some_and(is_recent) {
            return false;
        }
        if !said.swept_at.as_ref().is_some_and(is_recent) {
            said.at.retain(|_, last| is_recent(last));
            said.swept_at = Some(now);
        }
        said.at.insert(what.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_said_once_a_day() {
        let (reminders, now) = (Reminders::default(), Instant::now());
        assert!(reminders.is_due_at("one", now) && !reminders.is_due_at("one", now));
        assert!(reminders.is_due_at("two", now), "another one is another matter");
        assert!(reminders.is_due_at("one", now + DAY));
    }

    #[test]
    fn what_is_not_said_any_more_takes_no_room() {
        let (reminders, now) = (Reminders::default(), Instant::now());
        for number in 0..100 {
            assert!(reminders.is_due_at(&number.to_string(), now));
        }
        assert!(reminders.is_due_at("later", now + DAY));
        assert_eq!(reminders.0.lock().unwrap().at.len(), 1);
    }
}
