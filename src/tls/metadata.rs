//! Facts from a file's metadata: who else may read a key, and whether a certificate was renewed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The permission bits that let others than the owner in, if there are any.
pub(super) fn exposed_mode(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

/// The change time and the inode of a file, which change when it is replaced, rewritten or given other permissions;
/// `None` where the file is missing or out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    /// Reads the metadata behind symbolic links, because certificate tools renew by switching the links.
    pub(super) fn of(path: &Path) -> Self {
        let stamp = |file: fs::Metadata| (file.ctime(), file.ctime_nsec(), file.dev(), file.ino());
        Self(fs::metadata(path).ok().map(stamp))
    }
}
