//! The file for the new configuration, which must not exist yet.
//!
//! An existing configuration stays unchanged, and the new file lies beside it, with the same state directory and
//! keys, because the accounts go into the store in use.

use std::path::{Path, PathBuf};

use super::error::ImportError;
use crate::config::default_files;
use crate::control::error::Error;

/// The new file's name beside an existing configuration.
const BESIDE: &str = "from-email-oauth2-proxy.toml";

/// The place of the new configuration.
#[derive(Debug)]
pub(crate) struct Target {
    /// The new file.
    pub(crate) file: PathBuf,
    /// The existing configuration, which stays unchanged.
    pub(crate) beside: Option<PathBuf>,
    /// Whether commands find the new file without `--config`.
    pub(crate) is_default: bool,
    /// Lines that are copied from the existing configuration.
    pub(crate) carried: String,
}

impl Target {
    /// The file that `--config` names, else the default.
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

    /// Writes `text` to it; an existing file is never overwritten.
    pub(super) fn write(&self, text: &str) -> Result<(), Error> {
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        create(&self.file, text)
    }
}

/// Writes a file with secrets, which must not exist.
pub(super) fn create(file: &Path, text: &str) -> Result<(), Error> {
    crate::files::write_new(file, text.as_bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => ImportError::ConfigurationThere { file: file.to_owned() }.into(),
        _ => Error::Unwritable { file: file.to_owned(), error },
    })
}

/// The lines of `file` that name the store and its keys.
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
