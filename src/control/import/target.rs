//! The file for the new configuration, which must not exist yet.
//!
//! An existing configuration is not changed; the new file is written beside it, or where `--output` says. It gets its
//! name last, when all accounts are stored: so a run that is cut off leaves no configuration, and the next run does the
//! rest. A key that the configuration names is written first, because its account needs it to be tested.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::carried::Carried;
use crate::config::{ConfigError, default_file, default_files, new_default_file};
use crate::control::error::{Error, ImportError};
use crate::files::Draft;
use crate::secret::Secret;

/// The new file's name beside an existing configuration.
const BESIDE: &str = "from-email-oauth2-proxy.toml";

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) file: PathBuf,
    /// The existing configuration, which stays unchanged.
    pub(crate) beside: Option<PathBuf>,
    /// Whether commands find the new file without `--config`.
    pub(crate) is_default: bool,
    /// The parts of the existing configuration that the new file has too.
    pub(super) carried: Carried,
}

impl Target {
    /// `output`, else the file that `--config` names, else the default.
    pub(crate) fn choose(config: Option<&Path>, output: Option<&Path>) -> Result<Self, Error> {
        // One that cannot be looked at is an error: its store would be passed by.
        let wanted = match config {
            Some(config) => Some(config.to_owned()),
            None => default_file()?,
        };
        let output = output.map(std::path::absolute).transpose()?;
        let wanted = wanted.or_else(new_default_file).map(std::path::absolute).transpose()?;
        let there = match &wanted {
            Some(wanted) if is_there(wanted)? => Some(wanted.clone()),
            _ => None,
        };
        let file = match (output, &there, wanted) {
            (Some(output), ..) => output,
            (None, Some(there), _) => there.with_file_name(BESIDE),
            (None, None, Some(wanted)) => wanted,
            (None, None, None) => return Err(ImportError::NoPlaceForConfiguration.into()),
        };
        if is_there(&file)? {
            return Err(ImportError::ConfigurationThere { file }.into());
        }
        let is_default = there.is_none() && default_files().contains(&file);
        let carried = there.as_deref().map(|there| Carried::from(there, &file)).transpose()?;
        Ok(Self { file, beside: there, is_default, carried: carried.unwrap_or_default() })
    }

    /// The tables of the existing configuration that the new file does not have.
    pub(crate) fn not_carried(&self) -> &[String] {
        &self.carried.left
    }

    /// Fails where the new file cannot be made because of its directory, before a person has typed anything.
    pub(crate) fn judge(&self) -> Result<(), Error> {
        let Some(directory) = self.file.ancestors().skip(1).find(|directory| directory.exists()) else {
            return Ok(());
        };
        let access = rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK);
        access.map_err(|_| ImportError::DirectoryUnwritable { directory: directory.to_owned() }.into())
    }

    /// Writes the new configuration without its name, and the `keys` beside it.
    pub(super) fn draft(&self, text: &str, keys: &[(PathBuf, &Secret)]) -> Result<Drafted, Error> {
        let unwritable = |file: &Path, error| Error::Unwritable { file: file.to_owned(), error };
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
        }
        let draft = crate::files::draft(&self.file, text.as_bytes());
        let draft = draft.map_err(|error| unwritable(&self.file, error))?;
        let mut drafted = Drafted { draft: Some(draft), file: self.file.clone(), keys: Vec::new() };
        for (file, key) in keys {
            match crate::files::write_new(file, key.expose().as_bytes()) {
                Ok(()) => drafted.keys.push(file.clone()),
                // One of a run that was cut off.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && holds(file, key) => {}
                Err(error) => return Err(named(file, error)),
            }
        }
        Ok(drafted)
    }
}

/// A new configuration on the disk that has no name yet; dropped before it is published, it leaves nothing.
pub(super) struct Drafted {
    draft: Option<Draft>,
    file: PathBuf,
    /// Files of keys that were made for it.
    keys: Vec<PathBuf>,
}

impl Drafted {
    /// Gives the configuration its name; an existing file is never overwritten.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        if let Some(draft) = self.draft.take() {
            draft.publish(&self.file).map_err(|error| named(&self.file, error))?;
        }
        self.keys.clear();
        Ok(())
    }
}

impl Drop for Drafted {
    fn drop(&mut self) {
        for file in &self.keys {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::warn!("{} is left, and can be removed: {error}", file.display());
            }
        }
    }
}

fn holds(file: &Path, key: &Secret) -> bool {
    std::fs::read(file)
        .is_ok_and(|there| zeroize::Zeroizing::new(there).as_slice() == key.expose().as_bytes())
}

/// A file that could not get its name.
fn named(file: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => ImportError::ConfigurationThere { file: file.to_owned() }.into(),
        _ => Error::Unwritable { file: file.to_owned(), error },
    }
}

fn is_there(file: &Path) -> Result<bool, Error> {
    Ok(file.try_exists().map_err(|error| ConfigError::unreadable(file, &error))?)
}
