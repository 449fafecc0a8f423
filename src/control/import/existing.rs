//! What a configuration that is there keeps from the new one.

use std::collections::HashSet;

/// What the provider tables of a configuration that is there have taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    /// Their names: grants are kept under them.
    pub(super) names: HashSet<String>,
    /// The domains that tell them.
    pub(super) domains: HashSet<String>,
}
