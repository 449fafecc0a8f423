//! The proxy's own CA, which mail programs must trust.

use std::sync::Arc;

use time::OffsetDateTime;
use tracing::{error, info, warn};

mod source;

use super::error::Error;
use super::installation::{Installation, Nothing};
use crate::command;
use crate::config::Config;
use crate::tls::{Authority, Identity, IdentityWarning};

use self::source::own;

pub(super) use source::{bring_back, follow, is_shared, of_store, settings, take_along, to_take_along};

/// The CA's file, made if it is missing; `None` with a certificate of the user's own.
pub(crate) async fn ca_file(installation: &Installation) -> Result<Option<std::path::PathBuf>, Error> {
    match installation.config.tls.own {
        Some(_) => Ok(None),
        None => Ok(Some(authority(installation).await?.ca_file())),
    }
}

/// The CA, made if it is missing.
pub(super) async fn authority(installation: &Installation) -> Result<Authority, Error> {
    let mut settings = own(&installation.config)?;
    settings.shared = of_store(installation).await?;
    Ok(Authority::open(&settings, OffsetDateTime::now_utc())?)
}

/// The CA of the installation that `config` describes, and whether it was made just now. Where its files hold it, the
/// store is not needed.
pub(crate) async fn find(config: Config) -> Result<(Authority, bool), Error> {
    if is_shared(&config) {
        let installation = Installation::open(config).await?;
        let is_new = source::is_missing(&installation).await?;
        return Ok((authority(&installation).await?, is_new));
    }
    let is_new = config.tls.own.is_none() && !Authority::is_there(&config.state_directory);
    Ok((Authority::open(&own(&config)?, OffsetDateTime::now_utc())?, is_new))
}

/// The CA, if there is one; makes none.
pub(crate) async fn find_to_read(config: Config) -> Result<Result<Authority, Nothing>, Error> {
    let nothing = Nothing { directory: config.state_directory.clone() };
    if is_shared(&config) {
        return match Installation::open_to_read(config).await? {
            Ok(installation) if !source::is_missing(&installation).await? => {
                Ok(Ok(authority(&installation).await?))
            }
            _ => Ok(Err(nothing)),
        };
    }
    match config.tls.own.is_none() && !Authority::is_there(&nothing.directory) {
        true => Ok(Err(nothing)),
        false => Ok(Ok(Authority::open(&own(&config)?, OffsetDateTime::now_utc())?)),
    }
}

/// Replaces the CA by a new one; a running `serve` shows its certificates within a minute.
pub(crate) async fn renew(config: Config) -> Result<Authority, Error> {
    if is_shared(&config) {
        let installation = Installation::open(config).await?;
        source::renew(&installation).await?;
        return authority(&installation).await;
    }
    Ok(Authority::renew(&own(&config)?, OffsetDateTime::now_utc())?)
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

/// Logs the warnings of the identity for which `are_told` returns true.
pub(super) fn warn_of(identity: &Identity, are_told: impl Fn(&IdentityWarning) -> bool) {
    for warning in identity.warnings().iter().filter(|warning| are_told(warning)) {
        warn!("{warning}{}", renewing(warning.needs_new_ca()));
    }
}

/// The command that makes a new CA, to follow a sentence that ends with a new CA.
fn renewing(needs_new_ca: bool) -> String {
    if needs_new_ca { format!(", with: {}", command::RENEW_CA) } else { String::new() }
}
