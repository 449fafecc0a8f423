//! Sealed values beside the grants, and the lock of those who seal.

/// A sealed value that is no grant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSetting {
    /// Its key, which is also what it is sealed for.
    pub key: String,
    /// The sealed value.
    pub value: Vec<u8>,
}

/// Held by a command that seals; see [`SettingStore::lock_sealing`](super::SettingStore::lock_sealing).
pub struct SealingLock(
    #[allow(dead_code, reason = "it lasts as long as what is in it")] Box<dyn Send + Sync>,
);

impl SealingLock {
    /// `lock` is what a database keeps others away with, for as long as it lives.
    pub fn new(lock: impl Send + Sync + 'static) -> Self {
        Self(Box::new(lock))
    }
}
