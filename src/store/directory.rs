//! The state directory: database, key and CA of one installation.
//!
//! The directory belongs to the user that the proxy runs as, mode 0700. A command run by another user would leave files
//! that `serve` cannot read, or read secrets of another user; so it is refused, with the command line that works.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::files;
use crate::secret::user_name;

/// A state directory that exists, is ours, and is private.
#[derive(Clone, Debug)]
pub struct StateDirectory(PathBuf);

/// The lock under which the key, the database and the CA are made, so that each is made once.
pub struct Lock(#[allow(dead_code, reason = "the lock lasts as long as its file is open")] File);

impl StateDirectory {
    /// Makes the directory `path` if it is missing, and sets its mode to 0700 if others have access.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |error: io::Error| DirectoryError::Failed(path.to_owned(), error);
        files::make_directory(path).map_err(failed)?;
        let metadata = Self::judge(path)?;
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!(directory = %path.display(), "the state directory was open to others; its mode is now 0700");
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(failed)?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Whether there is nothing at `path` yet; an error if this user may not look there.
    pub fn is_missing(path: &Path) -> Result<bool, DirectoryError> {
        let failed = |error: io::Error| DirectoryError::Failed(path.to_owned(), error);
        path.try_exists().map(|exists| !exists).map_err(failed)
    }

    /// Checks that `path`, which exists, is a directory of this user.
    pub fn judge(path: &Path) -> Result<std::fs::Metadata, DirectoryError> {
        let failed = |error: io::Error| DirectoryError::Failed(path.to_owned(), error);
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(DirectoryError::Foreign { path: path.to_owned(), owner: user_name(metadata.uid()) });
        }
        Ok(metadata)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Waits for the lock, which ends when the value is dropped, or with the process.
    pub fn lock(&self) -> Result<Lock, DirectoryError> {
        Lock::take(&self.0.join(Lock::FILE))
    }
}

impl Lock {
    /// The file in the state directory that is locked.
    pub(super) const FILE: &str = "lock";

    pub(super) fn take(path: &Path) -> Result<Self, DirectoryError> {
        files::lock(path).map(Self).map_err(|error| DirectoryError::Failed(path.to_owned(), error))
    }
}

/// Why the state directory cannot be used. All are for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Not ours.
    #[error("the state directory {path} belongs to {owner}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner, as `sudo -u` takes it.
        owner: String,
    },
    /// An operating system's refusal.
    #[error("{0} cannot be used: {1}")]
    Failed(PathBuf, #[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        StateDirectory::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        StateDirectory::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(StateDirectory::open(file.path()), Err(DirectoryError::Failed(..))));
    }
}
