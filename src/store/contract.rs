//! The operations of every store, divided by their callers. `tests/store` tests each store with them.
//!
//! A method that takes an [`Act`] writes it to the audit trail in the same transaction as the change: neither
//! exists without the other, even if the process dies. If nothing changes, nothing is written.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    Account, AccountRow, Act, ApiTokenStore, AppPassword, Authorization, ChangeStore, CountStore,
    DeviceStore, Folded, Grant, GrantKind, GrantStatus, Id, InstanceStore, KeyTellingStore, LastRefusal,
    Limits, LinkStore, LoginNote, LoginRecord, MailboxTrouble, NextLook, Result, SealedSetting, SealingLock,
    ShortLivedStore, SignInAs, TrailEntry, Watch,
};

/// Names the parts of a store once, for the trait and for what implements it.
macro_rules! store {
    ($($part:ident),+ $(,)?) => {
        /// A whole store. There is one implementation for each database, and a failing one in tests.
        pub trait Store: $($part +)+ {}

        impl<T: $($part +)+> Store for T {}
    };
}

store!(
    LoginStore,
    GrantStore,
    LeaseStore,
    AccountStore,
    SettingStore,
    AnswerStore,
    ChangeStore,
    CountStore,
    DeviceStore,
    LinkStore,
    TrailStore,
    ApiTokenStore,
    InstanceStore,
    ShortLivedStore,
    KeyTellingStore,
);

/// The operations of a login.
#[async_trait]
pub trait LoginStore: Send + Sync {
    /// All data for a login under `name`, which is an account's name or an alias.
    async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>>;

    /// Stores successful logins.
    async fn note_logins(&self, notes: &[LoginNote]) -> Result<()>;

    /// Sets or clears an account's trouble at the provider's mail server for the door of that name.
    async fn set_trouble(&self, account: &Id, door: &str, trouble: Option<&MailboxTrouble>) -> Result<()>;

    /// Sets or clears the provider's last refusal in a session of an account.
    async fn set_refusal(&self, account: &Id, refusal: Option<&LastRefusal>) -> Result<()>;

    /// Sets or clears the name that the provider accepts for an account.
    async fn set_sign_in_as(&self, account: &Id, user: Option<SignInAs>) -> Result<()>;
}

/// Grants, and the last news about them.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// All grants.
    async fn grants(&self) -> Result<Vec<Grant>>;

    /// One grant.
    async fn grant(&self, id: &Id) -> Result<Option<Grant>>;

    /// The grant of `owner` at `provider`.
    async fn grant_of(&self, provider: &str, owner: &str, kind: GrantKind) -> Result<Option<Grant>>;

    /// Writes `grant`, whose `revision` is the one that was read, and releases this process's lease on it; returns
    /// the new revision.
    async fn update_grant(&self, grant: &Grant) -> Result<i64>;

    /// Writes a grant that a command has ended, with the command's `act`.
    async fn end_grant(&self, grant: &Grant, act: &Act) -> Result<i64>;

    /// The status of grants that accounts use which are not disabled, for upkeep: by identity, those after
    /// `after`, at most `limit`. Names and last logins come from such accounts only.
    async fn statuses(&self, watch: Watch, after: Option<&Id>, limit: u32) -> Result<Vec<GrantStatus>>;

    /// The grants that `watch` must check by `now`, at most `limit`: those written since the last check, and those
    /// that are due. A grant that only disabled accounts use is included, without a name.
    async fn due(&self, watch: Watch, now: OffsetDateTime, limit: u32) -> Result<Vec<GrantStatus>>;

    /// Stores when `watch` must check grants again. A grant that was written since it was read stays due.
    async fn look_again(&self, watch: Watch, looks: &[NextLook]) -> Result<()>;

    /// Reserves the message to the administrator about `grant` until `until`, if the last message was `told`.
    /// False if it was another one, or if another process is sending.
    async fn claim_telling(
        &self,
        grant: &Id,
        told: Option<&str>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool>;

    /// Stores the last message to the administrator about `grants`, ends the reservations, and records the message
    /// in the audit trail if one was sent.
    async fn set_told(&self, grants: &[&Id], told: Option<&str>, act: Option<&Act>) -> Result<()>;
}

