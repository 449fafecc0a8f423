//! Where grants, accounts and app passwords are kept.
//!
//! The invariants that everything above relies on: every write to a grant names the revision it
//! was read at and loses against a newer one ([`StoreError::Conflict`]), so that a slow writer
//! never overwrites what a person has just authorised; a refresh is done under a lease, so that
//! two processes on one store never spend the same rotating refresh token; and a write has
//! reached the disk when its call returns. Secrets arrive here sealed: the store never holds a key.

mod directory;
mod holder;
mod sqlite;

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::text::quoted;

pub use directory::{DirectoryError, Lock, StateDirectory};
pub use sqlite::{Judge, Sqlite};

/// A row's identity: random, so that sealed values can be bound to it before it is inserted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub String);

impl Id {
    /// A new one (96 random bits).
    pub fn random() -> Self {
        Self(crate::secret::random_text::<12>())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One person's (or application's) authorisation at a provider.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Identity.
    pub id: Id,
    /// Counts the writes; a write names the revision it builds on.
    pub revision: i64,
    /// Whose right it is.
    pub kind: GrantKind,
    /// The provider's name in the configuration.
    pub provider: String,
    /// Who consented: the address as given. Of an application's grant: the account it is for.
    pub owner: String,
    /// The mailbox that a login under a domain account asked for; nothing that is stored.
    pub mailbox: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// The refresh token, sealed for [`Grant::refresh_context`]; `None` after the grant was revoked or
    /// moved. An application needs none: its grant holds a mark there while it is in force.
    pub refresh_token: Option<Vec<u8>>,
    /// The newest access token, sealed for [`Grant::access_context`].
    pub access_token: Option<Vec<u8>>,
    /// When that access token ends.
    pub access_expires_at: Option<OffsetDateTime>,
    /// Whether it can be used.
    pub state: GrantState,
    /// What went wrong last, in one line for people, kept until something succeeds. `{account}` in it
    /// stands for the account it is shown for.
    pub last_error: Option<String>,
    /// When that was.
    pub failed_at: Option<OffsetDateTime>,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// No refresh before this.
    pub retry_at: Option<OffsetDateTime>,
    /// When the person consented.
    pub authorized_at: OffsetDateTime,
    /// When a refresh last succeeded.
    pub refreshed_at: Option<OffsetDateTime>,
    /// When the provider said that the refresh token ends.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// When a refresh began whose end was never written down: its process died in between.
    pub interrupted_at: Option<OffsetDateTime>,
}

impl Grant {
    /// A grant nobody has used yet.
    pub fn new(provider: &str, owner: &str, now: OffsetDateTime) -> Self {
        Self {
            id: Id::random(),
            revision: 0,
            kind: GrantKind::Person,
            provider: provider.to_owned(),
            owner: owner.to_owned(),
            mailbox: None,
            scopes: Vec::new(),
            refresh_token: None,
            access_token: None,
            access_expires_at: None,
            state: GrantState::Ok,
            last_error: None,
            failed_at: None,
            failures: 0,
            retry_at: None,
            authorized_at: now,
            refreshed_at: None,
            refresh_expires_at: None,
            interrupted_at: None,
        }
    }

    /// Forgets every trouble: something has just succeeded.
    pub fn clear_trouble(&mut self) {
        self.state = GrantState::Ok;
        self.last_error = None;
        self.failed_at = None;
        self.failures = 0;
        self.retry_at = None;
        self.interrupted_at = None;
    }

    /// `last_error` as shown for `account`, naming the command that cures it there.
    pub fn error_for(&self, account: &str) -> Option<String> {
        let target = self.command_target(account);
        self.last_error.as_ref().map(|text| text.replace("{account}", &target))
    }

    /// What stands behind `authorize` to renew this grant for `account`.
    pub fn command_target(&self, account: &str) -> String {
        command_target(self.kind, &self.owner, &self.provider, account)
    }

    /// What the refresh token of grant `id` is sealed for.
    pub fn refresh_context(id: &Id) -> String {
        format!("grant/{id}/refresh_token")
    }

    /// What the access token of grant `id` is sealed for.
    pub fn access_context(id: &Id) -> String {
        format!("grant/{id}/access_token")
    }
}

