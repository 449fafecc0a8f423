//! The names and domains that an existing configuration uses already, so that new tables use others.

use std::collections::{BTreeMap, HashSet};

use url::Url;

/// Whether a redirect URI leads to a listener of this machine.
pub(super) fn is_of_this_machine(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "http" && crate::config::is_loopback(&url))
}

/// The provider tables of an existing configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    /// The tables by name: grants are kept under their names.
    pub(super) tables: BTreeMap<String, toml::Table>,
    /// The domains of these providers.
    pub(super) domains: HashSet<String>,
}

impl Existing {
    /// Whether the table of that name has the same contents, the domains aside, and the port of a redirect to this
    /// machine.
    pub(super) fn has(&self, name: &str, table: &toml::Table) -> bool {
        let without = |table: &toml::Table| {
            let mut table = table.clone();
            table.remove("domains");
            if table.get("redirect_uri").and_then(toml::Value::as_str).is_some_and(is_of_this_machine) {
                table.insert("redirect_uri".to_owned(), "of this machine".into());
            }
            table
        };
        self.tables.get(name).is_some_and(|there| without(there) == without(table))
    }
    /// The redirect URI of that table.
    pub(super) fn redirect_uri(&self, name: &str) -> Option<&str> {
        self.tables.get(name)?.get("redirect_uri")?.as_str()
    }
}
