//! A mailbox that its owner opens with the grant that the owner gave already.

use std::sync::Arc;

use super::plan::{Progress, Tell};
use super::storing::{Authorized, Proof, Seat};

use crate::config::Provider;
use crate::control::error::Error;
use crate::control::grants;
use crate::control::installation::Installation;
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::shutdown::Uninterrupted;
use crate::store::{Grant, GrantKind, GrantState, Mailbox};
use crate::token::{AccessToken, TokenFailure};

/// The owner's grant, and a token of it.
pub(super) struct Reuse {
    grant: Grant,
    token: Arc<AccessToken>,
}

/// The grant of the owner, where it is usable; `None` where a new consent is needed.
pub(super) async fn reuse(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    tell: Tell<'_>,
) -> Result<Option<Reuse>, Error> {
    let known = installation.store.grant_of(&provider.name, &seat.owner, GrantKind::Person).await?;
    let Some(grant) = known.filter(|grant| {
        grant.is_in_force()
            && matches!(grant.state, GrantState::Ok | GrantState::Retrying)
            && grants::missing_scopes(provider, grant).is_empty()
    }) else {
        return Ok(None);
    };
    tell(Progress::TryingOwnersGrant { owner: &seat.owner, account: &seat.account });
    let legs = Legs::of_configured(&installation.config)?;
    let token = {
        // A provider that rotates may have spent the old token: its answer must reach the disk.
        let _refreshing = Uninterrupted::begin();
        installation.tokens(&legs).access(&grant, &Mailbox::Own).await
    };
    match token {
        Ok(token) => Ok(Some(Reuse { grant, token })),
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
    /// Attaches the account to the grant, once that has opened its mailbox.
    pub(super) async fn finish(
        self,
        installation: &Installation,
        legs: &Legs,
        seat: Seat,
    ) -> Result<Authorized, Error> {
        let folders = match prove(legs, seat.names(), &self.token.secret).await {
            Ok(folders) => folders,
            Err(unproven) => {
                return Err(Error::NotTheOwners {
                    owner: seat.owner,
                    account: seat.account,
                    unproven: unproven.into(),
                });
            }
        };
        let seat = Seat { owner: self.grant.owner, ..seat };
        seat.attach(installation, self.grant.id, Proof::Opened { folders }).await
    }
}
