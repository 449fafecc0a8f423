//! One refresh of a grant at a time: other logins of the grant wait for its result.
//!
//! A flight is one such refresh. It runs in its own task, so a client's hang-up does not cancel it.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use super::{AccessToken, Fetched, Inner, TokenFailure, refresh};
use crate::store::Id;

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
            let (mut flight, is_ours) = self.flight(grant, &wanted);
            let outcome = match flight.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            };
            match (outcome, &wanted) {
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
    fn flight(self: &Arc<Self>, grant: &Id, wanted: &Wanted) -> (watch::Receiver<Option<Fetched>>, bool) {
        let mut is_ours = false;
        let new_flight = || {
            is_ours = true;
            let (result, flight) = watch::channel(None);
            let (inner, grant, wanted) = (self.clone(), grant.clone(), wanted.clone());
            tokio::spawn(async move {
                let landing = Landing { inner: &inner, grant: &grant };
                let outcome = refresh::refresh(&inner, &grant, &wanted).await;
                drop(landing);
                let _ = result.send(Some(outcome));
            });
            flight
        };
        let flight = self.flights.entry(grant.clone()).or_insert_with(new_flight).clone();
        (flight, is_ours)
    }
}

/// Removes a flight from the map however its task ends.
struct Landing<'a> {
    inner: &'a Inner,
    grant: &'a Id,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.inner.flights.remove(self.grant);
        self.inner.landed.notify_waiters();
    }
}
