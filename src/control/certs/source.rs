//! Where the listeners' certificates come from. The CA of a store that several machines share is a sealed setting, which
//! one of the machines makes.
//!
//! If two instances make a CA at once, the first one stored is used. An instance whose state directory has a CA stores
//! that one instead of a new one, so that mail programs which trust it go on working. Instances look for a renewed CA
//! after each change of the store.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{error, info};

use crate::config::Config;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::secret::{Sealer, Secret};
use crate::store::{StateDirectory, Store};
use crate::tls::{Authority, AuthorityError, Identity, SharedAuthority, TlsSettings};

/// The setting that holds the CA's key and certificate.
const AUTHORITY: &str = "certificate_authority";

/// Whether the CA of `config` lies in a store that several machines share.
pub(crate) fn is_shared(config: &Config) -> bool {
    config.tls.own.is_none() && config.store.postgres.is_some()
}

/// The source of the listeners' certificates; `shared` is the CA of a store that machines share.
pub(crate) fn settings(config: &Config, shared: Option<Arc<SharedAuthority>>) -> TlsSettings {
    TlsSettings {
        shared,
        certificate: config.tls.own.clone(),
        hostnames: config.tls.hostnames.clone(),
        state_directory: config.state_directory.clone(),
    }
}

/// The settings of the proxy's own CA. Makes the state directory.
pub(super) fn own(config: &Config) -> Result<TlsSettings, Error> {
    if let Some((certificate, _)) = &config.tls.own {
        return Err(Error::OwnCertificate(certificate.clone()));
    }
    StateDirectory::open(&config.state_directory)?;
    Ok(settings(config, None))
}

/// The CA of the store, made if it is missing; `None` if each machine has its own CA, or the user has a certificate.
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

/// Replaces the CA of the store by a new one, even if the old one is damaged.
pub(super) async fn renew(installation: &Installation) -> Result<(), Error> {
    let text = Authority::make(&own(&installation.config)?, OffsetDateTime::now_utc())?;
    let _lock = installation.sealing().await?;
    put(installation, &text).await
}

/// Stores the CA. The caller holds the lock of sealing.
async fn put(installation: &Installation, text: &Secret) -> Result<(), Error> {
    let new = installation.sealer.seal(AUTHORITY, text.expose().as_bytes())?;
    loop {
        let old = installation.store.setting(AUTHORITY, &new).await?;
        if old == new || installation.store.replace_setting(AUTHORITY, &old, &new).await? {
            return Ok(());
        }
    }
}

/// The CA in the files of the state directory, which has to move with the store. If these files do not belong together
/// and the store, from a backup, has a CA of its own, the store's CA is kept.
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

/// Moves the CA of the store, if there is one, into the files of the state directory of `new`, whose store is a file.
/// No copy stays in the store: after `certs renew-ca` it would be the old CA, and would come back with a backup.
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
