//! What a process knows of its own contact with the database that it shares with others.
//!
//! After an outage of the database every holder of a lease looks dead, and one of them may keep a rotated token that it
//! could not store. So a process believes in a death only when it has reached the database for [`CONTACT`] without a
//! break: by then the living have given a sign. A sign counts from the moment when it was sent, because the database may
//! have taken it at once; the contact counts from the moment when it was answered, because the database may have been away
//! until then.
//!
//! The clock that dates the signs is the database's, and it may jump, as where another server takes over. Then all look dead,
//! too, until their next sign; so a jump is a break. And a statement that takes a lease is executed soon or not at all: what
//! it believes may be wrong later.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two signs of life.
pub const BEAT: Duration = Duration::from_secs(5);
/// No lease is taken on an older sign than this, which is far below [`DEAD_AFTER`].
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The number of seconds without a sign after which a holder is dead.
pub const DEAD_AFTER: i64 = 30;
/// How long a process must have reached the database before it takes the lease of a silent holder: a living holder gives
/// a sign every [`BEAT`], and may have to make a lost connection again.
const CONTACT: Duration = Duration::from_secs(15);
/// A longer outage may have made the living look dead. Shorter than [`DEAD_AFTER`] by the pause between two signs
/// and the time that a connection takes; longer than that pause and two statements of a slow database.
const BREAK: Duration = Duration::from_secs(15);
/// The most by which the database's clock may gain on this process's clock from one sign to the next.
const JUMP: Duration = Duration::from_secs(5);
/// How long after its process has asked a statement that takes a lease may be executed, by the clock of the database. The
/// process does not wait for a later answer.
const TAKES: Duration = Duration::from_secs(12);
/// Rows of the dead are removed after this many seconds.
pub const FORGOTTEN_AFTER: i64 = 86_400;

/// The contact of one process, from its first sign of life on.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    /// When the last sign that the database has was sent.
    beaten: Instant,
    /// When the database took it, by its clock: microseconds since 1970.
    seen: i64,
    /// When the last sign was answered.
    answered: Instant,
    /// When the first sign after the last break was answered.
    since: Instant,
}

impl Contact {
    /// The first sign of life, which was sent at `sent` and taken at `seen`, is answered at `now`.
    pub fn new(sent: Instant, seen: i64, now: Instant) -> Self {
        Self { beaten: sent, seen, answered: now, since: now }
    }

    /// Another sign is answered.
    pub fn gave_sign(&mut self, sent: Instant, seen: i64, now: Instant) {
        let most = micros(now.duration_since(self.beaten).saturating_add(JUMP));
        if now.duration_since(self.answered) > BREAK || seen.saturating_sub(self.seen) > most {
            self.since = now;
        }
        self.answered = now;
        if sent >= self.beaten {
            (self.beaten, self.seen) = (sent, seen);
        }
    }

    /// Until when the database may execute a taking of a lease that is asked for now, by the database's clock.
    pub fn take_until(&self, now: Instant) -> i64 {
        self.seen.saturating_add(micros(now.duration_since(self.beaten).saturating_add(TAKES)))
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

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database whose clock showed 1000 s at the start.
    fn at(seconds: u64) -> i64 {
        micros(Duration::from_secs(1000 + seconds))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_death_is_believed_after_a_while_of_contact() {
        let start = Instant::now();
        let mut contact = Contact::new(start, at(0), start);
        for beat in [5, 10] {
            contact.gave_sign(start + seconds(beat), at(beat), start + seconds(beat));
        }
        assert_eq!(contact.dead_after(start + seconds(14)), FORGOTTEN_AFTER);
        assert_eq!(contact.dead_after(start + seconds(15)), DEAD_AFTER);
    }

    #[test]
    fn security_row_49_a_sign_that_straddles_the_end_of_an_outage_begins_the_contact_when_it_is_answered() {
        let start = Instant::now();
        let mut contact = Contact::new(start, at(0), start);
        let healed = start + seconds(5 + 14);
        contact.gave_sign(start + seconds(5), at(19), healed);
        assert_eq!(contact.dead_after(healed), FORGOTTEN_AFTER, "the others had no time for a sign");
        assert!(!contact.is_fresh(healed), "the database may have taken it at once");
        contact.gave_sign(healed + seconds(5), at(24), healed + seconds(5));
        contact.gave_sign(healed + seconds(10), at(29), healed + seconds(10));
        assert_eq!(contact.dead_after(healed + seconds(14)), FORGOTTEN_AFTER);
        assert_eq!(contact.dead_after(healed + seconds(15)), DEAD_AFTER);
    }

    #[test]
    fn a_database_that_takes_four_seconds_a_statement_is_in_contact() {
        let start = Instant::now();
        let mut contact = Contact::new(start, at(4), start + seconds(4));
        for beat in 1..=3 {
            let sent = start + seconds(beat * 9);
            contact.gave_sign(sent, at(beat * 9 + 4), sent + seconds(4));
        }
        assert_eq!(contact.dead_after(start + seconds(31)), DEAD_AFTER);
    }

    #[test]
    fn security_row_49_where_the_clock_of_the_database_jumps_ahead_no_death_is_believed() {
        let start = Instant::now();
        let mut contact = Contact::new(start, at(0), start);
        for beat in 1..=4 {
            contact.gave_sign(start + seconds(5 * beat), at(5 * beat), start + seconds(5 * beat));
        }
        let now = start + seconds(25);
        assert_eq!(contact.dead_after(now), DEAD_AFTER);
        assert_eq!(contact.take_until(now), at(25 + 12), "no lease is taken before the next sign");
        contact.gave_sign(now, at(25 + 60), now);
        assert_eq!(contact.dead_after(now), FORGOTTEN_AFTER);
        contact.gave_sign(now + seconds(5), at(30), now + seconds(5));
        assert_eq!(
            contact.dead_after(now + seconds(15)),
            DEAD_AFTER,
            "a jump back makes the dead look alive"
        );
    }
}
