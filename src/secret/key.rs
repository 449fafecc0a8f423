//! Where the sealing keys come from.
//!
//! A key file holds one line a key, `ID BASE64`, the highest id being the one that seals. It is
//! made once, by whichever command comes first, under a lock of the state directory, with mode
//! 0600; a file that others can read is refused, because by then the key may be known.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Sealer, random_bytes};

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, made where it is missing.
    File(PathBuf),
}

impl KeySource {
    /// Reads the keys; `create` makes a first one where the file does not exist yet.
    ///
    /// Creation is atomic (a linked temporary file): of two processes one wins, and both read its key.
    pub fn load(&self, create: bool) -> Result<Sealer, KeyError> {
        let Self::File(path) = self;
        match read_key_file(path) {
            Err(KeyError::Missing(_)) if create => {
                create_key_file(path)?;
                read_key_file(path)
            }
            other => other,
        }
    }
}

fn read_key_file(path: &Path) -> Result<Sealer, KeyError> {
    let failed = |error| KeyError::Unreadable(path.to_owned(), error);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyError::Missing(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed(path.to_owned(), mode));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    let keys: Option<Vec<_>> = text.lines().filter(|line| !line.trim().is_empty()).map(parse_key).collect();
    keys.and_then(Sealer::new).ok_or_else(|| KeyError::Malformed(path.to_owned()))
}

fn parse_key(line: &str) -> Option<(u32, Zeroizing<[u8; 32]>)> {
    let (id, key) = line.trim().split_once(' ')?;
    let bytes = Zeroizing::new(STANDARD.decode(key.trim()).ok()?);
    Some((id.parse().ok()?, Zeroizing::new(bytes.as_slice().try_into().ok()?)))
}

fn create_key_file(path: &Path) -> Result<(), KeyError> {
    let failed = |error| KeyError::Unwritable(path.to_owned(), error);
    let directory = path.parent().unwrap_or(Path::new("."));
    let key = Zeroizing::new(random_bytes::<32>());
    let line = Zeroizing::new(format!("1 {}\n", STANDARD.encode(*key)));
    let temporary = directory.join(format!(".{}.key", super::random_text::<9>()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        // A hard link fails where the name exists: the first process wins, none overwrites.
        .and_then(|()| match std::fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let _ = std::fs::remove_file(&temporary);
    written.and_then(|()| std::fs::File::open(directory)?.sync_all()).map_err(failed)
}

/// Why there is no key. Each is for the administrator; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No file, where a store that it belongs to exists.
    #[error(
        "the key file {0} is missing; restore it from a backup: without it the stored grants cannot be opened"
    )]
    Missing(PathBuf),
    /// Mode too wide.
    #[error("the key file {0} can be read by others (mode {1:03o}); run: chmod 600 {0}")]
    Exposed(PathBuf, u32),
    /// An operating system's refusal.
    #[error("the key file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// An operating system's refusal.
    #[error("the key file {0} cannot be written: {1}")]
    Unwritable(PathBuf, #[source] io::Error),
    /// Not a key file.
    #[error(
        "the key file {0} is damaged: each line must be a key id and 32 bytes in base64; restore it from a backup"
    )]
    Malformed(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let source = KeySource::File(directory.path().join("master.key"));
        let sealed = source.load(true).unwrap().seal("row", b"x").unwrap();
        assert_eq!(*source.load(true).unwrap().open("row", &sealed).unwrap(), b"x");
        let mode = std::fs::metadata(directory.path().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_exposed_damaged_or_missing_key_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let source = KeySource::File(path.clone());
        assert!(matches!(source.load(false), Err(KeyError::Missing(_))));
        source.load(true).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(source.load(false), Err(KeyError::Exposed(_, 0o640))));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "1 short").unwrap();
        assert!(matches!(source.load(false), Err(KeyError::Malformed(_))));
    }
}
