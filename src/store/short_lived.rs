//! Sealed values for a limited time: entrances and sessions of the page, and consents under way.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::Result;
use crate::secret::sha256;
use crate::text::words;

words! {
    /// The kind of a value. Each is bounded in number.
    pub ShortLivedKind by name {
        /// An entrance to the page, for one use.
        Entrance = "entrance",
        /// A session of the page.
        Session = "session",
        /// A message that the page shows once.
        Said = "said",
        /// A consent under way.
        Consent = "consent",
    }
}

impl ShortLivedKind {
    /// The most values at one time; a further one replaces the value that was used longest ago.
    pub const fn most(self) -> u32 {
        match self {
            // More than the administrators of one installation.
            Self::Entrance => 32,
            Self::Session => 64,
            Self::Said => 256,
            // Far more consents than people give at one time.
            Self::Consent => 200,
        }
    }
}

/// A value for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortLived {
    /// Its kind.
    pub kind: ShortLivedKind,
    /// The key to find it by: a hash of a token.
    pub key: String,
    /// The value, sealed for [`ShortLived::context`].
    pub sealed: Vec<u8>,
    /// When it was used last.
    pub used_at: OffsetDateTime,
    /// When it is over.
    pub until: OffsetDateTime,
}

impl ShortLived {
    /// The context that a value is sealed for.
    pub fn context(kind: ShortLivedKind, key: &str) -> String {
        format!("short_lived/{}/{key}", kind.name())
    }

    /// The key of the value with this token.
    pub fn key_of(token: &str) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(token.as_bytes()))
    }
}

/// Values for a limited time. `now` is the time by [`ShortLivedStore::clock`].
#[async_trait]
pub trait ShortLivedStore: Send + Sync {
    /// The clock that all processes on the store go by: the clocks of machines may differ by minutes.
    async fn clock(&self) -> Result<OffsetDateTime>;

    /// Adds a value, and removes values that are over or too many.
    async fn keep_shortly(&self, value: &ShortLived, now: OffsetDateTime) -> Result<()>;

    /// Removes the values that are over: one that holds a secret must not lie there until the next is added.
    async fn sweep_short_lived(&self, now: OffsetDateTime) -> Result<()>;

    /// The value of that kind and key, unless it is over.
    async fn short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<Option<ShortLived>>;

    /// Removes the value and returns it, unless it is over. Of two callers one gets it.
    async fn take_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<Option<ShortLived>>;

    /// Replaces the sealed value if it is still `old`; false if it is not. Of two callers one succeeds.
    async fn replace_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool>;

    /// Notes a use, and the end that follows from it.
    async fn use_short_lived(
        &self,
        kind: ShortLivedKind,
        key: &str,
        used_at: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<()>;

    /// All values, also those that are over, for a rotation of the keys.
    async fn all_short_lived(&self) -> Result<Vec<ShortLived>>;
}
