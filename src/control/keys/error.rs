//! Why the keys of this machine seal nothing.

use crate::secret::{KeyError, KeySource};

/// Why a key does not seal. Nothing was sealed with it.
#[derive(Debug, thiserror::Error)]
#[allow(clippy::enum_variant_names, reason = "each says what is not")]
pub(crate) enum KeysError {
    #[error("key {key} is in {keys} here and seals nothing yet, because it is missing from {}", places.join(" and from "))]
    NotEverywhere { key: u32, keys: KeySource, places: Vec<String> },
    #[error(
        "key {key} is in {keys} here and seals nothing yet, because within {seconds} s {} did not say whether it has that key",
        places.join(" and ")
    )]
    NotTold { key: u32, keys: KeySource, places: Vec<String>, seconds: u64 },
    #[error(
        "the store is sealed with key {key}, and {keys} here has {} alone, so nothing can be stored from here",
        list(has)
    )]
    NotHere { key: u32, has: Vec<u32>, keys: KeySource },
    #[error("key {key} cannot be added: {error}")]
    NotAdded { key: u32, keys: KeySource, error: KeyError },
}

fn list(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("key {id}")).collect::<Vec<_>>().join(" and ")
}
