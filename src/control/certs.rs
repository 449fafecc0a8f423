//! The proxy's own CA, which mail programs have to trust.

use time::OffsetDateTime;

use super::error::Error;
use crate::config::Config;
use crate::store::StateDirectory;
use crate::tls::{Authority, TlsSettings};

/// The CA, made where it is missing.
pub(crate) fn authority(config: &Config) -> Result<Authority, Error> {
    Ok(Authority::open(&own(config)?, OffsetDateTime::now_utc())?)
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

/// The settings, where the CA is the proxy's own. The state directory is there afterwards.
fn own(config: &Config) -> Result<TlsSettings, Error> {
    if let Some((certificate, _)) = &config.tls.own {
        return Err(Error::OwnCertificate(certificate.clone()));
    }
    StateDirectory::open(&config.state_directory)?;
    Ok(settings(config))
}
