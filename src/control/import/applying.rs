//! Carries out the plan: stores and then tests each account, and gives the configuration its name at the end.
//!
//! An account is stored before its refresh token is used: so the newest token is on disk even if the process dies. A
//! failed test is reported and undoes nothing, because the old token may be invalid already. What concerns all
//! accounts, such as a full disk, stops the run: the accounts so far stay, no configuration is made, and the same
//! command goes on there later.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::opening::{Kept, Token};
use super::scheme::{Moving, Scheme};
use super::target::Target;
use super::text::Sight;
use crate::config::{Config, Door, Names};
use crate::control::audit::Deed;
use crate::control::error::{Error, Unproven};
use crate::control::installation::Installation;
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::control::{doors, limits, passwords, waiting};
use crate::shutdown::Uninterrupted;
use crate::store::{Authorization, Grant, GrantKind, Granted, Id, Mailbox, Right, StoreError};
use crate::token::{TokenFailure, Tokens};

/// The name of the passwords that are kept.
const PASSWORD: &str = "email-oauth2-proxy";

pub(crate) struct Applied {
    /// The accounts in the order of the plan.
    pub(crate) fates: Vec<(String, Fate)>,
    /// Whether the configuration was written. It is not where the existing one serves all accounts already.
    pub(crate) is_written: bool,
    /// The directory of grants and passwords.
    pub(crate) state_directory: std::path::PathBuf,
    /// The CA's certificate, if a listener uses the proxy's own CA.
    pub(crate) ca_file: Option<std::path::PathBuf>,
}

/// The result for an account.
pub(crate) enum Fate {
    /// Stored; with the result for each door.
    Tried(Vec<(Door, Result<Option<usize>, Unproven>)>),
    /// Stored, but no access token came.
    NoToken(Box<(Grant, TokenFailure)>),
    /// Stored, and waits for a person.
    Waits,
    /// An account of that name exists here, and was not changed; whether it waits for a person.
    AlreadyHere { waits: bool },
    /// Not stored.
    Failed(Error),
}

impl Fate {
    /// Whether a person has to act before the account can be used.
    pub(crate) fn needs_person(&self) -> bool {
        match self {
            Self::Tried(doors) => doors.iter().any(|(_, outcome)| outcome.is_err()),
            Self::AlreadyHere { waits } => *waits,
            Self::NoToken(_) | Self::Waits | Self::Failed(_) => true,
        }
    }
}

/// A run that was stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) error: Error,
    /// The accounts that are stored, with their tokens and passwords.
    pub(crate) moved: Vec<String>,
    pub(crate) state_directory: Option<std::path::PathBuf>,
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { error: error.into(), moved: Vec::new(), state_directory: None }
    }
}

