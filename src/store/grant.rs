//! Grants, as rows of the store.

use time::{Duration, OffsetDateTime};

use super::Id;
use crate::text::words;
use crate::trouble::Trouble;

/// One person's (or application's) authorisation at a provider.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Identity.
    pub id: Id,
    /// Counts the writes; a write names the revision it builds on.
    pub revision: i64,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The address of the person who consented, as given. For an application's grant: its account.
    pub owner: String,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// The source of access tokens.
    pub right: Right,
    /// The newest access token, sealed for [`Grant::access_context`].
    pub access_token: Option<Vec<u8>>,
    /// When that access token ends.
    pub access_expires_at: Option<OffsetDateTime>,
    /// Whether it can be used.
    pub state: GrantState,
    /// The last trouble, kept until something succeeds.
    pub trouble: Option<Trouble>,
    /// When the trouble occurred.
    pub failed_at: Option<OffsetDateTime>,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// No refresh before this time.
    pub retry_at: Option<OffsetDateTime>,
    /// When the person consented.
    pub authorized_at: OffsetDateTime,
    /// When a refresh last succeeded.
    pub refreshed_at: Option<OffsetDateTime>,
    /// When the provider said that the refresh token ends.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// When a refresh began that did not store its end, because its process died.
    pub interrupted_at: Option<OffsetDateTime>,
}

impl Grant {
    /// A grant that has not been used yet. The sealed value in `right` is bound to `id`.
    pub fn new(id: Id, provider: &str, owner: &str, right: Right, now: OffsetDateTime) -> Self {
        Self {
            id,
            revision: 0,
            provider: provider.to_owned(),
            owner: owner.to_owned(),
            scopes: Vec::new(),
            right,
            access_token: None,
            access_expires_at: None,
            state: GrantState::Ok,
            trouble: None,
            failed_at: None,
            failures: 0,
            retry_at: None,
            authorized_at: now,
            refreshed_at: None,
            refresh_expires_at: None,
            interrupted_at: None,
        }
    }

    /// Whether a person or an application has or had this grant.
    pub fn kind(&self) -> GrantKind {
        match self.right {
            Right::Person { .. } => GrantKind::Person,
            Right::Application => GrantKind::App,
            Right::Withdrawn { was } => was,
        }
    }

    /// The scopes that decide which doors the grant opens. `None` if they are not known: an application's scopes
    /// stand for all its permissions, and an imported grant may have none.
    pub fn known_scopes(&self) -> Option<&[String]> {
        (self.kind() == GrantKind::Person && !self.scopes.is_empty()).then_some(&*self.scopes)
    }

    /// The person who gave it; `None` for an application's grant.
    pub fn person(&self) -> Option<&str> {
        (self.kind() == GrantKind::Person).then_some(&self.owner)
    }

    /// Whether it was neither revoked nor moved to another installation.
    pub fn is_in_force(&self) -> bool {
        !matches!(self.right, Right::Withdrawn { .. })
    }

    /// Whether an administrator has to consent before a person can give this grant.
    pub fn is_awaited(&self) -> bool {
        !self.is_in_force() && self.state == GrantState::WaitingForAdministrator
    }

    /// Ends it, and returns the right that it had.
    pub fn withdraw(&mut self, why: Trouble, now: OffsetDateTime) -> Right {
        self.access_token = None;
        self.access_expires_at = None;
        self.state = GrantState::NeedsAuthorization;
        self.trouble = Some(why);
        self.failed_at = Some(now);
        self.retry_at = None;
        let was = self.kind();
        std::mem::replace(&mut self.right, Right::Withdrawn { was })
    }

    /// Its sealed values, each with the context that it is bound to.
    pub fn sealed(&mut self) -> impl Iterator<Item = (String, &mut Vec<u8>)> {
        let refresh_token = match &mut self.right {
            Right::Person { refresh_token } => Some(refresh_token),
            Right::Application | Right::Withdrawn { .. } => None,
        };
        let (refresh, access) = (Self::refresh_context(&self.id), Self::access_context(&self.id));
        let refresh_token = refresh_token.map(|sealed| (refresh, sealed));
        refresh_token.into_iter().chain(self.access_token.as_mut().map(|sealed| (access, sealed)))
    }

    /// Clears all troubles, after a success.
    pub fn clear_trouble(&mut self) {
        self.state = GrantState::Ok;
        self.trouble = None;
        self.failed_at = None;
        self.failures = 0;
        self.retry_at = None;
        self.interrupted_at = None;
    }