/// When a process takes over the lease of a holder that gives no sign of life. That holder may live, cut off from the store,
/// and keep a rotated refresh token that it could not store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// As soon as the holder counts as dead.
    AtOnce,
    /// Not before the access token in the row is over: until then waiting costs nothing.
    OnceTokenEnds,
}

/// What became of a wish for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// This process has it.
    Taken,
    /// Another process has it, or there is no such grant.
    Busy,
    /// Its holder gives no sign of life, and the access token in the row lasts still ([`Takeover::OnceTokenEnds`]).
    Silent,
}

/// The lease to refresh a grant, which one process has at a time.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lease on `grant` for this process, which may hold it already.
    /// The lease ends when its holder dies, if the processes can see each other, and at the latest at `until`. The
    /// lease of a holder that died marks the grant `interrupted_at`.
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
        takeover: Takeover,
    ) -> Result<Leased>;

    /// The name of this process as a lease holder, until it ends.
    async fn holder(&self) -> Result<String>;

    /// Releases this process's lease without another write.
    async fn release_lease(&self, grant: &Id) -> Result<()>;
}

/// Accounts, their login names and their app passwords.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;

    /// Accounts with their grants and numbers of app passwords, by name: those after `after`, at most `limit`.
    async fn account_page(&self, after: Option<&str>, limit: u32) -> Result<Vec<AccountRow>>;

    /// One account, with its grant and its number of app passwords.
    async fn account_row(&self, account: &Id) -> Result<Option<AccountRow>>;

    /// Stores an authorisation: the grant, and new accounts and aliases. The mailbox's trouble and accepted name
    /// under another grant are cleared. `acts` describe the authorisation.
    async fn authorize(&self, authorization: &Authorization, acts: &[Act]) -> Result<Account>;

    /// Removes an account with its passwords and aliases, and its grant if no other account uses it.
    async fn remove_account(&self, account: &Id, act: &Act) -> Result<()>;

    /// Adds another login name; false if the account has it already.
    async fn add_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool>;

    /// Removes another login name; false if the account has no such alias.
    async fn remove_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool>;

    /// The app passwords of an account, by name.
    async fn passwords(&self, account: &Id) -> Result<Vec<AppPassword>>;

    /// Adds an app password.
    async fn add_password(&self, password: &AppPassword, act: &Act) -> Result<()>;

    /// Removes an app password; false if the account has none of that name.
    async fn remove_password(&self, account: &Id, name: &str, act: &Act) -> Result<bool>;

    /// Replaces the limits of an app password; false if the account has none of that name.
    async fn limit_password(&self, account: &Id, name: &str, limits: &Limits, act: &Act) -> Result<bool>;

    /// Disables or enables an account; false if its state does not change.
    async fn set_disabled(&self, account: &Id, disabled: bool, act: &Act) -> Result<bool>;
}

/// Sealed values outside of grants, and the lock of commands that change the sealing keys.
#[async_trait]
pub trait SettingStore: Send + Sync {
    /// The value under `key`, after putting `value` there if there was none.
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>>;

    /// All settings; each is a sealed value.
    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>>;

    /// Replaces a setting's value if it is still `old`; false if it is not.
    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool>;

    /// Removes a setting if its value is still `value`.
    async fn remove_setting(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Waits until no other command seals or rotates the keys of this store, and keeps other commands from it
    /// until the value is dropped, or its process ends.
    async fn lock_sealing(&self) -> Result<SealingLock>;
}

/// The answers to sign-ins, which one process receives and another one awaits.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Stores `sealed` under `key` until it is collected, or until `until`, and removes values that are over.
    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<()>;

    /// Takes the value under `key`, once.
    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>>;
}

/// The audit trail: entries of 400 days, at most the newest 100,000.
#[async_trait]
pub trait TrailStore: Send + Sync {
    /// Adds an act that does not change the store, and removes entries that are too old.
    async fn record(&self, act: &Act) -> Result<()>;

    /// The entries since `since` and after the entry `after`, in order, at most `limit`.
    async fn trail(&self, since: Option<OffsetDateTime>, after: i64, limit: u32) -> Result<Vec<TrailEntry>>;

    /// The newest entries before the entry `before`, the newest first, at most `limit`; of those with `account`, if it
    /// is given.
    async fn latest(&self, account: Option<&str>, before: Option<i64>, limit: u32)
    -> Result<Vec<TrailEntry>>;
}
