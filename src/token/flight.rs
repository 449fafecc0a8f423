//! One refresh of a grant at a time: logins that come meanwhile wait for its result.
//!
//! A flight is a task of its own, so that a mail program that hangs up cancels nothing.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use super::{AccessToken, Fetched, Inner, TokenFailure, refresh};
use crate::store::Id;

/// What a joined refresh has to bring.
#[derive(Clone)]
pub(super) enum Wanted {
    /// A token with a session's worth of life.
    Fresh,
    /// Another token than this one, which the provider refused.
    OtherThan(Arc<AccessToken>),
    /// A token that ends later than that, before a login has to wait for one.
    EndingAfter(OffsetDateTime),
}

impl Wanted {
    /// Whether `token` will do, where a session needs `margin` of its life.
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
                // That flight had begun before the token was refused, and brought the same one. One that
                // began for us is final: a provider may answer with the same token again.
                (Some(Ok(token)), Wanted::OtherThan(refused))
                    if token.secret == refused.secret && !is_ours => {}
                (Some(outcome), _) => return outcome,
            }
        }
    }

    /// The flight of `grant`, and whether it was started for this caller.
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

/// Takes a flight off the map however its task ends.
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
