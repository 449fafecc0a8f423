//! Why the TLS handshake with a provider failed, divided by the possible cure.
//!
//! Until then only a ClientHello was sent: no line of the mail protocol, no token. Text that a server chose (the names
//! in its certificate) is escaped.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::failure::{Failure, alert_text};

/// How a handshake with a provider ended. The connection is closed already. The first value is the host as configured; a
/// second one comes from outside, and is escaped.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server belongs to another host, or the configured host is wrong; with the names that the certificate has.
    #[error(
        "the certificate of {0} is for {1} and not for that name; check the host in the configuration, and whether something intercepts the connection"
    )]
    WrongName(String, String),
    /// The provider did not renew the certificate, or this machine's clock is wrong.
    #[error("the certificate of {0} has ended; if this machine's clock is right, the provider must renew it")]
    Expired(String),
    /// This machine's clock is nearly always the cause.
    #[error("the certificate of {0} is not valid yet; set this machine's clock")]
    NotYetValid(String),
    /// The server uses a private CA, or the connection is intercepted.
    #[error(
        "the certificate of {0} was signed by an authority that this machine does not trust; if it is a private CA, name its file in the provider's extra_ca"
    )]
    UnknownIssuer(String),
    /// The certificate signed itself and is marked as a CA: no trusted CA signed it.
    #[error(
        "{0} shows a CA certificate as its own; give that server a certificate signed by a CA, and name the CA file in the provider's extra_ca"
    )]
    SelfSigned(String),
    /// This machine has no CA certificates to verify with.
    #[error(
        "the certificate of {0} cannot be verified because this machine has no CA certificates; install them (the package ca-certificates), or name a CA file in the provider's extra_ca"
    )]
    NoRoots(String),
    /// The certificate has another fault.
    #[error("the certificate of {0} is not acceptable: {1}")]
    BadCertificate(String, String),
    /// The server is too old, or a device in between interferes.
    #[error("{0} and this program have no TLS version and cipher in common; it must offer TLS 1.2 or newer")]
    NothingInCommon(String),
    /// A STARTTLS port, or not a mail server.
    #[error(
        "{0} does not speak TLS on this port; the provider's imap must name a port with implicit TLS (993)"
    )]
    NotTls(String),
    /// The server ended the handshake with an alert, as RFC 8446 §6 spells it.
    #[error("{0} refused the TLS handshake ({1}); check host and port in the configuration")]
    Refused(String, String),
    /// The server closed the connection; try again.
    #[error("{0} closed the connection during the TLS handshake; it may be overloaded")]
    Vanished(String),
    /// A mistake in the configuration.
    #[error("{0:?} is neither a host name nor an IP address")]
    NotAHost(String),
    /// Broken TLS, in the words of rustls.
    #[error("{0} broke the TLS protocol: {1}")]
    Malformed(String, String),
    /// The connection failed; try again.
    #[error("the connection to {0} failed: {1}")]
    Io(String, #[source] io::Error),
}

impl ConnectError {
    /// Whether a later attempt may succeed without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Vanished(_) | Self::Io(..))
    }

    pub(super) fn new(host: &str, error: io::Error) -> Self {
        let host = host.to_owned();
        match Failure::of(error) {
            Failure::Vanished => Self::Vanished(host),
            Failure::Tls(error) => Self::of_tls(host, error),
            Failure::Io(error) => Self::Io(host, error),
        }
    }

    fn of_tls(host: String, error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(host, &error),
            Error::PeerIncompatible(PeerIncompatible::ServerRejectedEncryptedClientHello(_)) => {
                Self::Malformed(host, escaped(&error))
            }
            Error::PeerIncompatible(_) => Self::NothingInCommon(host),
            Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
                Self::NothingInCommon(host)
            }
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::InternalError) => {
                Self::Vanished(host)
            }
            Error::AlertReceived(alert) => Self::Refused(host, alert_text(alert)),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls(host),
            other => Self::Malformed(host, escaped(&other)),
        }
    }

    fn of_certificate(host: String, error: &CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName(host, names(presented))
            }
            CertificateError::NotValidForName => Self::WrongName(host, names(&[])),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired(host),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid(host)
            }
            // A bad signature comes from a CA that only has the same name as a trusted one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer(host),
            // rustls's enum has no variant for this error of webpki.
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::SelfSigned(host),
            other => Self::BadCertificate(host, escaped(other)),
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
