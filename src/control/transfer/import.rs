//! The import: stores another installation's export, and then tests it.

use std::sync::Arc;

use time::OffsetDateTime;

use super::judge;
use super::parcel::Parcel;
use crate::config::{Door, Names};
use crate::control::audit::Deed;
use crate::control::doors;
use crate::control::error::{Error, Unproven};
use crate::control::installation::Installation;
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::shutdown::Uninterrupted;
use crate::store::{Authorization, Grant, GrantKind, Granted, Id, Mailbox, Right, fold};
use crate::token::{AccessToken, TokenFailure};

/// Whether the parcel can be stored here; `replace` allows it to replace an existing account.
pub(crate) async fn check(installation: &Installation, parcel: &Parcel, replace: bool) -> Result<(), Error> {
    judge::judge(parcel, OffsetDateTime::now_utc())?;
    let Some(provider) = installation.config.providers.get(&parcel.provider) else {
        return Err(Error::ProviderMissing { provider: parcel.provider.clone() });
    };
    if provider.client_id != parcel.client_id {
        return Err(Error::AnotherClient {
            provider: parcel.provider.clone(),
            theirs: parcel.client_id.as_ref().map_or("none".to_owned(), |id| format!("{id:?}")),
        });
    }
    let here = installation.known_account(&parcel.account).await?;
    if let Some(here) = here.as_ref().filter(|here| fold(&here.account.name) != fold(&parcel.account)) {
        let (alias, account) = (parcel.account.clone(), here.account.name.clone());
        return Err(Error::AliasHere { alias, account });
    }
    let has_account = here.is_some();
    let known = installation.store.grant_of(&parcel.provider, &parcel.owner, GrantKind::Person).await?;
    // A withdrawn grant would become valid again for its other accounts too.
    let has_grant = match &known {
        Some(grant) if grant.is_in_force() => true,
        Some(grant) => !installation.others_with(&grant.id, &parcel.account).await?.is_empty(),
        None => false,
    };
    match !replace && (has_account || has_grant) {
        true => Err(Error::AlreadyHere { account: parcel.account.clone() }),
        false => Ok(()),
    }
}

/// A parcel that was stored.
pub(crate) struct Imported {
    pub(crate) parcel: Parcel,
    pub(crate) grant: Grant,
    pub(crate) is_disabled: bool,
}

/// The result of the test of a stored parcel. The account stays in any case.
pub(crate) enum Trial {
    /// This installation has no client for the provider.
    NoClient,
    /// There is no access token yet, for this reason.
    NoToken(TokenFailure),
    /// The mailbox did not open.
    Unproven(Unproven),
    /// The mailbox opened.
    Opened { folders: Option<usize>, token: Arc<AccessToken> },
}

impl Imported {
    /// Stores a parcel that was checked.
    pub(crate) async fn store(installation: &Installation, parcel: Parcel) -> Result<Self, Error> {
        let _storing = Uninterrupted::begin();
        let _lock = installation.sealing().await?;
        let store = &installation.store;
        let known = store.grant_of(&parcel.provider, &parcel.owner, GrantKind::Person).await?;
        let id = known.map_or_else(Id::random, |known| known.id);
        let context = Grant::refresh_context(&id);
        let refresh_token = installation.sealer.seal(&context, parcel.refresh_token.as_bytes())?;
        let right = Right::Person { refresh_token };
        let (provider, owner) = (&parcel.provider, &parcel.owner);
        let mut grant = Grant::new(id.clone(), provider, owner, right, parcel.authorized_at);
        grant.scopes.clone_from(&parcel.scopes);
        grant.refreshed_at = parcel.refreshed_at;
        grant.refresh_expires_at = parcel.refresh_expires_at;
        let authorization = Authorization {
            account: parcel.account.clone(),
            aliases: parcel.aliases.clone(),
            grant: Granted::New(Box::new(grant)),
            id: Id::random(),
            password: None,
            // An account that is disabled here stays disabled.
            disabled: parcel.disabled,
        };
        let here = installation.known_account(&parcel.account).await?;
        let name = here.as_ref().map_or(&parcel.account, |here| &here.account.name);
        let act = installation.act(Deed::Imported, &[name], Some(owner));
        let is_disabled = store.authorize(&authorization, &[act]).await?.disabled;
        let grant = store.grant(&id).await?.ok_or(Error::RemovedAgain)?;
        Ok(Self { parcel, grant, is_disabled })
    }

    /// Fetches a token and opens the mailbox.
    pub(crate) async fn try_it(&self, installation: &Installation) -> Result<Trial, Error> {
        let legs = Legs::of_configured(&installation.config)?;
        let Some(own) = legs.get(&self.grant.provider) else { return Ok(Trial::NoClient) };
        let _refreshing = Uninterrupted::begin();
        let token = match installation.tokens(&legs).access(&self.grant, &Mailbox::Own).await {
            Ok(token) => token,
            Err(failure) => return Ok(Trial::NoToken(failure)),
        };
        let names = Names { account: &self.parcel.account, owner: self.grant.person(), remembered: None };
        // One door shows that the mailbox exists; the other doors are tested by logins.
        let door = doors::of_grant(&installation.config, &own.provider, &self.grant);
        let door = door.first().copied().unwrap_or(Door::Imap);
        Ok(match prove(own, door, names, &token.secret).await {
            Ok(folders) => Trial::Opened { folders, token },
            Err(unproven) => Trial::Unproven(unproven),
        })
    }
}
