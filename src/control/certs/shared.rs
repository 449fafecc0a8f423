//! The CA in a store that several machines share: a sealed setting, which one of them makes.
//!
//! Of two instances that make a CA at once, the first one's counts. A state directory that has a CA offers that one, so
//! that mail programs which trust it go on. Instances look for a renewed CA after each change of the store.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{error, info};

use super::source::{is_shared, own};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::secret::{Sealer, Secret};
use crate::store::Store;
use crate::tls::{Authority, AuthorityError, Identity, SharedAuthority};

/// The setting that holds the CA's key and certificate.
const AUTHORITY: &str = "certificate_authority";

/// The CA of the store, made if it is missing; `None` where each machine has its own, or a certificate of the user's.
pub(crate) async fn of_store(installation: &Installation) -> Result<Option<Arc<SharedAuthority>>, Error> {
    if !is_shared(&installation.config) {
        return Ok(None);
    }
    let sealed = match sealed(&*installation.store).await? {
        Some(sealed) => sealed,
        None => make(installation).await?,
    };
    Ok(Some(Arc::new(SharedAuthority::new(&opened(&installation.sealer, &sealed)?))))
}

async fn make(installation: &Installation) -> Result<Vec<u8>, Error> {
    let settings = own(&installation.config)?;
    let text = match Authority::text_in(&settings.state_directory)? {
        Some(text) => text,
        None => Authority::make(&settings, OffsetDateTime::now_utc())?,
    };
    let _lock = installation.sealing().await?;
    let sealed = installation.sealer.seal(AUTHORITY, text.expose().as_bytes())?;
    Ok(installation.store.setting(AUTHORITY, &sealed).await?)
}

/// Whether [`of_store`] would make a CA.
pub(super) async fn is_missing(installation: &Installation) -> Result<bool, Error> {
    let directory = &installation.config.state_directory;
    Ok(sealed(&*installation.store).await?.is_none() && !Authority::has_key(directory))
}

/// Replaces the CA of the store by a new one, whatever the old one's state.
pub(super) async fn renew(installation: &Installation) -> Result<(), Error> {
    let text = Authority::make(&own(&installation.config)?, OffsetDateTime::now_utc())?;
    let _lock = installation.sealing().await?;
    put(installation, &text).await
}

/// The caller keeps other processes from sealing.
async fn put(installation: &Installation, text: &Secret) -> Result<(), Error> {
    let new = installation.sealer.seal(AUTHORITY, text.expose().as_bytes())?;
    loop {
        let old = installation.store.setting(AUTHORITY, &new).await?;
        if old == new || installation.store.replace_setting(AUTHORITY, &old, &new).await? {
            return Ok(());
        }
    }
}

/// The CA of the state directory, if it has to go along with the store in a file that is about to be moved. A setting of
/// that store, which then came from a backup, is replaced only by a CA whose files belong together.
pub(crate) async fn to_take_along(installation: &Installation) -> Result<Option<Secret>, Error> {
    match Authority::text_in(&installation.config.state_directory) {
        Err(AuthorityError::Mismatch { .. }) if sealed(&*installation.store).await?.is_some() => Ok(None),
        text => Ok(text?),
    }
}

/// Puts the CA that was taken along into the new store, which no other process uses yet.
pub(crate) async fn take_along(text: &Secret, new: &Installation) -> Result<(), Error> {
    put(new, text).await
}

/// Puts the CA of the store, if there is one, into the files of the state directory of `new`, a store in a file, which
/// needs no copy of it. A copy would be an old CA after `certs renew-ca`, and a later backup would have it.
pub(crate) async fn bring_back(new: &Installation) -> Result<(), Error> {
    let Some(sealed) = sealed(&*new.store).await? else { return Ok(()) };
    let text = opened(&new.sealer, &sealed)?;
    Authority::put_into(&new.config.state_directory, &text)?;
    Ok(new.store.remove_setting(AUTHORITY, &sealed).await?)
}

/// Takes a renewed CA soon after another process has stored it; never ends.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    shared: Arc<SharedAuthority>,
    mut changes: watch::Receiver<i64>,
    identities: watch::Receiver<Option<Arc<Identity>>>,
) {
    let mut before = None;
    while changes.changed().await.is_ok() {
        let Ok(Some(sealed)) = sealed(&*store).await else { continue };
        if before.as_ref() == Some(&sealed) {
            continue;
        }
        match opened(&sealer, &sealed) {
            Ok(text) => {
                before = Some(sealed);
                if shared.replace(&text) {
                    let identity = identities.borrow().clone();
                    load(identity).await;
                }
            }
            Err(why) => error!("{why}; the present certificates stay"),
        }
    }
    std::future::pending::<()>().await;
}

async fn load(identity: Option<Arc<Identity>>) {
    let Some(identity) = identity else { return };
    let refreshed = tokio::task::spawn_blocking(move || identity.refresh(OffsetDateTime::now_utc())).await;
    match refreshed {
        Ok(Ok(_)) => info!("the CA was renewed, and the listeners' certificates were made again"),
        Ok(Err(why)) => error!("{why}; the present certificates stay"),
        Err(_) => {}
    }
}

async fn sealed(store: &dyn Store) -> Result<Option<Vec<u8>>, Error> {
    let settings = store.sealed_settings().await?;
    Ok(settings.into_iter().find(|setting| setting.key == AUTHORITY).map(|setting| setting.value))
}

fn opened(sealer: &Sealer, sealed: &[u8]) -> Result<Secret, Error> {
    let unopened = |error| Error::NotSealedHere { what: "the CA in the store".to_owned(), error };
    sealer.open_text(AUTHORITY, sealed).map_err(unopened)
}
