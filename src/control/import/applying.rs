//! Carries out the plan: writes the configuration, and stores and then tests each account.
//!
//! An account is stored before its refresh token is used: so the newest token is on disk whatever happens. A
//! failed test is reported and undoes nothing, because the old token may be invalid already.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::scheme::{Kept, Moving, Scheme, Token};
use super::tables::Application;
use super::target::{Target, create};
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

/// The result.
pub(crate) struct Applied {
    /// The accounts in the order of the plan.
    pub(crate) fates: Vec<(String, Fate)>,
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
    /// An account of that name exists here, and was not changed.
    AlreadyHere,
    /// Not stored.
    Failed(Error),
}

impl Fate {
    /// Whether a person has to act before the account can be used.
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
    // Checked first; a service account's key file does not exist yet, and is read at its first use.
    Config::parse(&text, Some(&target.file))?;
    target.write(&text)?;
    for table in &scheme.tables {
        if let Some(Application::Key(key)) = &table.application {
            create(&target.file.with_file_name(key_file(table)), key.expose())?;
        }
    }
    let installation = Installation::open(Config::load(Some(&target.file))?).await?;
    installation.verify_key().await?;
    let legs = Legs::of_configured(&installation.config)?;
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
    // From now on only this store has the newest token.
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

/// Stores the account, its grant and its mail program's password in one transaction.
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
        // The owner has authorised another account here, which must not be overwritten.
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
