//! The one operation that throws a refresh token away.
//!
//! Here it always does; at the provider where it can. What was and was not done is told either way.

use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::oauth::Revocation;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Grant, GrantKind, GrantState, Id, StoreError};

/// A grant that is no longer in force here.
pub struct Revoked {
    /// Who had consented.
    pub owner: String,
    /// The other accounts that it opened.
    pub others: Vec<String>,
    grant: Grant,
    token: Option<Secret>,
    _revoking: Uninterrupted,
}

/// What became of a grant at its provider.
#[derive(Debug)]
pub enum AtProvider {
    /// Nothing: the configuration no longer has it.
    NotConfigured {
        /// The provider's name.
        provider: String,
    },
    /// Nothing: it is the application's own right.
    Application {
        /// The provider's title.
        title: String,
    },
    /// Nothing: the stored token could not be opened.
    NotOpened(ByHand),
    /// It is revoked there, too.
    Revoked {
        /// The provider's title.
        title: String,
    },
    /// The provider has no way for a program; these are its instructions.
    NoWay {
        /// The provider's title.
        title: String,
        /// What a person does there.
        instruction: String,
    },
    /// The provider did not do it.
    Failed(ByHand, Error),
}

/// Where a person withdraws the access.
#[derive(Debug)]
pub struct ByHand {
    /// The provider's title.
    pub title: String,
    /// The page, where it is known.
    pub page: Option<String>,
}

/// Takes the authorisation of the account called `name` back, on this machine.
pub async fn revoke(installation: &Installation, name: &str) -> Result<Revoked, super::error::Error> {
    let record = installation.exact_account(name).await?;
    let account = record.account.name;
    let Some(grant) = record.grant.filter(|grant| grant.refresh_token.is_some()) else {
        return Err(super::error::Error::NothingToRevoke { account });
    };
    let _revoking = Uninterrupted::begin();
    let token = take(installation, &grant.id, REVOKED).await?;
    let others = installation.others_with(&grant.id, &account).await?;
    Ok(Revoked { owner: grant.owner.clone(), others, grant, token, _revoking })
}

impl Revoked {
    /// Takes it back at the provider, too, where that is possible.
    pub async fn at_the_provider(self, installation: &Installation) -> AtProvider {
        let Self { grant, token, .. } = &self;
        let Some(provider) = installation.config.providers.get(&grant.provider) else {
            return AtProvider::NotConfigured { provider: grant.provider.clone() };
        };
        let title = provider.title.clone();
        if grant.kind == GrantKind::App {
            return AtProvider::Application { title };
        }
        let by_hand = ByHand { title: title.clone(), page: provider.revoke_page.clone() };
        let Some(token) = token else { return AtProvider::NotOpened(by_hand) };
        let revoked = match Legs::of(provider) {
            Ok(legs) => legs.client.revoke(token).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        match revoked {
            Ok(Revocation::Revoked) => AtProvider::Revoked { title },
            Ok(Revocation::ByHand { instruction }) => AtProvider::NoWay { title, instruction },
            Err(error) => AtProvider::Failed(by_hand, error),
        }
    }
}

/// Why a grant without a refresh token has none, for `tokens list`.
const REVOKED: &str = "the authorisation was revoked here; run: imap-oauth-proxy authorize {account}";

/// Takes the refresh token out of the row, and says why there. `None` where it does not open.
pub(in crate::control) async fn take(
    installation: &Installation,
    id: &Id,
    why: &str,
) -> Result<Option<Secret>, Error> {
    loop {
        let grant = installation.store.grant(id).await?;
        let mut grant = grant.ok_or(Error::GrantGone)?;
        let context = Grant::refresh_context(id);
        let sealed = grant.refresh_token.take();
        let token = sealed.and_then(|sealed| installation.sealer.open_text(&context, &sealed).ok());
        grant.access_token = None;
        grant.access_expires_at = None;
        grant.state = GrantState::NeedsAuthorization;
        grant.last_error = Some(why.to_owned());
        grant.failed_at = Some(time::OffsetDateTime::now_utc());
        grant.retry_at = None;
        match installation.store.update_grant(&grant, None).await {
            Ok(_) => return Ok(token),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
