//! Accounts with their grants: the state, the coming ends, and a person's operations.

mod keys;
mod revoke;

use std::collections::HashMap;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::spawn;
use tokio::task::{JoinHandle, yield_now};

use super::error::Error;
use super::installation::Installation;
use super::providers::Legs;
use crate::account::Found;
use crate::config::{Door, Provider};
use crate::forecast::{self, EndCause, GrantEnd};
use crate::shutdown::Uninterrupted;
use crate::store::{Account, AccountRow, Grant, GrantState, Mailbox, StoreError, is_of_domain};
use crate::token::{AccessToken, TokenFailure};
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

pub(crate) use keys::Keys;
pub(super) use revoke::take;
pub(crate) use revoke::{AtProvider, revoke};

/// Number of accounts read at once.
const PAGE: u32 = 500;

/// An account with its grant.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) account: Account,
    pub(crate) grant: Option<Grant>,
    pub(crate) state: State,
    /// The doors that the grant opens by its scopes; none after it was revoked.
    pub(crate) protocols: Vec<Door>,
    /// The configured scopes that the grant lacks, if it opens no door.
    pub(crate) scopes_missing: Vec<String>,
    /// Events that would end the grant; empty after its end.
    pub(crate) ends: Vec<GrantEnd>,
    pub(crate) trouble: Option<Trouble>,
    /// What opens it besides the grant.
    pub(crate) keys: Keys,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Of(GrantState),
    /// Every login is refused, in any state of the grant.
    Disabled,
}

impl State {
    /// The word in JSON and in lists.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Of(state) => state.name(),
            Self::Disabled => "disabled",
        }
    }

    /// Whether the state lasts until a person acts who may not know of it.
    pub(crate) fn needs_person(self) -> bool {
        matches!(self, Self::Of(state) if state.needs_person())
    }
}

/// All accounts, by name, read page by page, so that memory does not grow with their number.
#[derive(Default)]
pub(crate) struct Pages {
    /// The account before the first one.
    after: Option<String>,
    /// The page after the one that was returned last, which is read while the caller uses that.
    ahead: Option<JoinHandle<Result<Vec<AccountRow>, StoreError>>>,
}

impl Pages {
    /// Only the accounts after the one called `after`.
    pub(crate) fn after(after: Option<String>) -> Self {
        Self { after, ahead: None }
    }

    /// The next accounts; none at the end.
    pub(crate) async fn next(&mut self, installation: &Installation) -> Result<Vec<Overview>, Error> {
        let page = match self.ahead.take() {
            Some(ahead) => ahead.await.map_err(|error| StoreError::Unusable(error.to_string()))??,
            None => installation.store.account_page(self.after.as_deref(), PAGE).await?,
        };
        if let Some(last) = page.last() {
            let (store, after) = (installation.store.clone(), last.account.name.clone());
            self.ahead = Some(spawn(async move { store.account_page(Some(&after), PAGE).await }));
            // A command has one thread: without this the read would begin at the next call.
            yield_now().await;
        }
        Ok(page.into_iter().map(|row| Overview::of(installation, row)).collect())
    }
}

impl Overview {
    /// The account in a row of the store.
    pub(super) fn of(installation: &Installation, row: AccountRow) -> Self {
        let keys = Keys::of(&installation.config, &row);
        let AccountRow { account, grant, .. } = row;
        let providers = &installation.config.providers;
        let both = grant.as_ref().and_then(|grant| Some((grant, providers.get(&grant.provider)?)));
        let scopes_missing =
            both.map(|(grant, provider)| provider.missing(grant.known_scopes())).unwrap_or_default();
        let in_force = both.filter(|(grant, _)| grant.is_in_force());
        let opened = in_force.map(|(grant, provider)| provider.opened_by(grant.known_scopes()));
        Self {
            state: state(&account, grant.as_ref()),
            protocols: opened.unwrap_or_default(),
            ends: both.map(|(grant, provider)| ends(grant, provider)).unwrap_or_default(),
            trouble: trouble(&account, grant.as_ref(), both.is_some(), &scopes_missing),
            scopes_missing,
            account,
            grant,
            keys,
        }
    }

    /// Whether the grant certainly ends by then.
    pub(crate) fn ends_by(&self, at: OffsetDateTime) -> bool {
        self.ends.iter().any(|end| end.cause.is_certain() && end.at.is_some_and(|day| day <= at))
    }

    /// Whether the grant or an app password ends by then. Unlike in [`Overview::ends_by`], the end of a client secret does
    /// not count, which is that of all accounts of a provider.
    pub(super) fn ends_alone_by(&self, at: OffsetDateTime) -> bool {
        let alone = self.ends.iter().filter(|end| end.cause != EndCause::ClientSecret);
        let mut certain = alone.filter(|end| end.cause.is_certain());
        certain.any(|end| end.at.is_some_and(|day| day <= at)) || self.keys.end_by(at).is_some()
    }

    /// When the recorded trouble occurred last.
    pub(crate) fn failed_at(&self) -> Option<OffsetDateTime> {
        let of_grant = self.grant.as_ref().and_then(|grant| grant.failed_at);
        of_grant.or(self.account.trouble().map(|trouble| trouble.at))
    }
}

