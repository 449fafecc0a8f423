//! What a process knows of its own contact with the database that it shares with others.
//!
//! After an outage of the database every holder of a lease looks dead, and one of them may keep a rotated token that it
//! could not store. So a process believes in a death only when it has reached the database for [`CONTACT`] without a
//! break: by then the living have given a sign. A sign counts from the moment when it was sent, because the database may
//! have taken it at once; the contact counts from the moment when it was answered, because the database may have been away
//! until then.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two signs of life.
pub const BEAT: Duration = Duration::from_secs(5);
/// No lease is taken on an older sign than this, which is far below [`DEAD_AFTER`].
const GOOD_FOR: Duration = Duration::from_secs(10);
/// Without a sign for so many seconds a holder is dead.
pub const DEAD_AFTER: i64 = 30;
/// So long a process has reached the database before it takes the lease of a silent holder: a sign comes every
/// [`BEAT`], and a connection that was lost has to be made again.
const CONTACT: Duration = Duration::from_secs(15);
/// An outage that was longer may have made the living look dead. Shorter than [`DEAD_AFTER`] by the pause between two signs
/// and the time that a connection takes; longer than that pause and two statements of a slow database.
const BREAK: Duration = Duration::from_secs(15);
/// Rows of the dead are removed after this many seconds.
pub const FORGOTTEN_AFTER: i64 = 86_400;

/// The contact of one process, from its first sign of life on.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    /// When the last sign that the database has was sent.
    beaten: Instant,
    /// When the first sign after the last break was answered.
    since: Instant,
}

impl Contact {
    /// The first sign of life, which was sent at `sent`, is answered at `now`.
    pub fn new(sent: Instant, now: Instant) -> Self {
        Self { beaten: sent, since: now }
    }

    /// Another sign is answered.
    pub fn gave_sign(&mut self, sent: Instant, now: Instant) {
        if now.duration_since(self.beaten) > BREAK {
            self.since = now;
        }
        self.beaten = self.beaten.max(sent);
    }

    /// Whether the last sign is young enough to take a lease on it.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.beaten) < GOOD_FOR
    }

    /// Whether this process believes that a holder which looks dead is dead.
    pub fn is_believed(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= CONTACT
    }

    /// After how many seconds without a sign another holder is dead to this process.
    pub fn dead_after(&self, now: Instant) -> i64 {
        if self.is_believed(now) { DEAD_AFTER } else { FORGOTTEN_AFTER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_death_is_believed_after_a_while_of_contact() {
        let start = Instant::now();
        let mut contact = Contact::new(start, start);
        for beat in [5, 10] {
            contact.gave_sign(start + seconds(beat), start + seconds(beat));
        }
        assert_eq!(contact.dead_after(start + seconds(14)), FORGOTTEN_AFTER);
        assert_eq!(contact.dead_after(start + seconds(15)), DEAD_AFTER);
    }

    #[test]
    fn security_row_49_a_sign_that_straddles_the_end_of_an_outage_begins_the_contact_when_it_is_answered() {
        let start = Instant::now();
        let mut contact = Contact::new(start, start);
        let healed = start + seconds(5 + 14);
        contact.gave_sign(start + seconds(5), healed);
        assert_eq!(contact.dead_after(healed), FORGOTTEN_AFTER, "the others had no time for a sign");
        assert!(!contact.is_fresh(healed), "the database may have taken it at once");
        contact.gave_sign(healed + seconds(5), healed + seconds(5));
        contact.gave_sign(healed + seconds(10), healed + seconds(10));
        assert_eq!(contact.dead_after(healed + seconds(14)), FORGOTTEN_AFTER);
        assert_eq!(contact.dead_after(healed + seconds(15)), DEAD_AFTER);
    }

    #[test]
    fn a_database_that_takes_four_seconds_a_statement_is_in_contact() {
        let start = Instant::now();
        let mut contact = Contact::new(start, start + seconds(4));
        for beat in 1..=3 {
            let sent = start + seconds(beat * 9);
            contact.gave_sign(sent, sent + seconds(4));
        }
        assert_eq!(contact.dead_after(start + seconds(31)), DEAD_AFTER);
    }
}