impl GrantStatus {
    /// As [`Grant::command_target`].
    pub fn command_target(&self, account: &str) -> String {
        command_target(self.kind, &self.owner, &self.provider, account)
    }
}

fn command_target(kind: GrantKind, owner: &str, provider: &str, account: &str) -> String {
    match kind {
        GrantKind::App => format!("{} --provider {} --app", quoted(owner), quoted(provider)),
        GrantKind::Person if fold(account) == fold(owner) => quoted(account),
        GrantKind::Person => format!("{} --owner {}", quoted(account), quoted(owner)),
    }
}

/// Whose right a grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// A person consented; access tokens come from a refresh token.
    Person,
    /// The application's own (client credentials, service account); access tokens come from its key.
    App,
}

impl GrantKind {
    /// The word used in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::App => "app",
        }
    }
}

/// Whether a grant can be used; the words are those of `tokens list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// It works, as far as is known.
    Ok,
    /// The provider refused it: a person has to authorise again.
    NeedsAuthorization,
    /// The registration or the configuration is wrong: an administrator has to act.
    Misconfigured,
    /// The last refresh failed in a way that passes.
    Retrying,
}

impl GrantState {
    /// The word used in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NeedsAuthorization => "needs_authorization",
            Self::Misconfigured => "misconfigured",
            Self::Retrying => "retrying",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Ok, Self::NeedsAuthorization, Self::Misconfigured, Self::Retrying]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// What a mail program logs in to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Identity.
    pub id: Id,
    /// The login name as given, which is also the upstream user. `@corp.example` is a domain account;
    /// [`Store::login`] shows it under the name of the mailbox that was asked for.
    pub name: String,
    /// Other login names.
    pub aliases: Vec<String>,
    /// Its grant; `None` after the grant was revoked.
    pub grant: Option<Id>,
    /// When a mail program last logged in.
    pub last_login_at: Option<OffsetDateTime>,
    /// The address it came from.
    pub last_login_from: Option<String>,
    /// What the provider's mail server had against this mailbox, until a login succeeds.
    pub trouble: Option<Trouble>,
}

/// Why a mailbox did not open although its token was fresh.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Cause and cure, in one line for people.
    pub reason: String,
    /// Times in a row.
    pub count: u32,
    /// When it was last met.
    pub at: OffsetDateTime,
    /// No other token is fetched for this mailbox before this.
    pub retry_at: OffsetDateTime,
}

/// An app password: never the password itself, only what verifies it.
#[derive(Clone, Debug)]
pub struct AppPassword {
    /// Identity.
    pub id: Id,
    /// The account it opens.
    pub account: Id,
    /// The name a person gave it, unique in the account.
    pub name: String,
    /// What verifies it.
    pub verifier: Verifier,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// From which address.
    pub last_used_from: Option<String>,
}

/// What an app password is verified against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// A keyed hash: enough for a password of 100 random bits and more.
    Generated(Vec<u8>),
    /// An argon2id hash in PHC form, for a password that a person chose.
    Chosen(String),
}

/// Everything a login needs, read in one step.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The account that the name stands for.
    pub account: Account,
    /// Its app passwords.
    pub passwords: Vec<AppPassword>,
    /// Its grant.
    pub grant: Option<Grant>,
}

/// A grant without its tokens, for upkeep and forecasts.
#[derive(Clone, Debug)]
pub struct GrantStatus {
    /// Identity.
    pub id: Id,
    /// Whose right it is.
    pub kind: GrantKind,
    /// The provider's name in the configuration.
    pub provider: String,
    /// Who consented.
    pub owner: String,
    /// Whether it can be used.
    pub state: GrantState,
    /// As in [`Grant::last_error`].
    pub last_error: Option<String>,
    /// False after the grant was revoked by command.
    pub in_force: bool,
    /// When the newest access token ends.
    pub access_expires_at: Option<OffsetDateTime>,
    /// When the tokens were last renewed, by a refresh or by the consent.
    pub renewed_at: OffsetDateTime,
    /// When the provider said that the refresh token ends.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// When a refresh last failed.
    pub failed_at: Option<OffsetDateTime>,
    /// No refresh before this.
    pub retry_at: Option<OffsetDateTime>,
    /// When a mail program last logged in to one of its accounts.
    pub last_login_at: Option<OffsetDateTime>,
    /// The names of its accounts.
    pub accounts: Vec<String>,
    /// What the administrator was told last.
    pub told: Option<String>,
}

