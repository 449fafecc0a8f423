//! A store with injected failures.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use imap_oauth_proxy::store::{
    Absence, Account, AccountRow, AccountStore, Act, AnswerStore, ApiToken, ApiTokenStore, AppPassword,
    Authorization, ChangeStore, CountStore, DeviceMessages, DeviceStore, Folded, Grant, GrantCount,
    GrantKind, GrantStatus, GrantStore, Id, InstanceStore, KeyTeller, KeyTellingStore, LastRefusal,
    LeaseStore, Leased, Limits, LinkStore, Linked, LoginNote, LoginRecord, LoginStore, MailboxTrouble,
    NextLook, SealedSetting, SealingLock, SettingStore, ShortLived, ShortLivedKind, ShortLivedStore,
    SignInAs, SignInLink, Store, StoreError, Takeover, ToldKeys, TrailEntry, TrailStore, Watch,
};
use time::{Date, OffsetDateTime};
use tokio::sync::watch;

/// Wraps another store, counts its calls, and fails those that a test names.
pub(crate) struct Failing {
    inner: Arc<dyn Store>,
    failing: Mutex<HashSet<&'static str>>,
    /// How often each call may succeed before it fails.
    left: Mutex<HashMap<&'static str, usize>>,
    calls: Mutex<HashMap<&'static str, usize>>,
    failed: watch::Sender<Vec<&'static str>>,
}

impl Failing {
    pub(crate) fn before(inner: Arc<dyn Store>) -> Self {
        let failed = watch::Sender::new(Vec::new());
        Self { inner, failing: Mutex::default(), left: Mutex::default(), calls: Mutex::default(), failed }
    }

    /// Makes these calls fail from now on.
    pub(crate) fn fail(&self, calls: &[&'static str]) {
        self.failing.lock().unwrap().extend(calls);
    }

    /// Makes this call fail after it has succeeded so many times.
    #[allow(dead_code, reason = "unit tests of the library use it")]
    pub(crate) fn fail_after(&self, successes: usize, call: &'static str) {
        self.left.lock().unwrap().insert(call, successes);
    }

    /// How often this was called.
    #[allow(dead_code, reason = "unit tests of the library use it")]
    pub(crate) fn calls(&self, call: &str) -> usize {
        self.calls.lock().unwrap().get(call).copied().unwrap_or(0)
    }

    /// Makes no call fail from now on.
    pub(crate) fn heal(&self) {
        self.failing.lock().unwrap().clear();
        self.left.lock().unwrap().clear();
    }

    /// Waits until `call` has failed this many times.
    pub(crate) async fn has_failed(&self, call: &'static str, times: usize) {
        let often = |failed: &Vec<&str>| failed.iter().filter(|name| **name == call).count() >= times;
        let mut failed = self.failed.subscribe();
        let waited = tokio::time::timeout(sandbox::PATIENCE, failed.wait_for(often)).await;
        assert!(waited.is_ok(), "{call} was not called {times} times");
    }

    fn meets(&self, call: &'static str) -> Result<(), StoreError> {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        let is_over = match self.left.lock().unwrap().get_mut(call) {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if !is_over && !self.failing.lock().unwrap().contains(call) {
            return Ok(());
        }
        self.failed.send_modify(|failed| failed.push(call));
        Err(StoreError::Failed(format!("{call} fails on purpose").into()))
    }
}

macro_rules! fails {
    ($trait:ident: $(fn $call:ident($($argument:ident: $type:ty),*) -> $result:ty;)* ) => {
        #[async_trait]
        impl $trait for Failing {
            $(async fn $call(&self $(, $argument: $type)*) -> Result<$result, StoreError> {
                self.meets(stringify!($call))?;
                self.inner.$call($($argument),*).await
            })*

        }
    };
}

/// One machine's.
impl InstanceStore for Failing {}

fails! { LoginStore:
    fn find(name: &Folded) -> Option<LoginRecord>;
    fn note_logins(notes: &[LoginNote]) -> ();
    fn set_trouble(account: &Id, door: &str, trouble: Option<&MailboxTrouble>) -> ();
    fn set_refusal(account: &Id, refusal: Option<&LastRefusal>) -> ();
    fn set_sign_in_as(account: &Id, user: Option<SignInAs>) -> ();
}

fails! { ApiTokenStore:
    fn api_tokens() -> Vec<ApiToken>;
    fn add_api_token(token: &ApiToken, act: &Act) -> bool;
    fn remove_api_token(name: &str, act: &Act) -> bool;
    fn note_api_token(name: &str, at: OffsetDateTime) -> ();
}

fails! { ShortLivedStore:
    fn clock() -> OffsetDateTime;
    fn keep_shortly(value: &ShortLived, now: OffsetDateTime) -> ();
    fn sweep_short_lived(now: OffsetDateTime) -> ();
    fn short_lived(kind: ShortLivedKind, key: &str, now: OffsetDateTime) -> Option<ShortLived>;
    fn take_short_lived(kind: ShortLivedKind, key: &str, now: OffsetDateTime) -> Option<ShortLived>;
    fn replace_short_lived(kind: ShortLivedKind, key: &str, old: &[u8], new: &[u8]) -> bool;
    fn use_short_lived(kind: ShortLivedKind, key: &str, used_at: OffsetDateTime, until: OffsetDateTime) -> ();
    fn all_short_lived() -> Vec<ShortLived>;
}