/// Stores the accounts of `scheme`, and writes its configuration to `target`.
pub(crate) async fn apply(
    scheme: &Scheme,
    target: &Target,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Applied, Stopped> {
    let text = scheme.text(target, Sight::Written);
    let installation = Installation::open(Config::parse(&text, Some(&target.file))?).await?;
    installation.verify_key().await?;
    let legs = Legs::of_configured(&installation.config)?;
    let ca_file = crate::control::certs::ca_file(&installation).await?;
    let drafted = target.draft(&text, &scheme.keys(target))?;
    let tokens = installation.tokens(&legs);
    let state_directory = installation.config.state_directory.clone();
    // Ctrl-C waits until the configuration of the stored accounts is there too.
    let _moving = Uninterrupted::begin();
    let mut fates: Vec<(String, Fate)> = Vec::new();
    let stopped = |error, fates: Vec<(String, Fate)>| {
        let stored = fates.into_iter().filter(|(_, fate)| !matches!(fate, Fate::Failed(_)));
        let moved = stored.map(|(name, _)| name).collect();
        Stopped { error, moved, state_directory: Some(state_directory.clone()) }
    };
    for moving in &scheme.accounts {
        tell(&moving.name);
        let fate = match one(&installation, &legs, &tokens, moving).await {
            Ok(fate) => fate,
            Err(error) if is_of_account(&error) => Fate::Failed(error),
            Err(error) => return Err(stopped(error, fates)),
        };
        fates.push((moving.name.clone(), fate));
    }
    let is_here = |(_, fate): &(String, Fate)| matches!(fate, Fate::AlreadyHere { .. });
    let is_written = target.beside.is_none() || !scheme.tables.is_empty() || !fates.iter().all(is_here);
    if is_written && let Err(error) = drafted.publish() {
        return Err(stopped(error, fates));
    }
    Ok(Applied { fates, is_written, state_directory, ca_file })
}

/// Whether the error concerns one account, and others can move.
fn is_of_account(error: &Error) -> bool {
    match error {
        Error::RemovedAgain | Error::PasswordLine | Error::PasswordLength { .. } => true,
        Error::Store(error) => {
            matches!(error, StoreError::LoginNameTaken { .. } | StoreError::Conflict)
        }
        _ => false,
    }
}

async fn one(
    installation: &Installation,
    legs: &HashMap<String, Legs>,
    tokens: &Tokens,
    moving: &Moving,
) -> Result<Fate, Error> {
    if let Some(known) = installation.known_account(&moving.name).await? {
        let waits = known.grant.is_none_or(|grant| !grant.is_in_force());
        return Ok(Fate::AlreadyHere { waits });
    }
    let grant = store(installation, moving).await?;
    let Some(own) = legs.get(&moving.provider).filter(|_| grant.is_in_force()) else {
        return Ok(Fate::Waits);
    };
    let token = match tokens.access(&grant, &Mailbox::Own).await {
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

/// Stores the account, its grant and its mail program's password in one transaction.
async fn store(installation: &Installation, moving: &Moving) -> Result<Grant, Error> {
    let _lock = installation.sealing().await?;
    let grant = granted(installation, moving).await?;
    let account = Id::random();
    let mut password = None;
    if let Some(Kept { secret, is_short, .. }) = &moving.password {
        let (_, row) = passwords::make(installation, &account, PASSWORD, Some(secret.clone())).await?;
        let row = password.insert(row);
        if *is_short {
            row.limits.networks = limits::this_machine();
        }
    }
    let about = (moving.kind == GrantKind::Person).then_some(moving.name.as_str());
    let acts = installation.acts(Deed::Imported, &moving.name, about, password.as_ref());
    let authorization = Authorization {
        account: moving.name.clone(),
        aliases: Vec::new(),
        grant,
        id: account,
        password,
        disabled: false,
    };
    let stored = installation.store.authorize(&authorization, &acts).await?;
    let grant = stored.grant.ok_or(Error::RemovedAgain)?;
    installation.store.grant(&grant).await?.ok_or(Error::RemovedAgain)
}

/// The grant for the account. One that is in force here is as good, and is never overwritten: the account shares it.
async fn granted(installation: &Installation, moving: &Moving) -> Result<Granted, Error> {
    let Moving { name, provider, kind, .. } = moving;
    let known = installation.store.grant_of(provider, name, *kind).await?;
    if let Some(known) = known.as_ref().filter(|known| known.is_in_force()) {
        return Ok(Granted::Existing(known.id.clone()));
    }
    let (id, now) = (known.map_or_else(Id::random, |known| known.id), OffsetDateTime::now_utc());
    let right = match &moving.token {
        Token::Refresh(token) => {
            let context = Grant::refresh_context(&id);
            Right::Person { refresh_token: installation.sealer.seal(&context, token.expose().as_bytes())? }
        }
        Token::Application => Right::Application,
        Token::Awaited(_) => {
            let mut grant = waiting::grant(id, provider, name, *kind, now);
            grant.scopes.clone_from(&moving.scopes);
            return Ok(Granted::Waiting(Box::new(grant)));
        }
    };
    let mut grant = Grant::new(id, provider, name, right, now);
    grant.scopes.clone_from(&moving.scopes);
    Ok(Granted::New(Box::new(grant)))
}
