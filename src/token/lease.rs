//! This process's right to refresh one grant: the store's lease, from its taking to its end.
//!
//! Two things can go wrong. First, a process that is suspended counts as dead after a while, and another process takes
//! its lease; so a lease that was taken long ago is taken again before the provider is asked. Second, if the store does
//! not answer, the lease may stay in the row, and no other process takes it from a living one; so the release is
//! repeated until the store confirms it.

use std::sync::atomic::{AtomicBool, Ordering};

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::Inner;
use crate::store::{Id, Leased, StoreError, Takeover};

/// How long to wait for a lease whose holder is alive: a holder that was suspended, or whose disk is full,
/// may have a rotated refresh token in memory. The lease of a dead process is taken over, once the row's access token is over.
const LEASE: Duration = Duration::hours(1);
/// A lease older than this may belong to another process by the time the provider is asked: the taking of it was a sign
/// of life, and a process without a sign counts as dead after 30 s. Of these a connection to the provider takes up to
/// 10 s, and 5 s are left for clocks that differ. A slow database takes some seconds for each of the two statements that
/// come between.
const SURE_FOR: Duration = Duration::seconds(15);
/// The longest pause between two tries to give a lease back: the grant's logins at this process fail meanwhile.
const LONGEST_RELEASE_PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// A lease of this process.
pub(super) struct Lease<'a> {
    pub(super) inner: &'a Inner,
    id: &'a Id,
    /// The store's epoch when the lease was taken.
    pub(super) epoch: u64,
    /// When the lease was asked for, by both clocks: the monotonic one stands still while a machine is suspended.
    began: Instant,
    now: OffsetDateTime,
    /// Whether the lease may be in the row.
    held: &'a AtomicBool,
}

impl<'a> Lease<'a> {
    /// The lease on grant `id`, not taken yet.
    pub(super) fn of(inner: &'a Inner, id: &'a Id, held: &'a AtomicBool) -> Self {
        let (began, now) = (Instant::now(), inner.clock.now());
        Self { inner, id, epoch: inner.store.epoch(), began, now, held }
    }

    /// Takes the lease, if no other process has it.
    pub(super) async fn take(&self, takeover: Takeover) -> Result<Leased, StoreError> {
        // If no answer comes, the lease may be taken nevertheless.
        self.held.store(true, Ordering::Relaxed);
        let until = self.now.saturating_add(LEASE);
        let leased = self.inner.store.take_lease(self.id, self.now, until, takeover).await?;
        self.held.store(leased == Leased::Taken, Ordering::Relaxed);
        Ok(leased)
    }

    /// Whether another process may have the lease by now.
    pub(super) fn is_old(&self) -> bool {
        let passed = (self.inner.clock.now() - self.now).abs();
        passed > SURE_FOR || self.began.elapsed() > SURE_FOR
    }

    /// Releases the lease without another change to the row.
    pub(super) async fn release(&self) {
        match self.inner.store.release_lease(self.id).await {
            Ok(()) => self.is_over(),
            Err(error) => tracing::debug!("a lease was not released: {error}"),
        }
    }

    /// A write to the row has released the lease.
    pub(super) fn is_over(&self) {
        self.held.store(false, Ordering::Relaxed);
    }
}

/// Releases a lease that may still be in the row, and repeats that until the store confirms it: while this process
/// lives, no other process takes the lease, so the grant's logins there would wait for [`LEASE`].
pub(super) async fn give_back(inner: &Inner, id: &Id) {
    let mut pause = std::time::Duration::from_secs(1);
    while let Err(error) = inner.store.release_lease(id).await {
        tracing::debug!("a lease is not released yet: {error}");
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_RELEASE_PAUSE);
    }
}
