//! The names and domains that an existing configuration uses already, so that new tables use others.

use std::collections::{BTreeMap, HashSet};

/// The provider tables of an existing configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    /// The tables by name: grants are kept under their names.
    pub(super) tables: BTreeMap<String, toml::Table>,
    /// The domains of these providers.
    pub(super) domains: HashSet<String>,
}

impl Existing {
    /// Whether the table of that name has the same contents, the domains aside.
    pub(super) fn has(&self, name: &str, table: &toml::Table) -> bool {
        let without = |table: &toml::Table| {
            let mut table = table.clone();
            table.remove("domains");
            table
        };
        self.tables.get(name).is_some_and(|there| without(there) == without(table))
    }
}
