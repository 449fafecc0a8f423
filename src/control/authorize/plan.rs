//! The request for an authorisation, and its progress.

use std::sync::Arc;

use crate::config::{Config, Door, Provider};
use crate::control::accounts::canonical_name;
use crate::control::error::Error;
use crate::control::installation::{Installation, has_store};
use crate::control::names::{Owners, check_account, check_aliases, check_login_name, check_owner};
use crate::control::{passwords, providers};
use crate::store;

/// The request for an authorisation.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeRequest {
    /// The mailbox's address; with [`ConsentWay::App`] also `@DOMAIN`.
    pub(crate) account: String,
    /// The provider's name, if the address does not determine it.
    pub(crate) provider: Option<String>,
    /// The person who consents, if it is not the account itself.
    pub(crate) owner: Option<String>,
    /// Further login names.
    pub(crate) aliases: Vec<String>,
    /// The doors that must open; `None` chooses them by the store and the configuration.
    pub(crate) protocols: Option<Vec<Door>>,
    /// The source of the grant.
    pub(crate) way: ConsentWay,
    /// The name of the app password to make if the account has none; `None` makes none.
    pub(crate) password: Option<String>,
    /// How long a person has, in seconds.
    pub(crate) seconds: u64,
}

/// The source of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConsentWay {
    /// A person's browser ends at a listener of this program.
    Redirect,
    /// A person pastes the address at which the browser ended.
    Paste,
    /// A person enters a code on another device.
    Device,
    /// A person's browser ends at this address, and the surface brings the answer. If `anew`, the person is asked even
    /// if the owner has a grant that works.
    Brought { redirect_uri: String, anew: bool },
    /// The application's own right; no person consents.
    App { probe: Option<String> },
}

/// A step of the operation, for a surface that shows progress.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Progress<'a> {
    /// The owner has a grant, which is tested with the account.
    TryingOwnersGrant { owner: &'a str, account: &'a str },
    /// The owner's grant has ended: a new consent is needed.
    OwnersGrantEnded { owner: &'a str },
    /// The provider is asked for an application's token.
    SigningIn { title: &'a str },
    /// The answer has arrived, and its code is exchanged for tokens.
    FetchingTokens,
    /// The mail server of a door is asked to open the mailbox.
    Proving { door: Door, mailbox: &'a str },
}

/// The callback of a surface that shows progress.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

/// Whether `provider` has a server for `door`.
pub(super) fn check_door(provider: &Provider, door: Door) -> Result<(), Error> {
    if provider.service(door).is_some() {
        return Ok(());
    }
    let (title, name) = (provider.title.clone(), provider.name.clone());
    Err(Error::NoServerForDoor { title, name, door })
}

/// A valid request.
#[derive(Debug)]
pub(crate) struct Plan {
    request: AuthorizeRequest,
    /// Its provider. `None` if the store may have the account: then the provider of the account's grant comes before
    /// the one of its domain, because several tables may serve a domain, and a grant belongs to one client.
    provider: Option<Arc<Provider>>,
}

impl Plan {
    /// Checks names, and finds the provider if the store is not needed for that. Opens nothing and asks nothing.
    pub(crate) fn new(config: &Config, request: AuthorizeRequest) -> Result<Self, Error> {
        let is_app = is_app(&request);
        let probe = if let ConsentWay::App { probe } = &request.way { probe.as_ref() } else { None };
        let names = [Some(&request.account), request.owner.as_ref(), probe];
        for name in names.into_iter().flatten().chain(&request.aliases) {
            check_login_name(name)?;
        }
        if let Some(name) = &request.password {
            passwords::check_name(name)?;
        }
        if store::is_of_domain(&request.account) && !is_app {
            return Err(Error::DomainNeedsApplication { account: request.account });
        }
        if is_app && request.password.is_none() {
            return Err(Error::ApplicationNeedsPassword);
        }
        let provider = match request.provider.is_some() || !has_store(config) {
            true => Some(suited(config, &request)?),
            false => None,
        };
        Ok(Self { request, provider })
    }

    /// Checks the names against the store, before a person consents in vain; `yes` allows an alias that is another
    /// address.
    pub(crate) async fn judge(&self, installation: &Installation, yes: bool) -> Result<Judged, Error> {
        let Self { request, provider } = self;
        installation.verify_key().await?;
        let account = canonical_name(installation, &request.account).await?;
        check_account(installation, &account, is_app(request)).await?;
        let owners = Owners::of(installation);
        if let Some(owner) = &request.owner {
            check_owner(&owners, owner).await?;
        }
        check_aliases(installation, &owners, &account, &request.aliases, yes).await?;
        let provider = match provider {
            Some(provider) => provider.clone(),
            None => self.found(installation, &account).await?,
        };
        Ok(Judged { account, request: request.clone(), provider })
    }

    /// The provider of the account's grant, else of its domain.
    async fn found(&self, installation: &Installation, account: &str) -> Result<Arc<Provider>, Error> {
        let (config, request) = (&installation.config, &self.request);
        let known = installation.known_account(account).await?;
        let of_grant = known.and_then(|known| config.providers.get(&known.grant?.provider).cloned());
        let can_be_asked = |provider: &Arc<Provider>| match is_app(request) {
            true => provider.app.is_some(),
            false => provider.client_id.is_some(),
        };
        match of_grant.filter(can_be_asked) {
            Some(provider) => check_doors(request, &provider).map(|()| provider),
            None => suited(config, request),
        }
    }
}

fn is_app(request: &AuthorizeRequest) -> bool {
    matches!(request.way, ConsentWay::App { .. })
}

/// The provider that the request names, else the one of the account's domain, if it has a server for each door.
fn suited(config: &Config, request: &AuthorizeRequest) -> Result<Arc<Provider>, Error> {
    let chosen = providers::choose(config, &request.account, request.provider.as_deref());
    let provider = chosen.map_err(|error| match error {
        Error::UnknownDomain { account, known, .. } => {
            Error::UnknownDomain { account, owner: request.owner.clone(), known }
        }
        other => other,
    })?;
    check_doors(request, &provider)?;
    Ok(provider)
}

fn check_doors(request: &AuthorizeRequest, provider: &Provider) -> Result<(), Error> {
    for &door in request.protocols.iter().flatten() {
        check_door(provider, door)?;
        if let ConsentWay::App { probe: None } = &request.way
            && store::is_of_domain(&request.account)
        {
            return Err(Error::NoMailboxToProve { account: request.account.clone(), door });
        }
    }
    Ok(())
}

/// A plan whose names may be stored.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The account's name, as stored if it exists.
    pub(super) account: String,
    pub(super) request: AuthorizeRequest,
    /// The account's provider, for which a client is configured.
    pub(crate) provider: Arc<Provider>,
}

impl Judged {
    /// This plan with `address` as its redirect URI, for [`ConsentWay::Brought`].
    pub(crate) fn brought_to(mut self, address: String) -> Self {
        if let ConsentWay::Brought { redirect_uri, .. } = &mut self.request.way {
            *redirect_uri = address;
        }
        self
    }
}
