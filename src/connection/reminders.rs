//! Warnings that are logged once a day, and not at each login.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time of each last warning. There is one for each word that the configuration promises, so they are few.
#[derive(Default)]
pub struct Reminders(Mutex<HashMap<String, Instant>>);

impl Reminders {
    /// Whether `what` was not logged within the last day; the call counts as a log entry.
    pub(super) fn is_due(&self, what: &str) -> bool {
        self.is_due_at(what, Instant::now())
    }

    fn is_due_at(&self, what: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(what).is_some_and(|last| now.duration_since(*last) < DAY) {
            return false;
        }
        said.insert(what.to_owned(), now);
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
}
