//! A backup of the store, and a backup in its place. The key is in neither: it is kept apart, or the backup opens itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::audit::Deed;
use super::error::Error;
use super::installation::{Installation, opens_all};
use crate::config::Config;
use crate::secret::KeySource;
use crate::store::{self, StateDirectory};

/// What opens a backup.
#[derive(Debug)]
pub(crate) struct NeededKey<'a> {
    /// Its number.
    pub(crate) id: u32,
    /// Where it is.
    pub(crate) source: &'a KeySource,
}

/// Writes the store to `file`, which must not exist, while others use it.
pub(crate) async fn backup<'a>(installation: &'a Installation, file: &Path) -> Result<NeededKey<'a>, Error> {
    // A backup that is sealed with two keys would need both.
    let _lock = installation.sealing().await?;
    installation.store.copy_to(file).await?;
    installation.record(Deed::BackedUp, Some(&file.display().to_string())).await;
    let id = installation.sealer.current_key();
    Ok(NeededKey { id, source: &installation.config.store.key })
}

/// Puts the backup `file` in the place of the store; where the replaced store lies now.
pub(crate) async fn restore(config: Config, file: &Path) -> Result<Option<PathBuf>, Error> {
    let directory = StateDirectory::open(&config.state_directory)?;
    let lock = directory.lock()?;
    // A key that is made now opens nothing.
    let sealer = Arc::new(config.store.key.load(false)?);
    let database = config.store.sqlite.clone();
    let judge: store::Judge = Box::new(move |settings| opens_all(&sealer, settings));
    let kept = store::restore(file, &database, judge).await?;
    drop(lock);
    let installation = Installation::open(config).await?;
    installation.record(Deed::Restored, Some(&file.display().to_string())).await;
    Ok(kept)
}
