//! Values as the contract spells them.

use std::net::{IpAddr, SocketAddr};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{Config, Listener, Security};

/// RFC 3339, UTC, whole seconds.
pub(super) fn rfc3339(at: Option<OffsetDateTime>) -> Option<String> {
    let at = at?.to_offset(time::UtcOffset::UTC);
    at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// Where a mail program is told to connect.
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
}

/// The first TLS listener, else the first STARTTLS one, else the first.
pub(super) fn door(config: &Config) -> Option<Door> {
    let first = |security| config.listeners.iter().find(|listener| listener.security == security);
    let listener =
        first(Security::Tls).or_else(|| first(Security::Starttls)).or_else(|| config.listeners.first())?;
    let address = listener.addresses.first()?;
    Some(Door { host: host(config, listener, *address), port: address.port(), security: listener.security })
}

/// A name that is in the certificate and leads to the listener.
fn host(config: &Config, listener: &Listener, address: SocketAddr) -> String {
    let ip = address.ip();
    if !ip.is_loopback()
        && let Some(name) = config.tls.hostnames.first()
    {
        return name.clone();
    }
    let both = |kind: fn(&IpAddr) -> bool| listener.addresses.iter().any(|other| kind(&other.ip()));
    match ip.is_unspecified() || (both(IpAddr::is_ipv4) && both(IpAddr::is_ipv6)) {
        true => "localhost".to_owned(),
        false => ip.to_string(),
    }
}