fails! { DeviceStore:
    fn count_messages(account: &Id, network: &str, count: u32, now: OffsetDateTime) -> ();
    fn device_messages(account: &Id, network: &str, now: OffsetDateTime) -> Option<DeviceMessages>;
}

fails! { GrantStore:
    fn grants() -> Vec<Grant>;
    fn grant(id: &Id) -> Option<Grant>;
    fn grant_of(provider: &str, owner: &str, kind: GrantKind) -> Option<Grant>;
    fn update_grant(grant: &Grant) -> i64;
    fn end_grant(grant: &Grant, act: &Act) -> i64;
    fn statuses(watch: Watch, after: Option<&Id>, limit: u32) -> Vec<GrantStatus>;
    fn due(watch: Watch, now: OffsetDateTime, limit: u32) -> Vec<GrantStatus>;
    fn look_again(watch: Watch, looks: &[NextLook]) -> ();
    fn claim_telling(grant: &Id, told: Option<&str>, now: OffsetDateTime, until: OffsetDateTime) -> bool;
    fn set_told(grants: &[&Id], told: Option<&str>, act: Option<&Act>) -> ();
}

fails! { CountStore:
    fn grant_counts() -> Vec<GrantCount>;
}

fails! { LeaseStore:
    fn take_lease(grant: &Id, now: OffsetDateTime, until: OffsetDateTime, takeover: Takeover) -> Leased;
    fn holder() -> String;
    fn release_lease(grant: &Id) -> ();
}

fails! { KeyTellingStore:
    fn tell_keys(keys: KeyTeller) -> ();
    fn ask_keys(asking: &str) -> Vec<ToldKeys>;
}

fails! { AccountStore:
    fn accounts() -> Vec<Account>;
    fn account_page(after: Option<&str>, limit: u32) -> Vec<AccountRow>;
    fn account_row(account: &Id) -> Option<AccountRow>;
    fn authorize(authorization: &Authorization, acts: &[Act]) -> Account;
    fn remove_account(account: &Id, act: &Act) -> ();
    fn add_alias(account: &Id, alias: &str, act: &Act) -> bool;
    fn remove_alias(account: &Id, alias: &str, act: &Act) -> bool;
    fn passwords(account: &Id) -> Vec<AppPassword>;
    fn add_password(password: &AppPassword, act: &Act) -> ();
    fn remove_password(account: &Id, name: &str, act: &Act) -> bool;
    fn limit_password(account: &Id, name: &str, limits: &Limits, act: &Act) -> bool;
    fn set_disabled(account: &Id, disabled: bool, act: &Act) -> bool;
}

fails! { LinkStore:
    fn link(account: &Id) -> Option<SignInLink>;
    fn renew_link(account: &Id, seen: Option<&[u8]>, new: &SignInLink) -> Option<SignInLink>;
    fn linked(hash: &[u8]) -> Option<Linked>;
    fn begin_by_link(hash: &[u8], most: u32, since: OffsetDateTime) -> bool;
    fn sealed_links() -> Vec<(Id, Vec<u8>)>;
    fn reseal_link(account: &Id, old: &[u8], new: &[u8]) -> bool;
    fn claim_alert(account: &Id, now: OffsetDateTime, since: OffsetDateTime) -> bool;
}

fails! { SettingStore:
    fn setting(key: &str, value: &[u8]) -> Vec<u8>;
    fn sealed_settings() -> Vec<SealedSetting>;
    fn replace_setting(key: &str, old: &[u8], new: &[u8]) -> bool;
    fn remove_setting(key: &str, value: &[u8]) -> ();
    fn lock_sealing() -> SealingLock;
}

fails! { AnswerStore:
    fn leave(key: &str, sealed: &[u8], until: OffsetDateTime) -> ();
    fn collect(key: &str, now: OffsetDateTime) -> Option<Vec<u8>>;
}

fails! { TrailStore:
    fn record(act: &Act) -> ();
    fn trail(since: Option<OffsetDateTime>, after: i64, limit: u32) -> Vec<TrailEntry>;
    fn latest(account: Option<&str>, before: Option<i64>, limit: u32) -> Vec<TrailEntry>;
}

#[async_trait]
impl ChangeStore for Failing {
    async fn changes(&self) -> Result<i64, StoreError> {
        self.meets("changes")?;
        self.inner.changes().await
    }

    fn remembers_logins(&self) -> bool {
        self.inner.remembers_logins()
    }

    fn hears_news(&self) -> Option<bool> {
        self.inner.hears_news()
    }

    async fn news(&self) {
        self.inner.news().await;
    }

    async fn passwords_in_force(&self, of: &HashSet<Id>, today: Date) -> Result<HashSet<Id>, StoreError> {
        self.meets("passwords_in_force")?;
        self.inner.passwords_in_force(of, today).await
    }

    async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        self.meets("copy_to")?;
        self.inner.copy_to(file).await
    }

    async fn reopen(&self) -> Result<(), StoreError> {
        self.meets("reopen")?;
        self.inner.reopen().await
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }

    fn absence(&self) -> Option<Absence> {
        self.inner.absence()
    }
}
