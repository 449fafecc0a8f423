//! Where the listeners' certificates come from, by the configuration.

use std::sync::Arc;

use crate::config::Config;
use crate::control::error::Error;
use crate::store::StateDirectory;
use crate::tls::{SharedAuthority, TlsSettings};

/// Whether the CA of `config` lies in a store that several machines share.
pub(in crate::control) fn is_shared(config: &Config) -> bool {
    config.tls.own.is_none() && config.store.postgres.is_some()
}

/// The source of the listeners' certificates; `shared` is the CA of a store that machines share.
pub(in crate::control) fn settings(config: &Config, shared: Option<Arc<SharedAuthority>>) -> TlsSettings {
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
