//! A shared mailbox, opened with the existing grant of its owner.

use std::sync::Arc;

use super::doors::{Certainty, Doors};
use super::plan::{Progress, Tell};
use super::storing::{Authorized, Seat};

use crate::config::Provider;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::shutdown::Uninterrupted;
use crate::store::{Grant, GrantState, Granted, Mailbox};
use crate::token::{AccessToken, TokenFailure};

/// The owner's grant, and an access token of it.
pub(super) struct Reuse {
    grant: Grant,
    doors: Doors,
    token: Arc<AccessToken>,
}

/// The owner's grant, if it is usable; `None` if a new consent is needed.
pub(super) async fn reuse(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    doors: &Doors,
    known: Option<Grant>,
    tell: Tell<'_>,
) -> Result<Option<Reuse>, Error> {
    let Some(grant) = known.filter(|grant| {
        grant.is_in_force()
            && matches!(grant.state, GrantState::Ok | GrantState::Retrying)
            && doors.are_opened_by(provider, grant)
    }) else {
        return Ok(None);
    };
    tell(Progress::TryingOwnersGrant { owner: &seat.owner, account: &seat.account });
    let legs = Legs::of_configured(&installation.config)?;
    let token = {
        // A provider that rotates may have invalidated the old token: its answer must be stored.
        let _refreshing = Uninterrupted::begin();
        installation.tokens(&legs).access(&grant, &Mailbox::Own).await
    };
    match token {
        Ok(token) => Ok(Some(Reuse { grant, doors: doors.clone(), token })),
        Err(TokenFailure::NeedsAuthorization { .. }) => {
            tell(Progress::OwnersGrantEnded { owner: &seat.owner });
            Ok(None)
        }
        Err(failure) => Err(Error::NoToken {
            account: seat.account.clone(),
            grant: Box::new(grant.clone()),
            failure: Box::new(failure),
        }),
    }
}

impl Reuse {
    /// Attaches the account to the grant, after the grant has opened the mailbox.
    pub(super) async fn finish(
        self,
        installation: &Installation,
        legs: &Legs,
        seat: Seat,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let (scopes, token) = (self.grant.known_scopes(), &self.token.secret);
        let proven = self.doors.prove(legs, seat.names(), scopes, token, Certainty::Unknown, tell).await;
        let proofs = proven.map_err(|(door, why)| {
            let Seat { owner, account, .. } = &seat;
            Error::NotTheOwners { owner: owner.clone(), account: account.clone(), door, why }
        })?;
        let seat = Seat { owner: self.grant.owner, ..seat };
        seat.put(installation, Granted::Existing(self.grant.id), proofs).await
    }
}
