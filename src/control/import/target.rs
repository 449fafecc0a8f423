//! Where the new configuration goes: a file that is not there yet.
//!
//! Where a configuration is there already, it stays as it is, and the new file lies beside it: with the same state
//! directory and the same keys, since the accounts go into the store that is in use.

use std::path::{Path, PathBuf};

use super::error::ImportError;
use crate::config::default_files;
use crate::control::error::Error;

/// The new file's name beside a configuration that is there.
const BESIDE: &str = "from-email-oauth2-proxy.toml";

/// Where the new configuration goes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The new file.
    pub(crate) file: PathBuf,
    /// The configuration that is there already, and stays as it is.
    pub(crate) beside: Option<PathBuf>,
    /// Whether commands find the new file by themselves.
    pub(crate) is_default: bool,
    /// Lines that are carried over from the configuration that is there.
    pub(crate) carried: String,
}

impl Target {
    /// By the file that `--config` names, else by the default.
    pub(crate) fn choose(named: Option<&Path>) -> Result<Self, Error> {
        let found = default_files().into_iter().find(|file| file.exists());
        let wanted = named.map(Path::to_owned).or(found.clone());
        let Some(wanted) = wanted.or_else(|| default_files().into_iter().next()) else {
            return Err(ImportError::NoPlaceForConfiguration.into());
        };
        let wanted = std::path::absolute(&wanted)?;
        if !wanted.exists() {
            let is_default = named.is_none() || default_files().first() == Some(&wanted);
            return Ok(Self { file: wanted, beside: None, is_default, carried: String::new() });
        }
        let file = wanted.with_file_name(BESIDE);
        if file.exists() {
            return Err(ImportError::ConfigurationThere { file }.into());
        }
        let carried = carried(&wanted)?;
        Ok(Self { file, beside: Some(wanted), is_default: false, carried })
    }

    /// Writes `text` there; nothing is overwritten, whatever has come there since.
    pub(super) fn write(&self, text: &str) -> Result<(), Error> {
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        create(&self.file, text)
    }
}

/// Writes a file that holds secrets, where there is none.
pub(super) fn create(file: &Path, text: &str) -> Result<(), Error> {
    crate::files::write_new(file, text.as_bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => ImportError::ConfigurationThere { file: file.to_owned() }.into(),
        _ => Error::Unwritable { file: file.to_owned(), error },
    })
}

/// The lines of `file` that say where the store is, and what opens it.
fn carried(file: &Path) -> Result<String, Error> {
    let unreadable = |error| Error::Unreadable { file: file.to_owned(), error };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let config = crate::config::Config::parse(&text, Some(file))?;
    let mut kept = toml::Table::new();
    let state = config.state_directory.to_string_lossy().into_owned();
    kept.insert("state_directory".to_owned(), state.into());
    if let Some(store) = text.parse::<toml::Table>().ok().and_then(|mut table| table.remove("store")) {
        kept.insert("store".to_owned(), store);
    }
    Ok(kept.to_string())
}