    /// The context to which the refresh token of grant `id` is bound.
    pub fn refresh_context(id: &Id) -> String {
        format!("grant/{id}/refresh_token")
    }

    /// The context to which the access token of grant `id` is bound.
    pub fn access_context(id: &Id) -> String {
        format!("grant/{id}/access_token")
    }
}

/// The source of a grant's access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// A person's consent.
    Person {
        /// The refresh token, sealed for [`Grant::refresh_context`].
        refresh_token: Vec<u8>,
    },
    /// The application's own right (client credentials, service account), asked for with its key.
    Application,
    /// None any more: a command revoked the grant, or moved it to another installation.
    Withdrawn {
        /// The former kind.
        was: GrantKind,
    },
}

words! {
    /// The kind of a grant.
    #[derive(serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    pub GrantKind by name {
        /// A person consented; access tokens come from a refresh token.
        Person = "person",
        /// The application's own (client credentials, service account); access tokens come from its key.
        App = "app",
    }
}

words! {
    /// Whether a grant can be used, in the words of `tokens list`.
    #[derive(serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    pub GrantState by name {
        /// No trouble is known.
        Ok = "ok",
        /// The provider refused it: a person has to authorise again.
        NeedsAuthorization = "needs_authorization",
        /// The registration or the configuration is wrong: an administrator has to act.
        Misconfigured = "misconfigured",
        /// The last refresh failed for a temporary reason.
        Retrying = "retrying",
        /// The provider requires the consent of an administrator of the person's organisation. A grant that waits for
        /// its first consent is in this state too; it is not in force.
        WaitingForAdministrator = "waiting_for_administrator",
    }
}

impl GrantState {
    /// Whether the state lasts until a person acts.
    pub fn needs_person(self) -> bool {
        matches!(self, Self::NeedsAuthorization | Self::Misconfigured | Self::WaitingForAdministrator)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }
}

/// A grant without its tokens, for upkeep and forecasts.
#[derive(Clone, Debug)]
pub struct GrantStatus {
    /// Identity.
    pub id: Id,
    /// The kind of the grant.
    pub kind: GrantKind,
    /// The provider's name in the configuration.
    pub provider: String,
    /// Who consented.
    pub owner: String,
    /// Whether it can be used.
    pub state: GrantState,
    /// As in [`Grant::trouble`].
    pub trouble: Option<Trouble>,
    /// False after a command has ended the grant.
    pub in_force: bool,
    /// When the newest access token ends.
    pub access_expires_at: Option<OffsetDateTime>,
    /// When the tokens were last renewed, by a refresh or by the consent.
    pub renewed_at: OffsetDateTime,
    /// When the provider said that the refresh token ends.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// When a refresh last failed.
    pub failed_at: Option<OffsetDateTime>,
    /// No refresh before this time.
    pub retry_at: Option<OffsetDateTime>,
    /// When a mail program last logged in to one of its accounts.
    pub last_login_at: Option<OffsetDateTime>,
    /// The names of its accounts.
    pub accounts: Vec<String>,
    /// The last message to the administrator.
    pub told: Option<String>,
    /// When the watch that read this row checks the grant again, as stored: [`NextLook::seen`].
    pub look: i64,
}

/// The longest time between two checks of a grant, in case a clock was wrong at one of them.
pub const LONGEST_LOOK: Duration = Duration::days(1);

impl GrantStatus {
    /// A check at `at`, at most a day after `now`; `None` if the stored check is as early.
    pub fn next_look(&self, at: OffsetDateTime, now: OffsetDateTime) -> Option<NextLook> {
        let at = at.min(now.saturating_add(LONGEST_LOOK));
        let is_news = self.look <= now.unix_timestamp() || at.unix_timestamp() < self.look;
        is_news.then(|| NextLook { grant: self.id.clone(), seen: self.look, at })
    }
}

/// A part of the program that checks grants regularly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Renews tokens ahead of time.
    Upkeep,
    /// Tells people about grants.
    News,
}

/// The next check of a grant.
#[derive(Clone, Debug)]
pub struct NextLook {
    /// The grant.
    pub grant: Id,
    /// The [`GrantStatus::look`] that this was worked out from.
    pub seen: i64,
    /// When.
    pub at: OffsetDateTime,
}
