//! Files of the state directory: private, replaced as a whole, made by one process at a time.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Takes the directory's lock; it is released when the file is dropped, or when the process dies.
///
/// Blocks while another process holds it, which is for as long as making a key takes.
pub(super) fn lock(directory: &Path) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let path = directory.join("tls.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Replaces `path` by a file of `mode`: readers see the old one or the new one, also after a crash.
pub(super) fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".tls-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

/// The permission bits that let others than the owner in, if there are any.
pub(super) fn exposed_mode(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

/// What changes when a file is replaced, rewritten or given other permissions (its change time and
/// inode); `None` where it is missing or out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    /// Follows symbolic links, because certificate tools switch those.
    pub(super) fn of(path: &Path) -> Self {
        let stamp = |file: fs::Metadata| (file.ctime(), file.ctime_nsec(), file.dev(), file.ino());
        Self(fs::metadata(path).ok().map(stamp))
    }
}
