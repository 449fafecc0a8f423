//! One refresh of a grant at a time: other logins of the grant wait for its result.
//!
//! A flight is one such refresh. It runs in its own task, so a client's hang-up does not cancel it.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::SetOnce;

use super::{AccessToken, Fetched, Inner, TokenFailure, refresh};
use crate::store::Id;

/// The result of a refresh, for all that wait; `None` if its task ended without one. Those that wait go on in the order in
/// which they came.
pub(super) type Flight = Arc<SetOnce<Option<Fetched>>>;

/// What the caller needs from the refresh that it joins.
#[derive(Clone)]
pub(super) enum Wanted {
    /// A token with enough life left for a session.
    Fresh,
    /// Another token than this one, which the provider refused.
    OtherThan(Arc<AccessToken>),
    /// A token that expires after this time: background renewal.
    EndingAfter(OffsetDateTime),
}

impl Wanted {
    /// Whether `token` satisfies the caller; `margin` is the life that a session needs.
    pub(super) fn is_met_by(&self, token: &AccessToken, margin: Duration, now: OffsetDateTime) -> bool {
        match self {
            Self::Fresh => token.expires_at - now > margin,
            Self::OtherThan(refused) => token.secret != refused.secret && token.expires_at > now,
            Self::EndingAfter(time) => token.expires_at > *time && token.expires_at > now,
        }
    }
}

impl Inner {
    /// Waits for the refresh of `grant` that is under way, or starts one.
    pub(super) async fn join(self: &Arc<Self>, grant: &Id, wanted: Wanted) -> Fetched {
        loop {
            let (flight, is_ours) = self.flight(grant, &wanted);
            match (flight.wait().await.clone(), &wanted) {
                (None, _) => return Err(TokenFailure::internal()),
                // A flight that began before the refusal brought the refused token again: try once more. A
                // flight that this caller started is final, because a provider may return the same token
                // again.
                (Some(Ok(token)), Wanted::OtherThan(refused))
                    if token.secret == refused.secret && !is_ours => {}
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
                landing.outcome = Some(refresh::refresh(&inner, &grant, &wanted).await);
            });
            flight
        };
        let flight = self.flights.entry(grant.clone()).or_insert_with(new_flight).clone();
        (flight, is_ours)
    }
}

/// Removes a flight from the map and tells its outcome, however its task ends.
struct Landing<'a> {
    inner: &'a Inner,
    grant: &'a Id,
    flight: &'a Flight,
    outcome: Option<Fetched>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.inner.flights.remove(self.grant);
        let _ = self.flight.set(self.outcome.take());
        self.inner.landed.notify_waiters();
    }
}
