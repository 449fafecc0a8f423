//! Who is verified when a throttled bucket has one attempt to give.
//!
//! Attempts that come while their bucket is empty are refused, and take part in a draw. When the bucket
//! allows one more, one of them, picked at random, is verified in the background, and what comes out is
//! remembered for its next try. So the owner gets in beside a guesser, and a guesser who knows the moment
//! gains nothing by it. An entry keeps one attempt, whatever number takes part (reservoir sampling), and
//! whether or not there is such an account.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

use super::origin::{AttemptKey, LONGEST_NAME};
use crate::secret::{Secret, random_bytes};

/// Draws at once: a megabyte of passwords at most. Attempts beyond them are refused and that is all.
const DRAWS: usize = 1024;
/// Passwords that people choose are shorter by far.
const LONGEST_PASSWORD: usize = 1024;

/// A login that could be verified.
pub(super) struct Candidate {
    /// As the client sent it; the account is looked up anew, because it may be gone by then.
    pub(super) name: String,
    pub(super) password: Secret,
    /// Where it came from: a password may be limited to networks.
    pub(super) from: IpAddr,
}

impl Candidate {
    /// `None` where it is too long to be kept.
    pub(super) fn new(name: &str, password: &Secret, from: IpAddr) -> Option<Self> {
        let short = name.len() <= LONGEST_NAME && password.expose().len() <= LONGEST_PASSWORD;
        short.then(|| Self { name: name.to_owned(), password: password.clone(), from })
    }
}

/// An attempt in a draw.
pub(super) struct Ticket {
    pub(super) key: AttemptKey,
    /// Absent where there is nothing to verify.
    pub(super) candidate: Option<Candidate>,
}

/// A draw that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) bucket: u64,
    pub(super) at: Instant,
}

/// The draws that wait for their time, one a bucket.
#[derive(Default)]
pub(super) struct Draws(HashMap<u64, Entry>);

struct Entry {
    at: Instant,
    seen: u64,
    kept: Ticket,
}

impl Draws {
    /// Whether the next attempt that `bucket` allows is to be drawn now, and no other may take it.
    pub(super) fn is_due(&self, bucket: u64, now: Instant) -> bool {
        self.0.get(&bucket).is_some_and(|entry| entry.at <= now)
    }

    /// Takes part in the draw of `draw.bucket`. Returns `draw` where it is a new one, for the caller to wait
    /// for. `candidate` is asked for only where it is kept.
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

    /// Ends the draw of `bucket` with its winner.
    pub(super) fn end(&mut self, bucket: u64) -> Option<Ticket> {
        self.0.remove(&bucket).map(|entry| entry.kept)
    }
}
