//! Stores a new grant.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::doors::{Certainty, Doors, Proof, Proofs};
use super::plan::Tell;

use crate::config::{Door, Names, Provider};
use crate::control::audit::Deed;
use crate::control::error::{Error, LeftOut};
use crate::control::installation::Installation;
use crate::control::passwords;
use crate::control::providers::Legs;
use crate::oauth::{AuthorizeError, GrantedTokens};
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Authorization, Grant, GrantKind, Granted, Id, LoginRecord, Right, fold, takes_consent};

/// An account whose grant is stored.
#[derive(Debug)]
pub(crate) struct Authorized {
    pub(crate) account: String,
    /// The person who consented; the account's name for an application's grant.
    pub(crate) owner: String,
    pub(crate) proofs: Proofs,
    /// The new app password, if the account had none.
    pub(crate) password: Option<Secret>,
}

impl Authorized {
    /// The doors that were not left out, and `door`: the doors to request in order to add `door`.
    pub(crate) fn doors_with(&self, door: Door) -> Vec<Door> {
        let wanted =
            self.proofs.iter().filter(|(other, proof)| *other == door || !matches!(proof, Proof::LeftOut(_)));
        wanted.map(|(wanted, _)| *wanted).collect()
    }
}

/// A new account and its names.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) account: String,
    pub(super) owner: String,
    pub(super) aliases: Vec<String>,
    /// The name of its first password, if one is to be made.
    pub(super) password: Option<String>,
    /// Whether the consent mends an existing account. If that account is gone by the end, none is made.
    pub(super) is_mended: bool,
}

/// Signs in with the new token of a person's grant, then stores the grant. If the identity is known, a provider
/// that cannot be reached now does not cost the consent.
pub(super) async fn prove_and_store(
    installation: &Installation,
    legs: &Legs,
    seat: Seat,
    doors: &Doors,
    tokens: GrantedTokens,
    certainty: Certainty,
    tell: Tell<'_>,
) -> Result<Authorized, Error> {
    let scopes = tokens.scopes.as_deref();
    let proven = doors.prove(legs, seat.names(), scopes, &tokens.access_token, certainty, tell).await;
    let proofs = proven.map_err(|(door, why)| match *why {
        LeftOut::NotGranted(missing) => {
            let granted = scopes.unwrap_or_default().to_vec();
            Error::provider(&seat.account, AuthorizeError::ScopesMissing { missing, granted })
        }
        LeftOut::Unproven(unproven) => {
            Error::NotOpened { account: seat.account.clone(), door, unproven: unproven.into() }
        }
    })?;
    store(installation, &legs.provider, seat, GrantKind::Person, Some(tokens), proofs).await
}

/// Stores a grant in place of the owner's old one. An application's grant keeps a token if one token opens all
/// mailboxes of the account.
pub(super) async fn store(
    installation: &Installation,
    provider: &Provider,
    seat: Seat,
    kind: GrantKind,
    tokens: Option<GrantedTokens>,
    proofs: Proofs,
) -> Result<Authorized, Error> {
    let _storing = Uninterrupted::begin();
    let _lock = installation.sealing().await?;
    let seal = |context: &str, secret: &Secret| installation.sealer.seal(context, secret.expose().as_bytes());
    let known = installation.store.grant_of(&provider.name, &seat.owner, kind).await?;
    let id = known.map_or_else(Id::random, |known| known.id);
    let refresh_token = tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref());
    let right = match (kind, refresh_token) {
        (GrantKind::App, _) => Right::Application,
        (GrantKind::Person, None) => return Err(Error::NoRefreshToken),
        (GrantKind::Person, Some(token)) => {
            Right::Person { refresh_token: seal(&Grant::refresh_context(&id), token)? }
        }
    };
    let now = OffsetDateTime::now_utc();
    let mut grant = Grant::new(id, &provider.name, &seat.owner, right, now);
    if let (GrantKind::App, Some(app)) = (kind, &provider.app) {
        grant.scopes = app.scopes().to_vec();
    }
    if let Some(tokens) = tokens {
        grant.access_token = Some(seal(&Grant::access_context(&grant.id), &tokens.access_token)?);
        grant.access_expires_at = Some(tokens.expires_at);
        grant.refreshed_at = Some(now);
        grant.refresh_expires_at = tokens.refresh_expires_at;
        if let (GrantKind::Person, Some(scopes)) = (kind, tokens.scopes) {
            grant.scopes = scopes;
        }
    }
    seat.put(installation, Granted::New(Box::new(grant)), proofs).await
}

impl Seat {
    /// The names that open the mailbox with a person's token.
    pub(super) fn names(&self) -> Names<'_> {
        Names { account: &self.account, owner: Some(&self.owner), remembered: None }
    }

    /// The account as it is now. While the person was at the provider, an administrator may have removed or disabled an
    /// account that was to be mended, or given it another owner. That is an error, because the person's consent must
    /// not undo it.
    pub(super) async fn known(&self, installation: &Installation) -> Result<Option<LoginRecord>, Error> {
        let known = installation.known_account(&self.account).await?;
        let is_there = |LoginRecord { account, grant, .. }: &LoginRecord| {
            let is_owners = grant.as_ref().is_none_or(|grant| fold(&grant.owner) == fold(&self.owner));
            account.name == self.account && is_owners && takes_consent(account, grant.as_ref())
        };
        match self.is_mended && !known.as_ref().is_some_and(is_there) {
            true => Err(Error::NotMendedAnyMore { account: self.account.clone() }),
            false => Ok(known),
        }
    }

    /// Stores the account, its names, its grant and its first password in one transaction.
    pub(super) async fn put(
        self,
        installation: &Installation,
        grant: Granted,
        proofs: Proofs,
    ) -> Result<Authorized, Error> {
        let _storing = Uninterrupted::begin();
        let known = self.known(installation).await?;
        let name = known.as_ref().map_or(&self.account, |known| &known.account.name).clone();
        let known = known.filter(|known| known.account.name == self.account);
        let has_password = known.as_ref().is_some_and(|known| !known.passwords.is_empty());
        let id = known.map_or_else(Id::random, |known| known.account.id);
        let made = match &self.password {
            Some(name) if !has_password => Some(passwords::make(installation, &id, name, None).await?),
            _ => None,
        };
        let (password, row) = made.unzip();
        let Self { account, owner, mut aliases, .. } = self;
        aliases.retain(|alias| fold(alias) != fold(&account));
        let acts = installation.acts(Deed::Authorized, &name, Some(&owner), row.as_ref());
        let authorization = Authorization { account, aliases, grant, id, password: row, disabled: false };
        let account = installation.store.authorize(&authorization, &acts).await?.name;
        Ok(Authorized { account, owner, proofs, password })
    }
}
