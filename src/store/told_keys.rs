//! The sealing keys that the running `serve` processes of a store have, as they tell each other.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;

/// Reads the keys of this process again, and gives the name of their place and their names.
pub type KeyTeller = Arc<dyn Fn() -> (String, Vec<String>) + Send + Sync>;

/// The keys of a running `serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldKeys {
    /// The machine, and the place of the keys there.
    pub place: String,
    /// The names of the keys.
    pub keys: Vec<String>,
    /// Whether it has read them since it was asked.
    pub has_looked: bool,
}

/// The keys of the processes on a store. Where all read the keys from one place, there is nothing to tell.
#[async_trait]
pub trait KeyTellingStore: Send + Sync {
    /// From now on this process, a running `serve`, tells the others which keys it has. Where all processes of a store
    /// read the keys from one place, there is nothing to tell.
    async fn tell_keys(&self, _keys: KeyTeller) -> Result<(), StoreError> {
        Ok(())
    }

    /// Which keys the living `serve` processes have that tell it. `asking` names a question: each process reads its keys
    /// again when it first meets it.
    async fn ask_keys(&self, _asking: &str) -> Result<Vec<ToldKeys>, StoreError> {
        Ok(Vec::new())
    }
}
