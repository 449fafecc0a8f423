//! Which attempt is verified when a throttled bucket has room for one.
//!
//! Attempts that arrive while their bucket is empty are refused, and take part in a draw. When the bucket has
//! room again, one of them, picked at random, is verified in the background, and the result is remembered for
//! that client's next try. So an owner can log in while a guesser keeps the bucket empty, and a guesser gains nothing
//! by sending an attempt at exactly that moment. A draw stores one attempt, however many take part (reservoir
//! sampling), and whether or not the account exists.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

use super::origin::{AttemptKey, LONGEST_NAME};
use crate::secret::{Secret, random_bytes};

/// Concurrent draws: they store a megabyte of passwords at most. Further attempts are refused without a draw.
const DRAWS: usize = 1024;
/// Longer passwords are not stored. Chosen passwords are far shorter.
const LONGEST_PASSWORD: usize = 1024;

/// The name and password of an attempt, to be verified later.
pub(super) struct Candidate {
    /// As the client sent it. The account is looked up again at the draw, because it may have been removed.
    pub(super) name: String,
    pub(super) password: Secret,
    /// The client's address: a password may be limited to networks.
    pub(super) from: IpAddr,
}

impl Candidate {
    /// `None` if the password is too long to store.
    pub(super) fn new(name: &str, password: &Secret, from: IpAddr) -> Option<Self> {
        let short = name.len() <= LONGEST_NAME && password.expose().len() <= LONGEST_PASSWORD;
        short.then(|| Self { name: name.to_owned(), password: password.clone(), from })
    }
}

/// An attempt in a draw.
pub(super) struct Ticket {
    pub(super) key: AttemptKey,
    /// Absent if there is nothing to verify.
    pub(super) candidate: Option<Candidate>,
}

/// A bucket's draw, and the time when it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) bucket: u64,
    pub(super) at: Instant,
}

/// The draws that are not due yet, one a bucket.
#[derive(Default)]
pub(super) struct Draws(HashMap<u64, Entry>);

struct Entry {
    at: Instant,
    seen: u64,
    kept: Ticket,
}

impl Draws {
    /// Whether the draw of `bucket` is due, so that no other attempt may take its charge.
    pub(super) fn is_due(&self, bucket: u64, now: Instant) -> bool {
        self.0.get(&bucket).is_some_and(|entry| entry.at <= now)
    }

    /// Takes part in the draw of `draw.bucket`. Returns `draw` if it is new, for the caller to wait for.
    /// `candidate` is called only if the draw keeps this attempt.
    pub(super) fn enter(
        &mut self,
        draw: Draw,
        key: AttemptKey,
        candidate: impl FnOnce() -> Option<Candidate>,
    ) -> Option<Draw> {
        if let Some(entry) = self.0.get_mut(&draw.bucket) {
            entry.seen = entry.seen.saturating_add(1);
            if u64::from_ne_bytes(random_bytes()) % entry.seen == 0 {
                entry.kept = Ticket { key, candidate: candidate() };
            }
            return None;
        }
        if self.0.len() >= DRAWS {
            return None;
        }
        let kept = Ticket { key, candidate: candidate() };
        self.0.insert(draw.bucket, Entry { at: draw.at, seen: 1, kept });
        Some(draw)
    }

    /// Ends the draw of `bucket` and returns its winner.
    pub(super) fn end(&mut self, bucket: u64) -> Option<Ticket> {
        self.0.remove(&bucket).map(|entry| entry.kept)
    }
}
