//! The proxy's own CA, which mail programs have to trust.

use std::sync::Arc;

use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::error::Error;
use crate::command;
use crate::config::Config;
use crate::store::StateDirectory;
use crate::tls::{Authority, Identity, IdentityWarning, TlsSettings};

/// The CA, made where it is missing.
pub(crate) fn authority(config: &Config) -> Result<Authority, Error> {
    Ok(Authority::open(&own(config)?, OffsetDateTime::now_utc())?)
}

/// Whether [`authority`] would make one.
pub(crate) fn is_missing(config: &Config) -> bool {
    config.tls.own.is_none() && !Authority::is_there(&config.state_directory)
}

/// A new CA in the place of the old one; a running `serve` shows its certificates within a minute.
pub(crate) fn renew(config: &Config) -> Result<Authority, Error> {
    Ok(Authority::renew(&own(config)?, OffsetDateTime::now_utc())?)
}

/// What the certificates of the listeners are made from.
pub(super) fn settings(config: &Config) -> TlsSettings {
    TlsSettings {
        certificate: config.tls.own.clone(),
        hostnames: config.tls.hostnames.clone(),
        state_directory: config.state_directory.clone(),
    }
}

/// Keeps the certificates of the listeners fresh, and says in the log what becomes of them; it never ends.
pub(super) async fn keep_fresh(identity: Arc<Identity>) {
    loop {
        match identity.changed().await {
            Ok(()) => {
                info!("the listeners' certificates were loaded again");
                warn_of(&identity, |_| true);
            }
            Err(error) => {
                error!("{error}{}; the certificate in use stays", renewing(error.needs_new_ca()));
            }
        }
    }
}

/// Says in the log which of the identity's warnings `are_told`.
pub(super) fn warn_of(identity: &Identity, are_told: impl Fn(&IdentityWarning) -> bool) {
    for warning in identity.warnings().iter().filter(|warning| are_told(warning)) {
        warn!("{warning}{}", renewing(warning.needs_new_ca()));
    }
}

/// Behind words that end with a new CA: the command that makes one.
fn renewing(needs_new_ca: bool) -> String {
    if needs_new_ca { format!(", with: {}", command::RENEW_CA) } else { String::new() }
}

/// The settings, where the CA is the proxy's own. The state directory is there afterwards.
fn own(config: &Config) -> Result<TlsSettings, Error> {
    if let Some((certificate, _)) = &config.tls.own {
        return Err(Error::OwnCertificate(certificate.clone()));
    }
    StateDirectory::open(&config.state_directory)?;
    Ok(settings(config))
}
