//! The files that an administrator names and another program may renew: assertions, certificates, keys.
//!
//! Only a regular file is read. To open a pipe without a writer would take a thread of the blocking pool for ever, and
//! each login one more.

use std::io;
use std::path::Path;

use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

/// The beginning of the file at `path`, at most `longest` bytes of it.
pub(super) async fn read(path: &Path, longest: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut content = Zeroizing::new(Vec::new());
    tokio::fs::File::open(path).await?.take(longest).read_to_end(&mut content).await?;
    Ok(content)
}
