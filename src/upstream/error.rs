//! Why there is no connection to a provider, with the cure if a person can act.

use std::io;

use super::ProxyError;
use crate::config::Door;
use crate::protocol::{Code, Refusal};
use crate::tls::ConnectError;

/// Why there is no connection to a provider.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The configuration has no server for the door.
    #[error(
        "the provider {provider} has no {} server; write {} = \"host:port\" into [providers.{provider}]",
        .door.title(),
        .door.server_key()
    )]
    NoServer {
        /// The door of the missing server.
        door: Door,
        /// The provider's name.
        provider: String,
    },
    /// The name could not be resolved.
    #[error(
        "the address of {endpoint} was not found: {error}; check the provider's {} host and this machine's DNS",
        .door.server_key()
    )]
    Resolve {
        /// The server's door.
        door: Door,
        /// Host and port as configured.
        endpoint: String,
        /// The resolver's error.
        #[source]
        error: io::Error,
    },
    /// The TCP connection failed.
    #[error("{endpoint} cannot be reached: {error}; check this machine's network and firewall")]
    Connect {
        /// Host and port as configured.
        endpoint: String,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// The proxy gave no connection.
    #[error(
        "{endpoint} cannot be reached through network.proxy ({proxy}): {error}; {}",
        .error.cure()
    )]
    Proxy {
        /// Host and port as configured.
        endpoint: String,
        /// The proxy as configured, without its password.
        proxy: String,
        /// The reason.
        error: ProxyError,
    },
    /// The server refused STARTTLS.
    #[error("{endpoint} did not begin TLS: {refusal}")]
    BeginTls {
        /// Host and port as configured.
        endpoint: String,
        /// The server's refusal.
        refusal: Box<Refusal>,
    },
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] ConnectError),
}

impl DialError {
    /// Whether a later try may succeed without a change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoServer { .. } => false,
            Self::Resolve { .. } | Self::Connect { .. } | Self::Proxy { .. } => true,
            // Judged by the code that the client will get, like a refusal after TLS.
            Self::BeginTls { refusal, .. } => {
                matches!(
                    refusal.denial().code,
                    Code::Unavailable | Code::LoginDelay | Code::Limit | Code::InUse | Code::ServerBug
                )
            }
            Self::Tls(error) => error.is_transient(),
        }
    }
}
