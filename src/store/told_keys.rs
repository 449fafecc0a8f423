//! The sealing keys that the running `serve` processes of a store have, as they tell each other.

use std::sync::Arc;

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
