//! The parts of an existing configuration that the new file has too.
//!
//! The accounts go into the store that is in use, so the new file needs the same state directory and keys; and the
//! grants in that store name a provider's table and nothing else of their client, so it needs the same providers. In a
//! file of another directory, relative paths would lead elsewhere, so they are written in full.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use url::Url;

use crate::config::{Config, ConfigError};
use crate::control::error::Error;

/// Tables without secrets.
const SHOWN: [&str; 2] = ["store", "limits"];
/// Tables that may contain secrets, so that a dry run only names them.
const NAMED: [&str; 2] = ["network", "providers"];
/// Tables that the import makes itself.
const OWN: [&str; 2] = ["state_directory", "listeners"];
/// Keys whose values are paths, in `store` and in the tables of providers.
const PATHS: [&str; 7] = [
    "key_file",
    "client_secret_file",
    "client_assertion_file",
    "extra_ca",
    "app_certificate",
    "app_key",
    "service_account_file",
];

/// What the new file gets from an existing configuration.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Lines for the file.
    pub(super) written: String,
    /// The same for a terminal, without what may be secret.
    pub(super) shown: String,
    pub(super) existing: Existing,
    /// Names of its other tables.
    pub(super) left: Vec<String>,
}

impl Carried {
    /// From the configuration in `file`, for the file `new`.
    pub(super) fn from(file: &Path, new: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let config = Config::parse(&text, Some(file))?;
        let mut there = text.parse::<toml::Table>().unwrap_or_default();
        if let Some(directory) = file.parent().filter(|directory| Some(*directory) != new.parent()) {
            make_absolute(&mut there, directory);
        }
        let mut kept = toml::Table::new();
        let state = config.state_directory.to_string_lossy().into_owned();
        kept.insert("state_directory".to_owned(), state.into());
        kept.extend(SHOWN.into_iter().filter_map(|name| there.remove_entry(name)));
        let mut shown = kept.to_string();
        let named: toml::Table = NAMED.into_iter().filter_map(|name| there.remove_entry(name)).collect();
        let mut existing = Existing::default();
        let providers = named.get("providers").and_then(toml::Value::as_table).into_iter().flatten();
        for (name, table) in providers {
            let domains = config.providers.get(name).into_iter().flat_map(|provider| &provider.domains);
            existing.domains.extend(domains.cloned());
            existing.tables.insert(name.clone(), table.as_table().cloned().unwrap_or_default());
            shown.push_str(&format!("# and [providers.{name:?}] as it is there\n"));
        }
        if named.contains_key("network") {
            shown.push_str("# and [network] as it is there\n");
        }
        kept.extend(named);
        let left = there.keys().filter(|name| !OWN.contains(&name.as_str())).cloned().collect();
        Ok(Self { written: kept.to_string(), shown, existing, left })
    }
}

/// Writes the paths in full, which are relative to `directory`.
fn make_absolute(config: &mut toml::Table, directory: &Path) {
    for (name, value) in config {
        let Some(table) = value.as_table_mut() else { continue };
        match name.as_str() {
            "store" => in_full(table, directory),
            "providers" => {
                table
                    .iter_mut()
                    .filter_map(|(_, own)| own.as_table_mut())
                    .for_each(|own| in_full(own, directory));
            }
            _ => {}
        }
    }
}

fn in_full(table: &mut toml::Table, directory: &Path) {
    for key in PATHS {
        if let Some(toml::Value::String(path)) = table.get_mut(key) {
            *path = directory.join(&*path).to_string_lossy().into_owned();
        }
    }
}

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
