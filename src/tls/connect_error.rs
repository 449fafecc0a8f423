//! Why the TLS handshake with a provider failed, by what somebody can do about it.
//!
//! In every case nothing but a ClientHello was sent: no line of IMAP, no token. Text that a server
//! chose (the names in its certificate) is escaped.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::accept_error::alert_text;

/// How a handshake with a provider ended. The connection is closed already.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody else's server, or a wrong host in the configuration.
    #[error(
        "the certificate of {host} is for {presented} and not for that name; check the host in the configuration, and whether something intercepts the connection"
    )]
    WrongName {
        /// The host as configured.
        host: String,
        /// The names that the certificate has, escaped.
        presented: String,
    },
    /// The provider's neglect, or our clock.
    #[error(
        "the certificate of {host} has ended; if this machine's clock is right, the provider must renew it"
    )]
    Expired {
        /// The host as configured.
        host: String,
    },
    /// Our clock, nearly always.
    #[error("the certificate of {host} is not valid yet; set this machine's clock")]
    NotYetValid {
        /// The host as configured.
        host: String,
    },
    /// A private CA, or an interception.
    #[error(
        "the certificate of {host} was signed by an authority that this machine does not trust; where it is a private one, name its CA file in the provider's extra_ca"
    )]
    UnknownIssuer {
        /// The host as configured.
        host: String,
    },
    /// A certificate that signed itself, marked as a CA: it vouches for nobody.
    #[error(
        "{host} shows a CA certificate as its own; give that server a certificate signed by a CA, and name the CA file in the provider's extra_ca"
    )]
    SelfSigned {
        /// The host as configured.
        host: String,
    },
    /// Nothing to verify with.
    #[error(
        "the certificate of {host} cannot be verified because this machine has no CA certificates; install them (the package ca-certificates), or name a CA file in the provider's extra_ca"
    )]
    NoRoots {
        /// The host as configured.
        host: String,
    },
    /// Any other fault of the certificate.
    #[error("the certificate of {host} is not acceptable: {reason}")]
    BadCertificate {
        /// The host as configured.
        host: String,
        /// What is wrong with it, escaped.
        reason: String,
    },
    /// A server that is too old, or a box in between.
    #[error(
        "{host} and this program have no TLS version and cipher in common; it must offer TLS 1.2 or newer"
    )]
    NothingInCommon {
        /// The host as configured.
        host: String,
    },
    /// A STARTTLS port, or not a mail server.
    #[error(
        "{host} does not speak TLS on this port; the provider's imap must name a port with implicit TLS (993)"
    )]
    NotTls {
        /// The host as configured.
        host: String,
    },
    /// The server ended it.
    #[error("{host} refused the TLS handshake ({alert}); check host and port in the configuration")]
    Refused {
        /// The host as configured.
        host: String,
        /// The alert as RFC 8446 §6 spells it.
        alert: String,
    },
    /// Worth another try.
    #[error("{host} closed the connection during the TLS handshake; it may be overloaded")]
    Vanished {
        /// The host as configured.
        host: String,
    },
    /// A mistake in the configuration.
    #[error("{0:?} is neither a host name nor an IP address")]
    NotAHost(String),
    /// Broken TLS.
    #[error("{host} broke the TLS protocol: {reason}")]
    Malformed {
        /// The host as configured.
        host: String,
        /// What rustls says.
        reason: String,
    },
    /// The connection itself; worth another try.
    #[error("the connection to {host} failed: {error}")]
    Io {
        /// The host as configured.
        host: String,
        /// The operating system's word.
        #[source]
        error: io::Error,
    },
}

impl ConnectError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Vanished { .. } | Self::Io { .. })
    }

    pub(super) fn new(host: &str, error: io::Error) -> Self {
        let host = host.to_owned();
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Vanished { host }
            }
            _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(inner) => Self::of_tls(host, inner.clone()),
                None => Self::Io { host, error },
            },
        }
    }

    fn of_tls(host: String, error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(host, &error),
            Error::PeerIncompatible(PeerIncompatible::ServerRejectedEncryptedClientHello(_)) => {
                Self::Malformed { host, reason: escaped(&error) }
            }
            Error::PeerIncompatible(_) => Self::NothingInCommon { host },
            Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
                Self::NothingInCommon { host }
            }
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::InternalError) => {
                Self::Vanished { host }
            }
            Error::AlertReceived(alert) => Self::Refused { host, alert: alert_text(alert) },
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls { host },
            other => Self::Malformed { host, reason: escaped(&other) },
        }
    }

    fn of_certificate(host: String, error: &CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName { host, presented: names(presented) }
            }
            CertificateError::NotValidForName => Self::WrongName { host, presented: names(&[]) },
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired { host },
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid { host }
            }
            // A bad signature is what a CA gives that only bears the name of a trusted one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer { host },
            // webpki has no name of its own for it in rustls's enum.
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::SelfSigned { host },
            other => Self::BadCertificate { host, reason: escaped(other) },
        }
    }
}

/// A few of the names in a certificate, which its owner chose: escaped and bounded.
fn names(presented: &[String]) -> String {
    let shown: Vec<_> = presented.iter().take(3).map(|name| name.escape_default().to_string()).collect();
    match (shown.len(), presented.len() - shown.len()) {
        (0, _) => "another name".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn escaped(error: &impl ToString) -> String {
    error.to_string().escape_debug().to_string()
}
