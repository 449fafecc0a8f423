//! Moves the store into another database. What is sealed stays sealed: the key stays where it is.

use super::audit::Deed;
use super::certs;
use super::error::Error;
use super::installation::{Installation, place};
use crate::config::Config;
use crate::store::tables::{self, Moved, WholeStore};
use crate::store::{self, StateDirectory, StoreError};

/// What was moved, or would be.
#[derive(Debug)]
pub(crate) struct Relocation {
    /// The store of before.
    pub(crate) from: String,
    /// Its rows.
    pub(crate) moved: Moved,
}

/// Moves everything from the store of `from` into that of `to`, and marks the first one as moved. Without `apply`
/// nothing changes. Either all of it is moved, or the store of before stays in force.
pub(crate) async fn relocate(from: Config, to: &Config, apply: bool) -> Result<Relocation, Error> {
    let (source, target) = (place(&from)?, place(to)?);
    // A store that the key does not open would not be opened in the new place either.
    let installation = Installation::open(from).await?;
    installation.verify_key().await?;
    let state_directory = installation.config.state_directory.clone();
    // No process of this machine opens the store meanwhile.
    let lock = StateDirectory::open(&state_directory)?.lock()?;
    let source = store::open_whole(source).await?;
    if !store::open(target.clone()).await?.is_new {
        return Err(StoreError::Unusable(format!(
            "{} is not empty, and a store is moved into an empty one only",
            target.shown()
        ))
        .into());
    }
    in_use(&*source).await?;
    let from = source.place();
    if !apply {
        return Ok(Relocation { from, moved: tables::count(&*source).await? });
    }
    // Mail programs go on trusting the CA that they trust.
    if certs::is_shared(to) && installation.config.store.postgres.is_none() {
        certs::take_along(&installation).await?;
    }
    let target = store::open_whole(target).await?;
    let moved = tables::copy(&*source, &*target).await?;
    in_use(&*source).await?;
    let arrived = tables::count(&*target).await?;
    if arrived != moved || tables::count(&*source).await? != moved {
        let why = "the store changed while it was copied; stop everything that uses it, empty the new one and try again";
        return Err(StoreError::Unusable(why.to_owned()).into());
    }
    if installation.config.store.postgres.is_some() {
        certs::bring_back(&installation).await?;
    }
    source.mark_moved(&target.place()).await?;
    drop((installation, lock, source, target));
    let installation = Installation::open(to.clone()).await?;
    installation.record(Deed::StoreMoved, Some(&from)).await;
    Ok(Relocation { from, moved })
}

async fn in_use(source: &dyn WholeStore) -> Result<(), Error> {
    match source.is_in_use().await? {
        false => Ok(()),
        true => Err(StoreError::Unusable(format!(
            "{} is held by a serve, or was until half a minute ago; stop it first",
            source.place()
        ))
        .into()),
    }
}
