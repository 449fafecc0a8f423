//! Tests each step of the way to the mail.
//!
//! The first step that fails is reported with its cause, and later steps that depend on it are not tried. Tokens
//! and passwords are never printed, only their kinds and their ends.

mod mail;
mod names;
mod step;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use self::step::Steps;
use super::doors;
use super::error::Error;
use super::grants::{self, Renewal, Renewed};
use super::installation::{Installation, place};
use super::providers::Legs;
use crate::account::{self, Found};
use crate::config::{Config, Door, Names};
use crate::store::{Grant, LoginRecord, SealedSetting, is_of_domain};
use crate::token::AccessToken;
use crate::upstream::Dialler;

pub(crate) use step::{CheckEvent, CheckStep, Finding, Outcome};

/// Tests the account called `name`, or all accounts, at every door in use that the account opens, or `only` at
/// that one; each step is reported when it is done.
pub(crate) async fn check(
    config: Config,
    name: Option<&str>,
    only: Option<Door>,
    tell: &mut (dyn FnMut(CheckEvent<'_>) + Send),
) -> Result<Outcome, Error> {
    let mut steps = Steps::new(tell);
    let Some(installation) = open(&mut steps, config, name).await else { return Ok(steps.outcome) };
    let accounts = match chosen(&installation, name).await {
        Err(error) if name.is_some() => {
            steps.done("account", Some(Instant::now()), Err(error));
            return Ok(steps.outcome);
        }
        accounts => accounts?,
    };
    if accounts.is_empty() {
        steps.tell(CheckEvent::NoAccounts(&installation.config.state_directory));
    }
    steps.tell(CheckEvent::Accounts(accounts.len()));
    check_all(&mut steps, &installation, &accounts, only).await?;
    Ok(steps.outcome)
}

/// Like [`check`], for an installation that is open.
pub(crate) async fn check_open(
    installation: &Installation,
    name: Option<&str>,
    only: Option<Door>,
    tell: &mut (dyn FnMut(CheckEvent<'_>) + Send),
) -> Result<Outcome, Error> {
    let mut steps = Steps::new(tell);
    let accounts = chosen(installation, name).await?;
    check_all(&mut steps, installation, &accounts, only).await?;
    Ok(steps.outcome)
}

async fn check_all(
    steps: &mut Steps<'_>,
    installation: &Installation,
    accounts: &[Found],
    only: Option<Door>,
) -> Result<(), Error> {
    let legs = Legs::of_configured(&installation.config)?;
    for found in accounts {
        let LoginRecord { account, grant, passwords } = &found.record;
        steps.tell(CheckEvent::Account(&account.name));
        if account.disabled {
            let account = account.name.clone();
            steps.done("account", None, Ok(Finding::Disabled { account }));
            continue;
        }
        // The account from a look-up has no aliases.
        let row = installation.store.account_row(&account.id).await?;
        let listed = row.as_ref().map_or(account, |row| &row.account);
        names::look_at(steps, listed, grant.as_ref());
        let today = time::OffsetDateTime::now_utc().date();
        if passwords.is_empty() {
            steps.done("app password", None, Err(Error::NoAppPassword { account: account.name.clone() }));
        } else if passwords.iter().all(|password| password.limits.ended(today).is_some()) {
            steps.done("app password", None, Err(Error::AppPasswordsOver { account: account.name.clone() }));
        }
        account_steps(steps, installation, found, &legs, only).await;
        if let Some(refusal) = &account.refusal {
            let (account, grant) = (account.name.clone(), grant.clone().map(Box::new));
            let found = Finding::LastRefusal { account, grant, refusal: Box::new(refusal.clone()) };
            steps.done("last refusal", None, Ok(found));
        }
    }
    Ok(())
}

/// The account called `name`, or all.
async fn chosen(installation: &Installation, name: Option<&str>) -> Result<Vec<Found>, Error> {
    if let Some(name) = name {
        return Ok(vec![installation.account(name).await?]);
    }
    let mut all = Vec::new();
    for account in installation.store.accounts().await? {
        all.extend(account::find(&*installation.store, &account.name).await?);
    }
    Ok(all)
}

/// Opens store and key, for a check of the account called `name`, or of all.
async fn open(steps: &mut Steps<'_>, config: Config, name: Option<&str>) -> Option<Installation> {
    let started = Instant::now();
    let (store, key) = (place(&config), config.store.key.clone());
    let installation = match Installation::open_to_read(config).await {
        Ok(Ok(installation)) => installation,
        Ok(Err(nothing)) => {
            steps.tell(CheckEvent::NoAccounts(&nothing.directory));
            if let Some(name) = name {
                steps.done("account", Some(started), Err(Error::NoAccount { name: name.to_owned() }));
            }
            return None;
        }
        Err(error) => {
            steps.done("store and key", Some(started), Err(error));
            return None;
        }
    };
    steps.done("store", Some(started), store.map(|store| Finding::Store { place: store.shown() }));
    let opened = async {
        let values = opens_everything(&installation).await?;
        Ok(Finding::Key { place: key, keys: installation.sealer.key_ids(), values })
    };
    steps.timed("key", opened).await.then_some(installation)
}

async fn opens_everything(installation: &Installation) -> Result<usize, Error> {
    let mut count = 0;
    let mut open = |what: &str, context: &str, sealed: &[u8]| {
        count += 1;
        let opened = installation.sealer.open(context, sealed).map(drop);
        opened.map_err(|error| Error::NotSealedHere { what: what.to_owned(), error })
    };
    for SealedSetting { key, value } in &installation.store.sealed_settings().await? {
        open(key, key, value)?;
    }
    for mut grant in installation.store.grants().await? {
        let what = format!("the grant of {}", grant.owner);
        grant.sealed().try_for_each(|(context, sealed)| open(&what, &context, sealed))?;
    }
    Ok(count)
}

async fn account_steps(
    steps: &mut Steps<'_>,
    installation: &Installation,
    found: &Found,
    legs: &HashMap<String, Legs>,
    only: Option<Door>,
) {
    let LoginRecord { account, grant, .. } = &found.record;
    let name = &account.name;
    let Some(grant) = grant else {
        steps.done("grant", None, Err(Error::NoGrant { account: name.clone() }));
        return;
    };
    let Some(own) = legs.get(&grant.provider) else {
        steps.done("provider", None, Err(Error::NoProviderWithClient { provider: grant.provider.clone() }));
        return;
    };
    let doors = match only {
        Some(door) => vec![door],
        None => doors::of_grant(&installation.config, &own.provider, grant),
    };
    let mut ways = Vec::new();
    for &door in &doors {
        steps.protocol = Some(door);
        ways.extend(way(steps, own, name, grant, door).await);
    }
    steps.protocol = None;
    if ways.is_empty() {
        return;
    }
    let Some(token) = token(steps, installation, legs, found, grant, own).await else { return };
    if is_of_domain(name) {
        steps.tell(CheckEvent::DomainAccount);
        return;
    }
    let names = Names { account: name, owner: grant.person(), remembered: account.sign_in_as };
    for dialler in ways {
        let door = dialler.service.door;
        steps.protocol = Some(door);
        if mail::opens(steps, &own.provider.title, dialler, names, &token.secret).await {
            let _ = installation.store.set_trouble(&account.id, door.name(), None).await;
        }
    }
    steps.protocol = None;
}

/// The way to the server of `door`, if `grant` opens the door and the server answers.
async fn way<'a>(
    steps: &mut Steps<'_>,
    own: &'a Legs,
    name: &str,
    grant: &Grant,
    door: Door,
) -> Option<&'a Dialler> {
    let dialler = match own.upstream.dialler(door) {
        Ok(dialler) => dialler,
        Err(error) => {
            steps.done("provider", None, Err(error.into()));
            return None;
        }
    };
    let scopes = grant.known_scopes();
    let lacking = own.provider.closed(door, scopes);
    if !lacking.is_empty() {
        let (account, grant) = (name.to_owned(), Box::new(grant.clone()));
        let wanted = own.provider.opened_with(door, scopes);
        steps.done("scopes", None, Err(Error::DoorClosed { account, grant, door, lacking, wanted }));
        return None;
    }
    mail::way_is_open(steps, dialler).await.then_some(dialler)
}

async fn token(
    steps: &mut Steps<'_>,
    installation: &Installation,
    legs: &HashMap<String, Legs>,
    found: &Found,
    grant: &Grant,
    own: &Legs,
) -> Option<Arc<AccessToken>> {
    let mut renewed = None;
    let renewal = async {
        let when = Renewal::OncePerMinute;
        let Renewed { token, was_asked } =
            grants::renew(installation, legs, grant, &found.mailbox, when).await?;
        let token = token.map_err(|failure| Error::NoToken {
            account: found.record.account.name.clone(),
            grant: Box::new(grant.clone()),
            failure: Box::new(failure),
        })?;
        Ok(Finding::Token {
            minutes: renewed.insert(token).minutes_left(),
            was_asked,
            scopes: grant.scopes.clone(),
            missing: own.provider.missing(grant.known_scopes()),
        })
    };
    steps.timed("token", renewal).await;
    renewed
}
