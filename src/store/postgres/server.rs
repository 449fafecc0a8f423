//! What the connections of this process have shown of the server at their other end.
//!
//! sqlx prepares a statement under a name, which a pooler in transaction mode passes on to any connection of the server.
//! So names are used only once it is proven that connections are the server's own ([`super::pool`]). And a connection that
//! answered a moment ago says more of the server than one that cannot be made ([`super::pulse`]).

use std::sync::{Mutex, OnceLock};

use std::time::{Duration, Instant};

use crate::mutex::lock;

/// The server, as it has shown itself.
#[derive(Debug, Default)]
pub(super) struct Server {
    proven: OnceLock<Instant>,
    answered: Mutex<Option<Instant>>,
    doubted: Mutex<Option<Instant>>,
}

impl Server {
    /// The server itself is at the other end, or a pooler that keeps a connection for a session.
    pub(super) fn prove(&self) {
        self.proven.get_or_init(Instant::now);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.get().is_some()
    }

    /// Whether it was proven after `moment`.
    pub(super) fn is_proven_after(&self, moment: Instant) -> bool {
        self.proven.get().is_some_and(|proven| *proven > moment)
    }

    /// A connection has brought an answer.
    pub(super) fn answers(&self) {
        *lock(&self.answered) = Some(Instant::now());
    }

    /// Whether any connection has brought an answer so lately.
    pub(super) fn has_answered_within(&self, time: Duration) -> bool {
        let answered = *lock(&self.answered);
        answered.is_some_and(|answered| answered.elapsed() < time)
    }

    /// A connection has ended, or brought no answer: the server may have ended the others, too.
    pub(super) fn doubt(&self) {
        *lock(&self.doubted) = Some(Instant::now());
    }

    /// Whether any connection has ended since `moment`.
    pub(super) fn is_doubted_since(&self, moment: Instant) -> bool {
        lock(&self.doubted).is_some_and(|doubted| doubted >= moment)
    }
}