/// A login that succeeded, to be remembered.
#[derive(Clone, Debug)]
pub struct LoginNote {
    /// The account.
    pub account: Id,
    /// The password that opened it.
    pub password: Id,
    /// When.
    pub at: OffsetDateTime,
    /// From which address.
    pub from: String,
}

/// A finished authorisation, to be stored in one transaction.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The account's name.
    pub account: String,
    /// Further login names.
    pub aliases: Vec<String>,
    /// What it may do.
    pub grant: Granted,
    /// The identity of the account, where it is new.
    pub id: Id,
    /// An app password for it, stored in the same moment.
    pub password: Option<AppPassword>,
}

/// The grant of an [`Authorization`].
#[derive(Clone, Debug)]
pub enum Granted {
    /// To insert, or to replace where one of its id is there.
    New(Box<Grant>),
    /// One that is there, and stays as it is: somebody else's, for a shared mailbox.
    Existing(Id),
}

/// A sealed value that is no grant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSetting {
    /// Its key, which is also what it is sealed for.
    pub key: String,
    /// The sealed value.
    pub value: Vec<u8>,
}

/// A database that is gone.
#[derive(Clone, Debug)]
pub struct Absence {
    /// When that was first seen.
    pub since: std::time::Instant,
    /// What is wrong.
    pub cause: String,
    /// What helps.
    pub cure: &'static str,
}

/// Keeps grants. One implementation a database; a failing one in tests.
#[async_trait]
pub trait Store: Send + Sync {
    /// Everything a login under `name` (an account or an alias, case-folded) needs. Where there is
    /// none, the domain account of `name`, under that name.
    async fn login(&self, name: &str) -> Result<Option<LoginRecord>, StoreError>;

    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// All grants.
    async fn grants(&self) -> Result<Vec<Grant>, StoreError>;

    /// One grant.
    async fn grant(&self, id: &Id) -> Result<Option<Grant>, StoreError>;

    /// The grant of `owner` at `provider`.
    async fn grant_of(
        &self,
        provider: &str,
        owner: &str,
        kind: GrantKind,
    ) -> Result<Option<Grant>, StoreError>;

    /// Writes `grant`, whose `revision` is the one it was read at, and gives up the lease of
    /// `holder` with it; returns the new revision.
    async fn update_grant(&self, grant: &Grant, holder: Option<&str>) -> Result<i64, StoreError>;

    /// The name under which this process takes leases.
    async fn holder(&self) -> Result<String, StoreError>;

