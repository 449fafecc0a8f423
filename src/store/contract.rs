//! What every store does, cut by who asks for it. `tests/store` holds each store to it.
//!
//! A method that takes an [`Act`] writes it to the audit trail in the transaction of the change that it tells of: there
//! is no change without its entry, whatever ends the process, and no entry without a change. Where nothing changes,
//! nothing is written.

use std::collections::HashSet;
use std::path::Path;

use async_trait::async_trait;
use time::{Date, OffsetDateTime};

use super::{
    Account, AccountRow, Act, AppPassword, Authorization, CountStore, DeviceStore, Folded, Grant, GrantKind,
    GrantStatus, Id, LastRefusal, Limits, LoginNote, LoginRecord, MailboxTrouble, NextLook, SealedSetting,
    SealingLock, SignInAs, StoreError, TrailEntry, Watch,
};

/// The whole of a store. One implementation a database, and a failing one in tests.
pub trait Store:
    LoginStore
    + GrantStore
    + LeaseStore
    + AccountStore
    + SettingStore
    + AnswerStore
    + ChangeStore
    + CountStore
    + DeviceStore
    + TrailStore
{
}

impl<T> Store for T where
    T: LoginStore
        + GrantStore
        + LeaseStore
        + AccountStore
        + SettingStore
        + AnswerStore
        + ChangeStore
        + CountStore
        + DeviceStore
        + TrailStore
{
}

/// What a login reads and writes down.
#[async_trait]
pub trait LoginStore: Send + Sync {
    /// Everything a login under `name`, which is an account's or an alias, needs.
    async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>, StoreError>;

    /// Remembers logins.
    async fn note_logins(&self, notes: &[LoginNote]) -> Result<(), StoreError>;

    /// Writes down, or forgets, what the provider's mail server for the door of that name has against an account.
    async fn set_trouble(
        &self,
        account: &Id,
        door: &str,
        trouble: Option<&MailboxTrouble>,
    ) -> Result<(), StoreError>;

    /// Writes down, or forgets, what the provider refused last in a session of an account.
    async fn set_refusal(&self, account: &Id, refusal: Option<&LastRefusal>) -> Result<(), StoreError>;

    /// Remembers, or forgets, whose name the provider takes for an account.
    async fn set_sign_in_as(&self, account: &Id, user: Option<SignInAs>) -> Result<(), StoreError>;
}

/// The rows of grants, and what was told about them.
#[async_trait]
pub trait GrantStore: Send + Sync {
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

    /// Writes `grant`, whose `revision` is the one it was read at, and gives up this process's lease on it;
    /// returns the new revision.
    async fn update_grant(&self, grant: &Grant) -> Result<i64, StoreError>;

    /// The same of a grant that a command has ended, and that this was done.
    async fn end_grant(&self, grant: &Grant, act: &Act) -> Result<i64, StoreError>;

    /// The grants that accounts use which are not disabled, as far as upkeep has to know them: by identity, those behind
    /// `after`, `limit` at most. Names and last logins are those of such accounts alone.
    async fn statuses(
        &self,
        watch: Watch,
        after: Option<&Id>,
        limit: u32,
    ) -> Result<Vec<GrantStatus>, StoreError>;

    /// The grants that `watch` has to look at by `now`, `limit` at most: those that were written since the last
    /// look, and those whose time has come. One that only disabled accounts use is among them, without a name.
    async fn due(
        &self,
        watch: Watch,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<GrantStatus>, StoreError>;

    /// Writes down when `watch` looks at grants again. One that was written since it was read stays due.
    async fn look_again(&self, watch: Watch, looks: &[NextLook]) -> Result<(), StoreError>;

    /// Reserves telling the administrator about `grant` until `until`, where what was `told` last is still
    /// that; false where it is not, or another process is telling.
    async fn claim_telling(
        &self,
        grant: &Id,
        told: Option<&str>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Writes down what the administrator has been told about `grants`, ends the reservations, and writes down the
    /// telling where there was one.
    async fn set_told(&self, grants: &[&Id], told: Option<&str>, act: Option<&Act>)
    -> Result<(), StoreError>;
}

/// The right to refresh a grant, which one process has at a time.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lease on refreshing `grant` for this process, which may hold it already; false where another
    /// one holds it. Between processes that see one another it ends with its holder's life, and at the latest
    /// at `until`. The lease of a holder that died marks the grant `interrupted_at`.
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// The name of this process among those that hold leases, from now to its end.
    async fn holder(&self) -> Result<String, StoreError>;

    /// Gives up this process's lease without writing anything else.
    async fn release_lease(&self, grant: &Id) -> Result<(), StoreError>;
}

/// Accounts, their login names and their app passwords.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// Accounts with their grants and how many app passwords they have, by name: those behind the one called
    /// `after`, `limit` at most.
    async fn account_page(&self, after: Option<&str>, limit: u32) -> Result<Vec<AccountRow>, StoreError>;

