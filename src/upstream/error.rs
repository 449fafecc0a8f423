//! Why there is no connection to a provider, with the cure where a person has one.

use std::io;

use super::ProxyError;
use crate::config::Door;
use crate::protocol::{Code, Refusal};
use crate::tls::ConnectError;

/// Why there is no connection to a provider.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The configuration.
    #[error(
        "the provider {provider} has no {} server; write {} = \"host:port\" into [providers.{provider}]",
        .door.title(),
        .door.server_key()
    )]
    NoServer {
        /// Which server it would be.
        door: Door,
        /// As configured.
        provider: String,
    },
    /// DNS.
    #[error(
        "the address of {endpoint} was not found: {error}; check the provider's {} host and this machine's DNS",
        .door.server_key()
    )]
    Resolve {
        /// Which server it is.
        door: Door,
        /// Host and port as configured.
        endpoint: String,
        /// The resolver's word.
        #[source]
        error: io::Error,
    },
    /// TCP.
    #[error("{endpoint} cannot be reached: {error}; check this machine's network and firewall")]
    Connect {
        /// Host and port as configured.
        endpoint: String,
        /// The operating system's word.
        #[source]
        error: io::Error,
    },
    /// The proxy on the way.
    #[error(
        "{endpoint} cannot be reached through network.proxy ({proxy}): {error}; {}",
        .error.cure()
    )]
    Proxy {
        /// Host and port as configured.
        endpoint: String,
        /// As configured, without its password.
        proxy: String,
        /// Why not.
        error: ProxyError,
    },
    /// The cleartext before TLS.
    #[error("{endpoint} did not begin TLS: {refusal}")]
    BeginTls {
        /// Host and port as configured.
        endpoint: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] ConnectError),
}

impl DialError {
    /// Whether trying again later may help, with nothing changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoServer { .. } => false,
            Self::Resolve { .. } | Self::Connect { .. } | Self::Proxy { .. } => true,
            // As after TLS: what a client is told of it decides.
            Self::BeginTls { refusal, .. } => {
                matches!(
                    refusal.denial().code,
                    Code::Unavailable | Code::Limit | Code::InUse | Code::ServerBug
                )
            }
            Self::Tls(error) => error.is_transient(),
        }
    }
}