fn state(account: &Account, grant: Option<&Grant>) -> State {
    if account.disabled {
        return State::Disabled;
    }
    let Some(grant) = grant.filter(|grant| grant.is_in_force() || grant.is_awaited()) else {
        return State::Of(GrantState::NeedsAuthorization);
    };
    let refused = account.trouble().is_some_and(|trouble| trouble.count > 0);
    match grant.state == GrantState::Ok && refused {
        true => State::Of(GrantState::Misconfigured),
        false => State::Of(grant.state),
    }
}

fn ends(grant: &Grant, provider: &Provider) -> Vec<GrantEnd> {
    match grant.state == GrantState::NeedsAuthorization || !grant.is_in_force() {
        true => Vec::new(),
        false => forecast::ends(grant, provider, OffsetDateTime::now_utc()),
    }
}

/// The recorded trouble of the grant, else of the mailbox; else a fault in the configuration.
fn trouble(
    account: &Account,
    grant: Option<&Grant>,
    is_configured: bool,
    scopes_missing: &[String],
) -> Option<Trouble> {
    let authorize = || Cure::authorize_with("run: ", "");
    let Some(grant) = grant else {
        return Some(Trouble::new(CauseKind::NoGrant, "there is no authorisation", authorize()));
    };
    let of_mailbox = || account.trouble().map(|known| known.trouble.clone());
    let recorded = grant.trouble.clone().or_else(of_mailbox);
    if recorded.is_some() {
        return recorded;
    }
    if !is_configured {
        let cure = Cure::configure(&format!("providers.{}", grant.provider), "");
        return Some(Trouble { cause: Cause::provider_unknown(&grant.provider), cure });
    }
    let cause = format!("the scope {} was not granted", scopes_missing.join(" "));
    (!scopes_missing.is_empty()).then(|| Trouble::new(CauseKind::ScopeMissing, cause, authorize()))
}

/// The other accounts that use the grant of an account.
pub(crate) async fn others(installation: &Installation, overview: &Overview) -> Result<Vec<String>, Error> {
    match &overview.account.grant {
        Some(grant) => installation.others_with(grant, &overview.account.name).await,
        None => Ok(Vec::new()),
    }
}

/// Fetches a new access token now, without regard to back-off; returns it with its account.
pub(crate) async fn refresh(
    installation: &Installation,
    name: &str,
) -> Result<(String, Arc<AccessToken>), Error> {
    let Found { record, mailbox, .. } = installation.account(name).await?;
    let account = record.account.name;
    let Some(grant) = record.grant.filter(Grant::is_in_force) else {
        return Err(Error::NothingToRefresh { account });
    };
    let provider = installation.config.providers.get(&grant.provider);
    if is_of_domain(&account) && provider.is_some_and(|provider| provider.app_tokens_are_per_mailbox()) {
        return Err(Error::TokenForEachMailbox { account });
    }
    let legs = Legs::of_configured(&installation.config)?;
    match renew(installation, &legs, &grant, &mailbox, Renewal::Always).await?.token {
        Ok(token) => Ok((account, token)),
        Err(failure) => {
            Err(Error::NotRefreshed { account, grant: Box::new(grant), failure: Box::new(failure) })
        }
    }
}

/// When a person's command fetches a new token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Always,
    /// Unless a token came within the last minute: a check that is repeated asks no more often.
    OncePerMinute,
}

pub(super) struct Renewed {
    pub(super) token: Result<Arc<AccessToken>, TokenFailure>,
    pub(super) was_asked: bool,
}

/// A token of `grant`, without regard to a recorded back-off.
pub(super) async fn renew(
    installation: &Installation,
    legs: &HashMap<String, Legs>,
    grant: &Grant,
    mailbox: &Mailbox,
    when: Renewal,
) -> Result<Renewed, Error> {
    // A provider that rotates may have invalidated the old token: its answer must be stored.
    let _refreshing = Uninterrupted::begin();
    let grant = clear_back_off(installation, grant).await?;
    let tokens = installation.tokens(legs);
    let lately = OffsetDateTime::now_utc().saturating_sub(time::Duration::MINUTE);
    let is_new = grant.state == GrantState::Ok && grant.refreshed_at.is_some_and(|at| at > lately);
    let was_asked = when == Renewal::Always || !is_new;
    let token = match was_asked {
        true => tokens.renew(&grant, mailbox).await,
        false => tokens.access(&grant, mailbox).await,
    };
    Ok(Renewed { token, was_asked })
}

/// Removes the back-off of a grant; returns the updated grant.
async fn clear_back_off(installation: &Installation, grant: &Grant) -> Result<Grant, Error> {
    loop {
        let read = installation.store.grant(&grant.id).await?;
        let mut current = read.ok_or(Error::GrantGone)?;
        if current.retry_at.is_none() {
            return Ok(current);
        }
        current.retry_at = None;
        match installation.store.update_grant(&current).await {
            Ok(revision) => return Ok(Grant { revision, ..current }),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::{GrantKind, Id, Right};

    #[test]
    fn a_grant_that_is_over_has_no_forecast() {
        let text = "state_directory = \"/x\"\n[providers.gmail]\nclient_id = \"x\"\n";
        let gmail = Config::parse(text, None).unwrap().providers["gmail"].clone();
        let right = Right::Person { refresh_token: vec![1] };
        let mut grant =
            Grant::new(Id::random(), "gmail", "alice@gmail.com", right, OffsetDateTime::now_utc());
        assert!(!ends(&grant, &gmail).is_empty());
        grant.right = Right::Withdrawn { was: GrantKind::Person };
        assert!(ends(&grant, &gmail).is_empty());
    }
}