    /// Stores an authorisation: the grant, and the account and its aliases where they are new. What was known of
    /// the mailbox under another grant is forgotten: its trouble, and whose name was taken. `acts` are what was done
    /// by it.
    async fn authorize(&self, authorization: &Authorization, acts: &[Act]) -> Result<Account, StoreError>;

    /// Removes an account with its passwords and aliases, and its grant where no other account
    /// uses it.
    async fn remove_account(&self, account: &Id, act: &Act) -> Result<(), StoreError>;

    /// Adds another login name; false where the account has it already.
    async fn add_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool, StoreError>;

    /// Removes another login name; false where the account has none of that name beside its own.
    async fn remove_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool, StoreError>;

    /// The app passwords of an account, by name.
    async fn passwords(&self, account: &Id) -> Result<Vec<AppPassword>, StoreError>;

    /// Adds an app password.
    async fn add_password(&self, password: &AppPassword, act: &Act) -> Result<(), StoreError>;

    /// Removes an app password; false where the account has none of that name.
    async fn remove_password(&self, account: &Id, name: &str, act: &Act) -> Result<bool, StoreError>;

    /// Limits an app password to this and nothing else; false where the account has none of that name.
    async fn limit_password(
        &self,
        account: &Id,
        name: &str,
        limits: &Limits,
        act: &Act,
    ) -> Result<bool, StoreError>;

    /// Disables or enables an account; false where it is so already.
    async fn set_disabled(&self, account: &Id, disabled: bool, act: &Act) -> Result<bool, StoreError>;
}

/// Sealed values that are no grant's, and who may change what seals.
#[async_trait]
pub trait SettingStore: Send + Sync {
    /// The value under `key`, after putting `value` there if there was none.
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// All settings; each is a sealed value.
    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>, StoreError>;

    /// Replaces a setting's value where it is still `old`; false where it is not.
    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool, StoreError>;

    /// Waits until no other command seals or rotates the keys of this store, and keeps them all away until
    /// the value is dropped, or its process ends.
    async fn lock_sealing(&self) -> Result<SealingLock, StoreError>;
}

/// The answers to sign-ins, which one process receives and another one waits for.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Keeps `sealed` under `key` until it is collected, or until `until`, and forgets what is over.
    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<(), StoreError>;

    /// Takes what was left under `key`, once.
    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The audit trail, which is kept for 400 days, and the newest 100,000 entries of it.
#[async_trait]
pub trait TrailStore: Send + Sync {
    /// Writes down what was done where the store itself did not change, and forgets what is too old.
    async fn record(&self, act: &Act) -> Result<(), StoreError>;

    /// What was written down from `since` on behind the entry `after`, in order, `limit` at most.
    async fn trail(
        &self,
        since: Option<OffsetDateTime>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<TrailEntry>, StoreError>;
}

/// What other processes did to the store, and to the database that it is kept in.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// A number that changes whenever something was written, by whatever process. Cheap.
    async fn changes(&self) -> Result<i64, StoreError>;

    /// The app passwords whose account is not disabled and has a grant in force, without those whose last day
    /// was before `today` (UTC).
    async fn passwords_in_force(&self, today: Date) -> Result<HashSet<Id>, StoreError>;

    /// Looks whether the database is still the one that was opened, and opens another one that has taken its
    /// place, where that is a store of ours. Until then, and while there is none, everything else fails.
    async fn reopen(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes a copy of the store, as it is at one moment, to `file`, which must not exist; others go on meanwhile.
    async fn copy_to(&self, file: &Path) -> Result<(), StoreError>;

    /// Changes when another database has taken the place of the one that was open: what is remembered of
    /// rows that were read before means nothing any more.
    fn epoch(&self) -> u64 {
        0
    }

    /// Whether [`ChangeStore::reopen`] finds no database that can be used.
    fn absence(&self) -> Option<Absence> {
        None
    }
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
