//! Sealed values outside of the grants, and the lock of commands that seal.

/// A sealed value that belongs to no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSetting {
    /// The setting's key, which is also the context of the seal.
    pub key: String,
    /// The sealed value.
    pub value: Vec<u8>,
}

/// Held by a command that seals; see [`SettingStore::lock_sealing`](super::SettingStore::lock_sealing).
pub struct SealingLock(
    #[allow(dead_code, reason = "it lasts as long as what is in it")] Box<dyn Send + Sync>,
);

impl SealingLock {
    /// `lock` is the lock of the database; it keeps other commands away until it is dropped.
    pub fn new(lock: impl Send + Sync + 'static) -> Self {
        Self(Box::new(lock))
    }
}
