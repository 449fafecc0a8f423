//! Where the new configuration goes: a file that is not there yet.
//!
//! Where a configuration is there already, it stays as it is, and the new file lies beside it: with the same state
//! directory and the same keys, since the accounts go into the store that is in use; and with its providers, since the
//! grants in that store name a provider's table and nothing else of the client that they were given to.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::error::ImportError;
use super::text::Sight;
use crate::config::{Config, default_file, default_files};
use crate::control::error::Error;

/// The new file's name beside a configuration that is there.
const BESIDE: &str = "from-email-oauth2-proxy.toml";
/// What holds secrets is its owner's alone.
const MODE: u32 = 0o600;
/// Tables that hold no secret and are carried over: where the store is, what opens it, how much is let in.
const SHOWN: [&str; 2] = ["store", "limits"];
/// Tables that are carried over and may hold secrets, so that a dry run only names them.
const NAMED: [&str; 2] = ["network", "providers"];

/// Where the new configuration goes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The new file.
    pub(crate) file: PathBuf,
    /// The configuration that is there already, and stays as it is.
    pub(crate) beside: Option<PathBuf>,
    /// Whether commands find the new file by themselves.
    pub(crate) is_default: bool,
    /// What is carried over from the configuration that is there.
    carried: Carried,
}

/// What the new file has of a configuration that is there.
#[derive(Debug, Default)]
struct Carried {
    /// Lines for the file.
    written: String,
    /// The same for a terminal, without what may be secret.
    shown: String,
    existing: Existing,
}

/// What the provider tables of a configuration that is there have taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    /// Their names: grants are kept under them.
    pub(super) names: HashSet<String>,
    /// The domains that tell them.
    pub(super) domains: HashSet<String>,
}

impl Target {
    /// By the file that `--config` names, else by the default.
    pub(crate) fn choose(named: Option<&Path>) -> Result<Self, Error> {
        // One that cannot be looked at is an error: its store would be passed by.
        let wanted = match named {
            Some(named) => Some(named.to_owned()),
            None => default_file()?,
        };
        let Some(wanted) = wanted.or_else(|| default_files().into_iter().next()) else {
            return Err(ImportError::NoPlaceForConfiguration.into());
        };
        let wanted = std::path::absolute(&wanted)?;
        let is_there = |file: &Path| {
            file.try_exists().map_err(|error| Error::Unreadable { file: file.to_owned(), error })
        };
        if !is_there(&wanted)? {
            let is_default = named.is_none() || default_files().first() == Some(&wanted);
            return Ok(Self { file: wanted, beside: None, is_default, carried: Carried::default() });
        }
        let file = wanted.with_file_name(BESIDE);
        if is_there(&file)? {
            return Err(ImportError::ConfigurationThere { file }.into());
        }
        let carried = Carried::from(&wanted)?;
        Ok(Self { file, beside: Some(wanted), is_default: false, carried })
    }

    /// The lines that are carried over.
    pub(super) fn carried(&self, sight: Sight) -> &str {
        match sight {
            Sight::Written => &self.carried.written,
            Sight::Hidden => &self.carried.shown,
        }
    }

    /// What is taken by the configuration that is there.
    pub(super) fn existing(&self) -> &Existing {
        &self.carried.existing
    }

    /// Fails where the new file cannot be made because of its directory, before a person has typed anything.
    pub(crate) fn judge(&self) -> Result<(), Error> {
        let Some(directory) = self.file.ancestors().skip(1).find(|directory| directory.exists()) else {
            return Ok(());
        };
        let access = rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK);
        access.map_err(|_| ImportError::DirectoryUnwritable { directory: directory.to_owned() }.into())
    }

    /// Writes all `files`, the new one and those beside it, or none of them; nothing is overwritten, whatever has come
    /// there since.
    pub(super) fn write(&self, files: &[(PathBuf, &str)]) -> Result<Vec<PathBuf>, Error> {
        if let Some(directory) = self.file.parent() {
            let unwritable = |error| Error::Unwritable { file: directory.to_owned(), error };
            std::fs::create_dir_all(directory).map_err(unwritable)?;
        }
        let mut made = Vec::new();
        for (file, text) in files {
            if let Err(error) = create(file, text) {
                remove(&made);
                return Err(error);
            }
            made.push(file.clone());
        }
        Ok(made)
    }
}

/// Removes what was made in vain, so that it does not keep the next try from being made.
pub(super) fn remove(made: &[PathBuf]) {
    for file in made {
        if let Err(error) = std::fs::remove_file(file) {
            tracing::warn!("{} is left, and can be removed: {error}", file.display());
        }
    }
}

/// Writes a file that holds secrets, where there is none.
fn create(file: &Path, text: &str) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(MODE).open(file);
    let written = opened.and_then(|mut opened| {
        let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
        if written.is_err() {
            remove(&[file.to_owned()]);
        }
        written
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => ImportError::ConfigurationThere { file: file.to_owned() }.into(),
        _ => Error::Unwritable { file: file.to_owned(), error },
    })
}

impl Carried {
    fn from(file: &Path) -> Result<Self, Error> {
        let unreadable = |error| Error::Unreadable { file: file.to_owned(), error };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let config = Config::parse(&text, Some(file))?;
        let mut there = text.parse::<toml::Table>().unwrap_or_default();
        let mut kept = toml::Table::new();
        let state = config.state_directory.to_string_lossy().into_owned();
        kept.insert("state_directory".to_owned(), state.into());
        kept.extend(SHOWN.into_iter().filter_map(|name| there.remove_entry(name)));
        let mut shown = kept.to_string();
        let named: toml::Table = NAMED.into_iter().filter_map(|name| there.remove_entry(name)).collect();
        let mut existing = Existing::default();
        for name in
            named.get("providers").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys)
        {
            let domains = config.providers.get(name).into_iter().flat_map(|provider| &provider.domains);
            existing.domains.extend(domains.cloned());
            existing.names.insert(name.clone());
            shown.push_str(&format!("# and [providers.{name:?}] as it is there\n"));
        }
        if named.contains_key("network") {
            shown.push_str("# and [network] as it is there\n");
        }
        kept.extend(named);
        Ok(Self { written: kept.to_string(), shown, existing })
    }
}
