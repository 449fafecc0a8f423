//! The servers that mail programs connect to.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::config::{Config, Door, Listener, Security};

/// A server that a mail program connects to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Server {
    /// A name in the certificate, or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
}

/// The listener for `door`: the first with TLS, else the first with STARTTLS, else the first.
pub(crate) fn server(config: &Config, door: Door) -> Option<Server> {
    let of_door = || config.listeners.iter().filter(|listener| listener.protocol == door);
    let first = |security| of_door().find(|listener| listener.security == security);
    let listener = first(Security::Tls).or_else(|| first(Security::Starttls)).or_else(|| of_door().next())?;
    let address = listener.addresses.first()?;
    Some(Server { host: host(config, listener, *address), port: address.port(), security: listener.security })
}

/// A name in the certificate that leads to the listener.
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
