//! Every account with its grant: what threatens it, and what a person does to it.

mod revoke;

use std::collections::HashMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::error::Error;
use super::installation::Installation;
use super::providers::Legs;
use crate::account::Found;
use crate::config::{Door, Provider};
use crate::forecast::{self, GrantEnd};
use crate::shutdown::Uninterrupted;
use crate::store::{Account, AccountRow, Grant, GrantState, Mailbox, StoreError, is_of_domain};
use crate::token::{AccessToken, TokenFailure};
use crate::trouble::{Cause, CauseKind, Cure, Trouble};

pub(super) use revoke::take;
pub(crate) use revoke::{AtProvider, revoke};

/// Accounts that are read at once.
const PAGE: u32 = 500;

/// An account with its grant.
#[derive(Debug)]
pub(crate) struct Overview {
    /// The account.
    pub(crate) account: Account,
    /// Its grant; `None` where it has none.
    pub(crate) grant: Option<Grant>,
    /// Whether it can be used.
    pub(crate) state: State,
    /// The doors that the grant opens, as far as its scopes tell; none where it was revoked.
    pub(crate) protocols: Vec<Door>,
    /// The scopes that the configuration asks for and the grant lacks, where it opens no door at all.
    pub(crate) scopes_missing: Vec<String>,
    /// What would end the grant; nothing where it has ended.
    pub(crate) ends: Vec<GrantEnd>,
    /// What is wrong with it, and what mends that.
    pub(crate) trouble: Option<Trouble>,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As its grant can, or as its mailbox was found.
    Of(GrantState),
    /// It lets no mail program in, whatever its grant is worth.
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

    /// Whether it stays so until a person acts, who may not know of it.
    pub(crate) fn needs_person(self) -> bool {
        matches!(self, Self::Of(state) if state.needs_person())
    }
}

/// All accounts, by name, read page by page: memory does not grow with them.
#[derive(Default)]
pub(crate) struct Pages {
    after: Option<String>,
}

impl Pages {
    /// The next accounts; none at the end.
    pub(crate) async fn next(&mut self, installation: &Installation) -> Result<Vec<Overview>, Error> {
        let page = installation.store.account_page(self.after.as_deref(), PAGE).await?;
        if let Some(last) = page.last() {
            self.after = Some(last.account.name.clone());
        }
        let overview = |AccountRow { account, grant, .. }: AccountRow| {
            let provider =
                grant.as_ref().and_then(|grant| installation.config.providers.get(&grant.provider));
            Overview::new(account, grant, provider.map(|provider| &**provider))
        };
        Ok(page.into_iter().map(overview).collect())
    }
}

impl Overview {
    fn new(account: Account, grant: Option<Grant>, provider: Option<&Provider>) -> Self {
        let both = grant.as_ref().zip(provider);
        let scopes_missing =
            both.map(|(grant, provider)| provider.missing(grant.known_scopes())).unwrap_or_default();
        let opened = |(grant, provider): (&Grant, &Provider)| provider.opened_by(grant.known_scopes());
        Self {
            state: state(&account, grant.as_ref()),
            protocols: both.filter(|(grant, _)| grant.is_in_force()).map(opened).unwrap_or_default(),
            ends: both.map(|(grant, provider)| ends(grant, provider)).unwrap_or_default(),
            trouble: trouble(&account, grant.as_ref(), provider.is_some(), &scopes_missing),
            scopes_missing,
            account,
            grant,
        }
    }

    /// Whether the grant ends by then, whatever is done or left undone.
    pub(crate) fn ends_by(&self, at: OffsetDateTime) -> bool {
        self.ends.iter().any(|end| end.cause.is_certain() && end.at.is_some_and(|day| day <= at))
    }

    /// When what is on record happened last.
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

/// What is on record of the grant, else of the mailbox; else what the configuration tells.
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

/// A new access token now, whatever is waited for, and the account that it is for.
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

/// When a person's command fetches a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Now.
    Always,
    /// Now, unless a token came within the last minute: a check that is run again and again asks no more often.
    OncePerMinute,
}

/// What [`renew`] brought.
pub(super) struct Renewed {
    /// The token, or why there is none.
    pub(super) token: Result<Arc<AccessToken>, TokenFailure>,
    /// Whether the provider was asked for it.
    pub(super) was_asked: bool,
}

/// A token of `grant`, without waiting for what is on record.
pub(super) async fn renew(
    installation: &Installation,
    legs: &HashMap<String, Legs>,
    grant: &Grant,
    mailbox: &Mailbox,
    when: Renewal,
) -> Result<Renewed, Error> {
    // A provider that rotates may have spent the old token: its answer must reach the disk.
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

/// Forgets how long to wait before the provider is asked again; the grant as it then is.
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
