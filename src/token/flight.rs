//! One refresh of a grant at a time: other logins of the grant wait for its result.
//!
//! A flight is one such refresh. It runs in its own task, so a client's hang-up does not cancel it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use time::{Duration, OffsetDateTime};
use tokio::sync::SetOnce;

use super::{AccessToken, Fetched, Inner, TokenFailure, lease, refresh};
use crate::store::Id;

/// How often a login looks whether a refresh has given back its lease.
const LANDED_POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// The result of a refresh, for all logins that wait; `None` if its task ended without one. The logins go on in the
/// order in which they came.
pub(super) type Flight = Arc<SetOnce<Option<Fetched>>>;

/// What the caller needs from the refresh that it joins.
#[derive(Clone)]
pub(super) enum Wanted {
    /// A token with enough life left for a session.
    Fresh,
    /// Another token than this one, which the provider refused.
    OtherThan(Arc<AccessToken>),
    /// Another token than this one, because a person asked for it.
    NewerThan(Arc<AccessToken>),
    /// A token that expires after this time: background renewal.
    EndingAfter(OffsetDateTime),
}

impl Wanted {
    /// Whether `token` satisfies the caller; `margin` is the life that a session needs.
    pub(super) fn is_met_by(&self, token: &AccessToken, margin: Duration, now: OffsetDateTime) -> bool {
        match self {
            Self::Fresh => token.expires_at - now > margin,
            Self::OtherThan(refused) | Self::NewerThan(refused) => {
                token.secret != refused.secret && token.expires_at > now
            }
            Self::EndingAfter(time) => token.expires_at > *time && token.expires_at > now,
        }
    }
}

impl Inner {
    /// Waits for the refresh of `grant` that is under way, or starts one.
    pub(super) async fn join(self: &Arc<Self>, grant: &Id, wanted: Wanted) -> Fetched {
        let mut is_second = false;
        loop {
            let (flight, is_ours) = self.flight(grant, &wanted);
            let has_landed = flight.initialized();
            match (flight.wait().await.clone(), &wanted) {
                (None, _) => return Err(TokenFailure::internal()),
                // This flight has its token already and only gives back its lease: wait for its end, then start a new
                // one. A failure, however, is current: the store is away.
                (Some(Ok(_)), _) if has_landed => tokio::time::sleep(LANDED_POLL).await,
                // A flight that began before the refusal brought the refused token again: try once more. A
                // flight that this caller started is final, because a provider may return the same token
                // again.
                (Some(Ok(token)), Wanted::OtherThan(refused) | Wanted::NewerThan(refused))
                    if token.secret == refused.secret && !is_ours => {}
                // It may have waited for a holder's lease that this caller may take.
                (Some(Err(TokenFailure::Unavailable(_))), Wanted::OtherThan(_)) if !is_ours && !is_second => {
                    is_second = true;
                }
                (Some(outcome), _) => return outcome,
            }
        }
    }

    /// The flight of `grant`, and whether this call started it.
    fn flight(self: &Arc<Self>, grant: &Id, wanted: &Wanted) -> (Flight, bool) {
        let mut is_ours = false;
        let new_flight = || {
            is_ours = true;
            let flight = Flight::default();
            let (inner, grant, wanted, result) =
                (self.clone(), grant.clone(), wanted.clone(), flight.clone());
            tokio::spawn(async move {
                let mut landing = Landing { inner: &inner, grant: &grant, flight: &result, outcome: None };
                let held = AtomicBool::new(false);
                landing.outcome = Some(refresh::refresh(&inner, &grant, &wanted, &held).await);
                if held.into_inner() {
                    // The flight stays in the map until its lease is given back, so that no other flight of this
                    // process takes the lease in between.
                    landing.tell();
                    lease::give_back(&inner, &grant).await;
                }
            });
            flight
        };
        let flight = self.flights.entry(grant.clone()).or_insert_with(new_flight).clone();
        (flight, is_ours)
    }
}

/// Removes a flight from the map and publishes its outcome, also when its task panics.
struct Landing<'a> {
    inner: &'a Inner,
    grant: &'a Id,
    flight: &'a Flight,
    outcome: Option<Fetched>,
}

impl Landing<'_> {
    /// Publishes the outcome; a second call changes nothing.
    fn tell(&mut self) {
        let _ = self.flight.set(self.outcome.take());
        self.inner.landed.notify_waiters();
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.inner.flights.remove(self.grant);
        self.tell();
    }
}
