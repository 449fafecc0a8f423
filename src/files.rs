//! Files that several processes share, or that must survive a power cut: locks, and contents that appear whole.
//!
//! A reader finds the old contents or the new ones, never a part of them: new contents are written to a file of another
//! name in the same directory, synced, and then renamed; then the directory is synced. Only their owner can access
//! these files unless the caller names another mode. Locks are the kernel's (`flock`), so they end with the process
//! that holds them, even if it is killed.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes the directory `path` and its missing parents, accessible to their owner alone.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Waits for the lock of the file at `path`, and makes the file if there is none. The lock ends when the returned file
/// is dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Whether another open file holds the lock of `file`. If none does, `file` itself holds a shared lock afterwards.
pub(crate) fn is_locked(file: &File) -> bool {
    file.try_lock_shared().is_err()
}

/// Makes an empty file; an error if `path` exists.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a file with these contents; an error if `path` exists, which then stays as it is.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    Draft(written_beside(path, contents, 0o600)?).publish(path)
}

/// A file that is written and synced, but does not have its final name yet; removed unless it is published.
pub(crate) struct Draft(NamedTempFile);

/// Writes the contents for a new file at `path` to another name in the same directory. A draft that a killed process
/// has left there is replaced.
pub(crate) fn draft(path: &Path, contents: &[u8]) -> io::Result<Draft> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!(".{name}.draft");
    match std::fs::remove_file(directory_of(path).join(&name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).rand_bytes(0);
    written(&mut builder, path, contents, 0o600).map(Draft)
}

impl Draft {
    /// Gives the file its final name; an error if `path` exists, which then stays as it is.
    pub(crate) fn publish(self, path: &Path) -> io::Result<()> {
        self.0.persist_noclobber(path)?;
        sync_name(path)
    }
}

/// Writes a file of `mode` with these contents to `path`, in place of any file there.
pub(crate) fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    written_beside(path, contents, mode)?.persist(path)?;
    sync_name(path)
}

/// Waits until the file at `path` and its directory entry are on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_name(path)
}

/// A synced temporary file in the directory of `path`; removed when dropped, unless the caller renames it.
fn written_beside(path: &Path, contents: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    written(tempfile::Builder::new().prefix(".new-"), path, contents, mode)
}

fn written(
    builder: &mut tempfile::Builder<'_, '_>,
    path: &Path,
    contents: &[u8],
    mode: u32,
) -> io::Result<NamedTempFile> {
    builder.permissions(Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(directory_of(path))?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_name(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"old", 0o600).unwrap();
        replace(&path, b"new", 0o640).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names_in(directory.path()), ["file"]);
    }

    #[test]
    fn a_new_file_takes_the_place_of_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write_new(&path, b"first").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(names_in(directory.path()), ["file"]);
    }

    #[test]
    fn a_draft_leaves_nothing_unless_it_is_published() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        drop(draft(&path, b"dropped").unwrap());
        assert!(names_in(directory.path()).is_empty());
        // A killed process leaves its draft.
        std::mem::forget(draft(&path, b"killed").unwrap());
        draft(&path, b"published").unwrap().publish(&path).unwrap();
        let refused = draft(&path, b"second").unwrap().publish(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"published");
        assert_eq!(names_in(directory.path()), ["file"]);
    }

    #[test]
    fn a_lock_ends_with_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = lock(&path).unwrap();
        assert!(is_locked(&File::open(&path).unwrap()));
        drop(held);
        assert!(!is_locked(&File::open(&path).unwrap()));
        lock(&path).unwrap();
    }
}
