//! Backs up the store, and restores a backup. A backup does not contain the key, which must be kept separately.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::audit::Deed;
use super::certs;
use super::error::Error;
use super::installation::{Installation, opens_all};
use crate::config::Config;
use crate::secret::KeySource;
use crate::store::{self, StateDirectory, StoreError};

/// The key that opens a backup.
#[derive(Debug)]
pub(crate) struct NeededKey<'a> {
    pub(crate) id: u32,
    pub(crate) source: &'a KeySource,
    pub(crate) accounts: usize,
}

/// Copies the store to `file`, which must not exist, while other processes use the store.
pub(crate) async fn backup<'a>(installation: &'a Installation, file: &Path) -> Result<NeededKey<'a>, Error> {
    // Otherwise the backup could need two keys.
    let _lock = installation.sealing().await?;
    installation.store.copy_to(file).await?;
    installation.record(Deed::BackedUp, Some(&file.display().to_string())).await;
    let (id, accounts) = (installation.sealer.current_key(), installation.store.accounts().await?.len());
    Ok(NeededKey { id, source: &installation.config.store.key, accounts })
}

/// Replaces the store by the backup `file`; returns the new path of the replaced store.
pub(crate) async fn restore(config: Config, file: &Path) -> Result<Option<PathBuf>, Error> {
    std::fs::File::open(file).map_err(|error| Error::Unreadable { file: file.to_owned(), error })?;
    if config.store.postgres.is_some() {
        let why = "the store is in PostgreSQL, whose own tools (pg_restore) bring a backup back";
        return Err(StoreError::Unusable(why.to_owned()).into());
    }
    let directory = StateDirectory::open(&config.state_directory)?;
    let lock = directory.lock()?;
    // A new key would open nothing in the backup.
    let sealer = Arc::new(config.store.key.load(false)?);
    let database = config.store.sqlite.clone();
    let judge: store::Judge = Box::new(move |settings| opens_all(&sealer, settings));
    let kept = store::restore(file, &database, judge).await?;
    drop(lock);
    let installation = Installation::open(config).await?;
    // A backup of a store in PostgreSQL has the CA that mail programs trust.
    certs::bring_back(&installation).await?;
    installation.record(Deed::Restored, Some(&file.display().to_string())).await;
    Ok(kept)
}
