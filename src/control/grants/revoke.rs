//! The one operation that deletes a refresh token.
//!
//! The operation always deletes the token here, and revokes it at the provider if possible; the result covers both.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::config::{Config, Provider};
use crate::control::audit::Deed;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::oauth::Revocation;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Act, Grant, GrantKind, Id, Right, StoreError};
use crate::trouble::{CauseKind, Cure, Trouble};

/// A grant that was ended here.
pub(crate) struct Revoked {
    /// The person who had consented.
    pub(crate) owner: String,
    /// The other accounts that it opened.
    pub(crate) others: Vec<String>,
    /// Its provider; the error is a name that the configuration no longer has.
    pub(crate) provider: Result<Arc<Provider>, String>,
    kind: GrantKind,
    token: Option<Secret>,
    _revoking: Uninterrupted,
}

/// The result at the provider.
pub(crate) enum AtProvider {
    /// Not revoked: it is the application's own right.
    Application,
    /// Not revoked: the stored token could not be opened.
    NotOpened,
    Revoked,
    /// The provider has no revocation endpoint; these are its instructions.
    ByHand(String),
    Failed(Error),
}

/// Ends the authorisation of the account called `name` on this machine.
pub(crate) async fn revoke(installation: &Installation, name: &str) -> Result<Revoked, Error> {
    let record = installation.exact_account(name).await?;
    let account = record.account.name;
    let Some(grant) = record.grant.filter(Grant::is_in_force) else {
        return Err(Error::NothingToRevoke { account });
    };
    let _revoking = Uninterrupted::begin();
    let act = installation.act(Deed::Revoked, &[&account], Some(&grant.owner));
    let cure = Cure::authorize_with("run: ", "");
    let why = Trouble::new(CauseKind::Revoked, "the authorisation was revoked here", cure);
    let token = take(installation, &grant.id, why, &act).await?;
    let others = installation.others_with(&grant.id, &account).await?;
    let kind = grant.kind();
    let provider = installation.config.providers.get(&grant.provider).cloned();
    let provider = provider.ok_or(grant.provider);
    Ok(Revoked { owner: grant.owner, others, provider, kind, token, _revoking })
}

impl Revoked {
    /// Revokes the token at `provider`, the grant's own, if possible.
    pub(crate) async fn at(&self, config: &Config, provider: &Arc<Provider>) -> AtProvider {
        if self.kind == GrantKind::App {
            return AtProvider::Application;
        }
        let Some(token) = &self.token else { return AtProvider::NotOpened };
        let revoked = match Legs::of(config, provider) {
            Ok(legs) => legs.client.revoke(token).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        match revoked {
            Ok(Revocation::Revoked) => AtProvider::Revoked,
            Ok(Revocation::ByHand { instruction }) => AtProvider::ByHand(instruction),
            Err(error) => AtProvider::Failed(error),
        }
    }
}

/// Removes the refresh token from the row, with the reason, and records `act`. `None` if the token cannot be
/// opened.
pub(in crate::control) async fn take(
    installation: &Installation,
    id: &Id,
    why: Trouble,
    act: &Act,
) -> Result<Option<Secret>, Error> {
    loop {
        let grant = installation.store.grant(id).await?;
        let mut grant = grant.ok_or(Error::GrantGone)?;
        let token = match grant.withdraw(why.clone(), OffsetDateTime::now_utc()) {
            Right::Person { refresh_token } => {
                installation.sealer.open_text(&Grant::refresh_context(id), &refresh_token).ok()
            }
            Right::Application | Right::Withdrawn { .. } => None,
        };
        match installation.store.end_grant(&grant, act).await {
            Ok(_) => return Ok(token),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