    /// Takes the lease on refreshing `grant`; false where somebody else holds it. Between processes that
    /// see one another it ends with its holder's life, and at the latest at `until`. The lease of a
    /// holder that died marks the grant `interrupted_at`. Who holds it may take it again.
    async fn take_lease(
        &self,
        grant: &Id,
        holder: &str,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Gives up the lease without writing anything else.
    async fn release_lease(&self, grant: &Id, holder: &str) -> Result<(), StoreError>;

    /// Stores an authorisation: the grant, and the account and its aliases where they are new.
    async fn authorize(&self, authorization: &Authorization) -> Result<Account, StoreError>;

    /// Removes an account with its passwords and aliases, and its grant where no other account
    /// uses it.
    async fn remove_account(&self, account: &Id) -> Result<(), StoreError>;

    /// Adds another login name.
    async fn add_alias(&self, account: &Id, alias: &str) -> Result<(), StoreError>;

    /// Removes another login name; false where the account has none of that name beside its own.
    async fn remove_alias(&self, account: &Id, alias: &str) -> Result<bool, StoreError>;

    /// The app passwords of an account, by name.
    async fn passwords(&self, account: &Id) -> Result<Vec<AppPassword>, StoreError>;

    /// Adds an app password.
    async fn add_password(&self, password: &AppPassword) -> Result<(), StoreError>;

    /// Removes an app password; false where the account has none of that name.
    async fn remove_password(&self, account: &Id, name: &str) -> Result<bool, StoreError>;

    /// Remembers logins.
    async fn note_logins(&self, notes: &[LoginNote]) -> Result<(), StoreError>;

    /// Writes down, or forgets, what the provider's mail server has against an account.
    async fn set_trouble(&self, account: &Id, trouble: Option<&Trouble>) -> Result<(), StoreError>;

    /// A number that changes whenever something was written, by whatever process. Cheap.
    async fn version(&self) -> Result<i64, StoreError>;

    /// Looks whether the database is still the one that was opened, and opens another one that has taken its
    /// place, where that is a store of ours. Until then, and while there is none, everything else fails.
    async fn reopen(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Changes when another database has taken the place of the one that was open: what is remembered of
    /// rows that were read before means nothing any more.
    fn epoch(&self) -> u64 {
        0
    }

    /// Whether [`Store::reopen`] finds no database that can be used.
    fn absence(&self) -> Option<Absence> {
        None
    }

    /// The app passwords whose account has a grant that was not revoked.
    async fn passwords_in_force(&self) -> Result<HashSet<Id>, StoreError>;

    /// Every grant, as far as its upkeep has to know it.
    async fn statuses(&self) -> Result<Vec<GrantStatus>, StoreError>;

    /// Reserves telling the administrator about `grant` until `until`, where what was `told` last is still
    /// that; false where it is not, or another process is telling.
    async fn claim_telling(
        &self,
        grant: &Id,
        told: Option<&str>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Writes down what the administrator has been told about `grant`, and ends the reservation.
    async fn set_told(&self, grant: &Id, told: Option<&str>) -> Result<(), StoreError>;

    /// The value under `key`, after putting `value` there if there was none.
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// All settings; each is a sealed value.
    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>, StoreError>;

    /// Replaces a setting's value where it is still `old`; false where it is not.
    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool, StoreError>;

    /// Keeps `sealed` for whoever asks for `key` before `until`, and forgets what is over.
    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<(), StoreError>;

    /// Takes what was left under `key`, once.
    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The name of the domain account that `name` may fall to: `@corp.example` for `bob@corp.example`.
pub fn domain_account(name: &str) -> Option<String> {
    let (local, domain) = name.rsplit_once('@')?;
    let sound = name.len() <= 320 && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    (sound && !local.is_empty() && !domain.is_empty()).then(|| format!("@{}", fold(domain)))
}

/// Under what the answer to the sign-in with this `state` is left; `state` itself is not written down.
pub fn answer_key(state: &str) -> String {
    use base64::Engine as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.as_bytes());
    format!("answer/{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest))
}

/// Before this there was nothing that a grant could come from.
const EARLIEST: OffsetDateTime = datetime!(2000-01-01 0:00 UTC);
/// Nothing that is stored means anything after this. So far from the ends of the calendar that days and
/// years can be added without a thought.
const LATEST: OffsetDateTime = datetime!(2200-01-01 0:00 UTC);

/// The nearest date that can be calculated with: what is read from the store or from the configuration may
/// be any date.
pub fn sane_date(at: OffsetDateTime) -> OffsetDateTime {
    at.clamp(EARLIEST, LATEST)
}

/// The same of a number of seconds since 1970, which may be none of the calendar's.
fn sane_date_of(seconds: i64) -> OffsetDateTime {
    let seconds = seconds.clamp(EARLIEST.unix_timestamp(), LATEST.unix_timestamp());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(EARLIEST)
}

/// Any date of the calendar, the days at its ends as often as all the others.
#[cfg(test)]
pub(crate) fn any_date() -> impl proptest::strategy::Strategy<Value = OffsetDateTime> {
    use proptest::strategy::Strategy as _;
    const FIRST: i64 = -377_705_116_800;
    const LAST: i64 = 253_402_300_799;
    const YEAR: i64 = 366 * 86_400;
    proptest::prop_oneof![FIRST..=LAST, FIRST..=FIRST + YEAR, LAST - YEAR..=LAST]
        .prop_map(|seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap())
}

/// Login names compare case-folded.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody wrote first: read again and decide anew.
    #[error("the grant was changed by somebody else at the same moment; nothing was overwritten")]
    Conflict,
    /// The person's: a name that is already taken.
    #[error("{0}")]
    Taken(String),
    /// The administrator's: the state directory or its database cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The database refused: full disk, read-only, locked for too long.
    #[error("the store failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}
