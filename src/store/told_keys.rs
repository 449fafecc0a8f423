//! The sealing keys that the running `serve` processes of a store have, published by each process in the store.

use std::sync::Arc;

use async_trait::async_trait;

use super::Result;

/// Reads the keys of this process again, and returns where they are and their names.
pub type KeyTeller = Arc<dyn Fn() -> (String, Vec<String>) + Send + Sync>;

/// The keys of a running `serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldKeys {
    /// The machine, and the place of the keys there.
    pub place: String,
    /// The names of the keys.
    pub keys: Vec<String>,
    /// Whether the process has read its keys since it was asked.
    pub has_looked: bool,
}

/// The keys of the processes on a store. Where all processes read the keys from one place, the methods do nothing.
#[async_trait]
pub trait KeyTellingStore: Send + Sync {
    /// From now on this process, a running `serve`, publishes the names of its keys.
    async fn tell_keys(&self, _keys: KeyTeller) -> Result<()> {
        Ok(())
    }

    /// The keys of the living `serve` processes that publish theirs. `asking` names a question: each process reads its
    /// keys again when it first finds the question in the store.
    async fn ask_keys(&self, _asking: &str) -> Result<Vec<ToldKeys>> {
        Ok(Vec::new())
    }
}
