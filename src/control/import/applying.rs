//! Doing it: the configuration is written, and each account is stored and then tried.
//!
//! An account is in the store before its refresh token is spent, as everywhere: whatever happens in between, the newest token
//! is on disk. What a trial comes to is told and undoes nothing, because the old token may be worth nothing any more.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::scheme::{Kept, Moving, Scheme, Token};
use super::tables::Application;
use super::target::{Target, remove};
use super::text::{Sight, key_file};
use crate::config::{Config, Door, Names};
use crate::control::audit::Deed;
use crate::control::error::{Error, Unproven};
use crate::control::installation::Installation;
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::control::{doors, passwords, waiting};
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Authorization, Grant, GrantKind, Granted, Id, Mailbox, Right};
use crate::token::{TokenFailure, Tokens};

/// The name of the passwords that are kept.
const PASSWORD: &str = "email-oauth2-proxy";

/// What came of it.
pub(crate) struct Applied {
    /// The accounts in the order of the scheme.
    pub(crate) fates: Vec<(String, Fate)>,
    /// Where grants and passwords are.
    pub(crate) state_directory: std::path::PathBuf,
    /// The CA's certificate, where a listener shows one of the proxy's own.
    pub(crate) ca_file: Option<std::path::PathBuf>,
}

/// What came of an account.
pub(crate) enum Fate {
    /// It is stored, and this is what each door said.
    Tried(Vec<(Door, Result<Option<usize>, Unproven>)>),
    /// It is stored, and no access token came.
    NoToken(Box<(Grant, TokenFailure)>),
    /// It is stored, and waits for a person.
    Waits,
    /// An account of that name is here already, and was not touched.
    AlreadyHere,
    /// It is not stored.
    Failed(Error),
}

impl Fate {
    /// Whether a person has to do something before the account can be used.
    pub(crate) fn needs_person(&self) -> bool {
        match self {
            Self::Tried(doors) => doors.iter().any(|(_, outcome)| outcome.is_err()),
            Self::AlreadyHere => false,
            Self::NoToken(_) | Self::Waits | Self::Failed(_) => true,
        }
    }
}

/// Writes the configuration of `scheme` to `target`, and stores its accounts.
pub(crate) async fn apply(
    scheme: &Scheme,
    target: &Target,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Applied, Error> {
    let text = scheme.text(target, Sight::Written);
    // Before anything is written; a service account's key has no file yet, and is read when it is used.
    let config = Config::parse(&text, Some(&target.file))?;
    let installation = Installation::open(config).await?;
    installation.verify_key().await?;
    let mut files = vec![(target.file.clone(), text.as_str())];
    for table in &scheme.tables {
        if let Some(Application::Key(key)) = &table.application {
            files.push((target.file.with_file_name(key_file(table)), key.expose()));
        }
    }
    let made = target.write(&files)?;
    let legs = match Legs::of_configured(&installation.config) {
        Ok(legs) => legs,
        Err(error) => {
            remove(&made);
            return Err(error.into());
        }
    };
    let tokens = installation.tokens(&legs);
    let mut fates = Vec::new();
    for moving in &scheme.accounts {
        tell(&moving.name);
        let fate = match one(&installation, &legs, &tokens, moving).await {
            Ok(fate) => fate,
            Err(error) => Fate::Failed(error),
        };
        fates.push((moving.name.clone(), fate));
    }
    let ca_file = installation.ca_file()?;
    Ok(Applied { fates, state_directory: installation.config.state_directory.clone(), ca_file })
}

async fn one(
    installation: &Installation,
    legs: &HashMap<String, Legs>,
    tokens: &Tokens,
    moving: &Moving,
) -> Result<Fate, Error> {
    if installation.known_account(&moving.name).await?.is_some() {
        return Ok(Fate::AlreadyHere);
    }
    // From here on the newest token is this store's alone.
    let _moving = Uninterrupted::begin();
    let grant = store(installation, moving).await?;
    let Some(own) = legs.get(&moving.provider).filter(|_| grant.is_in_force()) else {
        return Ok(Fate::Waits);
    };
    let mailbox = Mailbox::Own;
    let token = match tokens.access(&grant, &mailbox).await {
        Ok(token) => token,
        Err(failure) => return Ok(Fate::NoToken(Box::new((grant, failure)))),
    };
    let names = Names { account: &moving.name, owner: grant.person(), remembered: None };
    let mut tried = Vec::new();
    for door in doors::of_grant(&installation.config, &own.provider, &grant) {
        tried.push((door, prove(own, door, names, &token.secret).await));
    }
    Ok(Fate::Tried(tried))
}

/// Stores the account with what opens it and the password that its mail program sends, in one moment.
async fn store(installation: &Installation, moving: &Moving) -> Result<Grant, Error> {
    let _lock = installation.sealing().await?;
    let now = OffsetDateTime::now_utc();
    let id = Id::random();
    let right = match &moving.token {
        Token::Refresh(token) => Right::Person { refresh_token: seal(installation, &id, token)? },
        Token::Application => Right::Application,
        Token::Awaited(_) => Right::Withdrawn { was: moving.kind },
    };
    let known = installation.store.grant_of(&moving.provider, &moving.name, moving.kind).await?;
    if known.is_some() {
        // Another account's, which its owner has authorised here: nothing of it is overwritten.
        return Err(Error::AlreadyHere { account: moving.name.clone() });
    }
    let mut grant = match right {
        Right::Withdrawn { was } => waiting::grant(id, &moving.provider, &moving.name, was, now),
        right => Grant::new(id, &moving.provider, &moving.name, right, now),
    };
    grant.scopes.clone_from(&moving.scopes);
    let account = Id::random();
    let password = match &moving.password {
        Some(kept) => Some(password(installation, &account, kept).await?),
        None => None,
    };
    let about = (moving.kind == GrantKind::Person).then_some(moving.name.as_str());
    let acts = installation.acts(Deed::Imported, &moving.name, about, password.as_ref());
    let authorization = Authorization {
        account: moving.name.clone(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(grant.clone())),
        id: account,
        password,
        disabled: false,
    };
    installation.store.authorize(&authorization, &acts).await?;
    installation.store.grant(&grant.id).await?.ok_or(Error::RemovedAgain)
}

fn seal(installation: &Installation, grant: &Id, token: &Secret) -> Result<Vec<u8>, Error> {
    Ok(installation.sealer.seal(&Grant::refresh_context(grant), token.expose().as_bytes())?)
}

async fn password(
    installation: &Installation,
    account: &Id,
    kept: &Kept,
) -> Result<crate::store::AppPassword, Error> {
    let (_, mut row) = passwords::make(installation, account, PASSWORD, Some(kept.secret.clone())).await?;
    if kept.is_short {
        row.limits.networks = crate::control::limits::this_machine();
    }
    Ok(row)
}
