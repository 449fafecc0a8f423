//! Moves the store into another database. Sealed values are copied as they are, so the key stays the same.
//!
//! The new store is filled, compared and opened before the old one is marked as moved, which is the last step that can
//! fail. Until then the old store stays in force; from then on it refuses every program, and every write of a process
//! that has it open, so that no change is lost between the copy and the mark.

use std::path::PathBuf;
use std::sync::Arc;

use super::audit::Deed;
use super::certs;
use super::error::Error;
use super::installation::{Installation, opens_all, place};
use crate::config::Config;
use crate::secret::Secret;
use crate::store::tables::{self, Moved, WholeStore};
use crate::store::{self, Place, StateDirectory, StoreError};
use crate::tls::{Authority, AuthorityError};

/// The result of a move, or of a dry run.
#[derive(Debug)]
pub(crate) struct Relocation {
    pub(crate) from: String,
    pub(crate) moved: Moved,
    /// The file of the CA's key that was removed, because the key is now in the new store only; or why it could not be
    /// removed.
    pub(crate) removed_key: Option<Result<PathBuf, AuthorityError>>,
}

/// Moves all rows from the store of `from` into the store of `to`, and marks the old store as moved. Without `apply`
/// nothing changes. Either all rows are moved, or the old store stays in force.
pub(crate) async fn relocate(from: Config, to: &Config, apply: bool) -> Result<Relocation, Error> {
    let (source, target) = (place(&from)?, place(to)?);
    // A store that the key does not open would not be opened in the new place either.
    let installation = Installation::open(from).await?;
    installation.verify_key().await?;
    // No command seals meanwhile: the lock of a store in a file is the state directory's.
    let is_shared = installation.config.store.postgres.is_some();
    let _sealing = if is_shared { Some(installation.sealing().await?) } else { None };
    // No process of this machine opens the store meanwhile.
    let _lock = StateDirectory::open(&installation.config.state_directory)?.lock()?;
    let source = store::open_whole(source).await?;
    must_be_empty(&target).await?;
    if !apply {
        let moved = tables::count(&*source).await?;
        return Ok(Relocation { from: source.place(), moved, removed_key: None });
    }
    if source.is_in_use().await? {
        let held =
            format!("{} is held by a serve, or was until half a minute ago; stop it first", source.place());
        return Err(StoreError::Unusable(held).into());
    }
    // Mail programs go on trusting the CA that they trust.
    let authority = match certs::is_shared(to) && !is_shared {
        true => certs::to_take_along(&installation).await?,
        false => None,
    };
    let moved = fill(&*source, &target).await?;
    let new = opened(&installation, to, target).await?;
    mark(&*source, &moved, &new, authority.as_ref()).await?;
    // If the CA of the files has moved into the store, its key file is removed.
    let removed_key = authority.map(|_| Authority::remove_key(&installation.config.state_directory));
    let from = source.place();
    new.record(Deed::StoreMoved, Some(&from)).await;
    Ok(Relocation { from, moved, removed_key })
}

/// Fails unless the target is empty; makes nothing.
async fn must_be_empty(target: &Place) -> Result<(), Error> {
    let why = match target {
        Place::Sqlite(path) if !path.try_exists()? => return Ok(()),
        _ => match store::open(target.clone()).await {
            Ok(opening) if opening.is_new => return Ok(()),
            Ok(_) => format!("{} is not empty, and a store is moved into an empty one only", target.shown()),
            Err(StoreError::Unusable(why)) => why,
            Err(error) => return Err(error.into()),
        },
    };
    let cure = match target {
        // SQLite removes the files beside it when the last process closes it.
        Place::Sqlite(path) => {
            let old = path.with_extension("sqlite.old");
            format!("; move that file away first: mv {} {}", path.display(), old.display())
        }
        Place::Postgres(_) => String::new(),
    };
    Err(StoreError::Unusable(format!("{why}{cure}")).into())
}

async fn fill(source: &dyn WholeStore, target: &Place) -> Result<Moved, Error> {
    let target = store::open_whole(target.clone()).await?;
    let moved = tables::copy(source, &*target).await?;
    match tables::count(&*target).await? == moved {
        true => Ok(moved),
        false => Err(StoreError::Unusable(format!(
            "{} does not have what was written into it; the old store stays in force",
            target.place()
        ))
        .into()),
    }
}

/// The installation with its new store, whose sealed values the same key opens. The caller holds the state directory's
/// lock.
async fn opened(installation: &Installation, to: &Config, target: Place) -> Result<Installation, Error> {
    let sealer = installation.sealer.clone();
    let judge = sealer.clone();
    let opening = store::open(target).await?;
    let store = opening.judged_by(Box::new(move |settings| opens_all(&judge, settings))).await?;
    let actor = installation.actor.clone();
    Ok(Installation { config: Arc::new(to.clone()), store, sealer, actor, tokens: None })
}

/// Puts the CA where the new store's users look for it, then marks the old store.
async fn mark(
    source: &dyn WholeStore,
    moved: &Moved,
    new: &Installation,
    authority: Option<&Secret>,
) -> Result<(), Error> {
    if let Some(text) = authority {
        certs::take_along(text, new).await?;
    }
    let to = place(&new.config)?.shown();
    let directory = &new.config.state_directory;
    if new.config.store.postgres.is_some() {
        return Ok(source.mark_moved(&to, moved).await?);
    }
    let had_key = Authority::has_key(directory);
    certs::bring_back(new).await?;
    let marked = source.mark_moved(&to, moved).await;
    if marked.is_err() && !had_key {
        // The old store, which stays in force, holds the key.
        Authority::remove_key(directory)?;
    }
    Ok(marked?)
}
