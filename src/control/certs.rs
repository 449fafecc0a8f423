//! The proxy's own CA, which mail programs must trust.

use std::sync::Arc;

use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::error::Error;
use crate::command;
use crate::config::Config;
use crate::store::StateDirectory;
use crate::tls::{Authority, Identity, IdentityWarning, TlsSettings};

/// The CA, made if it is missing.
pub(crate) fn authority(config: &Config) -> Result<Authority, Error> {
    Ok(Authority::open(&own(config)?, OffsetDateTime::now_utc())?)
}

/// Whether [`authority`] would make one.
pub(crate) fn is_missing(config: &Config) -> bool {
    config.tls.own.is_none() && !Authority::is_there(&config.state_directory)
}

/// Replaces the CA by a new one; a running `serve` shows its certificates within a minute.
pub(crate) fn renew(config: &Config) -> Result<Authority, Error> {
    Ok(Authority::renew(&own(config)?, OffsetDateTime::now_utc())?)
}

/// The source of the listeners' certificates.
pub(super) fn settings(config: &Config) -> TlsSettings {
    TlsSettings {
        certificate: config.tls.own.clone(),
        hostnames: config.tls.hostnames.clone(),
        state_directory: config.state_directory.clone(),
    }
}

/// Keeps the listeners' certificates fresh, and logs changes and failures; never ends.
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

/// Logs the warnings of the identity for which `are_told` is true.
pub(super) fn warn_of(identity: &Identity, are_told: impl Fn(&IdentityWarning) -> bool) {
    for warning in identity.warnings().iter().filter(|warning| are_told(warning)) {
        warn!("{warning}{}", renewing(warning.needs_new_ca()));
    }
}

/// The command that makes a new CA, to follow a sentence that ends with a new CA.
fn renewing(needs_new_ca: bool) -> String {
    if needs_new_ca { format!(", with: {}", command::RENEW_CA) } else { String::new() }
}

/// The settings of the proxy's own CA. Makes the state directory.
fn own(config: &Config) -> Result<TlsSettings, Error> {
    if let Some((certificate, _)) = &config.tls.own {
        return Err(Error::OwnCertificate(certificate.clone()));
    }
    StateDirectory::open(&config.state_directory)?;
    Ok(settings(config))
}
