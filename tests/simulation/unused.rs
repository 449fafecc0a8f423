//! The calls of the store that the life of a token does not make.

use std::collections::HashSet;
use std::path::Path;

use async_trait::async_trait;
use imap_oauth_proxy::store::{
    Account, AccountRow, AccountStore, Act, AnswerStore, ApiToken, ApiTokenStore, AppPassword, Authorization,
    ChangeStore, CountStore, DeviceMessages, DeviceStore, GrantCount, Id, InstanceStore, KeyTellingStore,
    Limits, LinkStore, Linked, SealedSetting, SealingLock, SettingStore, ShortLived, ShortLivedKind,
    ShortLivedStore, SignInLink, StoreError, TrailEntry, TrailStore,
};
use time::{Date, OffsetDateTime};

use crate::seat::Seat;

/// The body of a call that is not made: it panics.
pub(crate) fn no<T>() -> Result<T, StoreError> {
    Err(StoreError::Unusable("the simulation has nothing of this kind".to_owned()))
}

macro_rules! nothing {
    ($trait:ident: $(fn $call:ident($($type:ty),*) -> $result:ty;)* ) => {
        #[async_trait]
        impl $trait for Seat {
            $(async fn $call(&self $(, _: $type)*) -> Result<$result, StoreError> {
                no()
            })*
        }
    };
}

nothing! { ApiTokenStore:
    fn api_tokens() -> Vec<ApiToken>;
    fn add_api_token(&ApiToken, &Act) -> bool;
    fn remove_api_token(&str, &Act) -> bool;
    fn note_api_token(&str, OffsetDateTime) -> ();
}

nothing! { ShortLivedStore:
    fn clock() -> OffsetDateTime;
    fn keep_shortly(&ShortLived, OffsetDateTime) -> ();
    fn short_lived(ShortLivedKind, &str, OffsetDateTime) -> Option<ShortLived>;
    fn take_short_lived(ShortLivedKind, &str, OffsetDateTime) -> Option<ShortLived>;
    fn replace_short_lived(ShortLivedKind, &str, &[u8], &[u8]) -> bool;
    fn use_short_lived(ShortLivedKind, &str, OffsetDateTime, OffsetDateTime) -> ();
    fn all_short_lived() -> Vec<ShortLived>;
    fn sweep_short_lived(OffsetDateTime) -> ();
}

impl InstanceStore for Seat {}
impl KeyTellingStore for Seat {}

nothing! { DeviceStore:
    fn count_messages(&Id, &str, u32, OffsetDateTime) -> ();
    fn device_messages(&Id, &str, OffsetDateTime) -> Option<DeviceMessages>;
}

nothing! { CountStore:
    fn grant_counts() -> Vec<GrantCount>;
}

nothing! { AccountStore:
    fn accounts() -> Vec<Account>;
    fn account_page(Option<&str>, u32) -> Vec<AccountRow>;
    fn account_row(&Id) -> Option<AccountRow>;
    fn authorize(&Authorization, &[Act]) -> Account;
    fn remove_account(&Id, &Act) -> ();
    fn add_alias(&Id, &str, &Act) -> bool;
    fn remove_alias(&Id, &str, &Act) -> bool;
    fn passwords(&Id) -> Vec<AppPassword>;
    fn add_password(&AppPassword, &Act) -> ();
    fn remove_password(&Id, &str, &Act) -> bool;
    fn limit_password(&Id, &str, &Limits, &Act) -> bool;
    fn set_disabled(&Id, bool, &Act) -> bool;
}

nothing! { LinkStore:
    fn link(&Id) -> Option<SignInLink>;
    fn renew_link(&Id, Option<&[u8]>, &SignInLink) -> Option<SignInLink>;
    fn linked(&[u8]) -> Option<Linked>;
    fn begin_by_link(&[u8], u32, OffsetDateTime) -> bool;
    fn sealed_links() -> Vec<(Id, Vec<u8>)>;
    fn reseal_link(&Id, &[u8], &[u8]) -> bool;
    fn claim_alert(&Id, OffsetDateTime, OffsetDateTime) -> bool;
}

nothing! { SettingStore:
    fn setting(&str, &[u8]) -> Vec<u8>;
    fn sealed_settings() -> Vec<SealedSetting>;
    fn replace_setting(&str, &[u8], &[u8]) -> bool;
    fn remove_setting(&str, &[u8]) -> ();
    fn lock_sealing() -> SealingLock;
}

nothing! { AnswerStore:
    fn leave(&str, &[u8], OffsetDateTime) -> ();
    fn collect(&str, OffsetDateTime) -> Option<Vec<u8>>;
}

nothing! { TrailStore:
    fn record(&Act) -> ();
    fn trail(Option<OffsetDateTime>, i64, u32) -> Vec<TrailEntry>;
    fn latest(Option<&str>, Option<i64>, u32) -> Vec<TrailEntry>;
}

nothing! { ChangeStore:
    fn changes() -> i64;
    fn passwords_in_force(&HashSet<Id>, Date) -> HashSet<Id>;
    fn copy_to(&Path) -> ();
}
