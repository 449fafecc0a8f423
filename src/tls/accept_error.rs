//! Why a mail program's handshake failed, in words for the log.
//!
//! Most causes are a setting of a mail program, so each message names the setting. No message contains text that
//! the client chose.

use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

use super::failure::{Failure, alert_text};

/// How a handshake with a mail program ended. The connection is closed already.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The client's setting is wrong: no encryption, or STARTTLS.
    #[error(
        "the client spoke cleartext on a TLS port; set its connection security to SSL/TLS, or give it a starttls listener"
    )]
    PlaintextClient,
    /// A browser or a monitoring probe connected.
    #[error("the client spoke HTTP; this is a mail port, to be entered in a mail program")]
    HttpClient,
    /// The settings of a load balancer and the listener do not match.
    #[error("the connection begins with a PROXY protocol header")]
    ProxyHeader,
    /// The client is too old.
    #[error(
        "the client knows no TLS newer than 1.1; update it, or give it a listener with security = \"none\" on a loopback address"
    )]
    OldTls,
    /// The client is too old: it has only suites that are no longer safe.
    #[error(
        "the client and this server have no cipher suite in common; update the client, or give it a listener with security = \"none\" on a loopback address"
    )]
    NothingInCommon,
    /// The client asked for another protocol than the listener's.
    #[error(
        "the client asked for a protocol that this port does not speak (ALPN); it was set up for another port"
    )]
    ForeignAlpn,
    /// The client does not trust the certificate, or not for the name it connected to.
    #[error(
        "the client refused the certificate ({}); let it connect to a name in the certificate (localhost, 127.0.0.1, ::1, or one of [tls] hostnames), and teach it to trust the CA",
        alert_text(*.0)
    )]
    UntrustedByClient(AlertDescription),
    /// The client's clock is wrong, or the user's own certificate has ended.
    #[error(
        "the client says that the certificate has ended; set the client's clock, or renew [tls] certificate"
    )]
    ExpiredForClient,
    /// Another alert.
    #[error("the client ended the handshake ({}); it may not trust the certificate, or be too old", alert_text(*.0))]
    RefusedByClient(AlertDescription),
    /// The client closed before the first byte: a port scan or a health check, not logged by default.
    #[error("the client closed the connection without a word")]
    Probe,
    /// The client closed within the handshake.
    #[error(
        "the client vanished during the handshake; if it does so each time, it does not trust the certificate"
    )]
    Vanished,
    /// The client sent no byte before the deadline: cleartext clients wait for a greeting.
    #[error(
        "the client sent nothing; if it waits for a greeting, set its connection security to SSL/TLS, or give it a starttls listener"
    )]
    Silent,
    /// The client sent some bytes, but the handshake did not finish before the deadline.
    #[error("the client did not finish the handshake in time; its network may be too slow")]
    Slow,
    /// The client does not speak TLS, or its TLS is broken.
    #[error("the client broke the TLS protocol: {0}")]
    Malformed(Error),
    /// The connection failed.
    #[error("the connection to the client failed: {0}")]
    Io(#[source] io::Error),
}

impl AcceptError {
    /// Whether this is ordinary and needs no person's attention.
    pub fn is_noise(&self) -> bool {
        matches!(self, Self::Probe)
    }

    /// Whether the client may need the CA's certificate: the message then ends with that, and the log names the
    /// command that exports it.
    pub fn wants_ca(&self) -> bool {
        matches!(self, Self::UntrustedByClient(_) | Self::Vanished)
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        match Failure::of(error) {
            Failure::Vanished => Self::Vanished,
            Failure::Tls(error) => error.into(),
            Failure::Io(error) => Self::Io(error),
        }
    }
}

impl From<Error> for AcceptError {
    fn from(error: Error) -> Self {
        match error {
            // This extension, which came with TLS 1.2, is checked before the version.
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
            ) => Self::OldTls,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::NoApplicationProtocol => Self::ForeignAlpn,
            Error::AlertReceived(alert) => Self::from(alert),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::PlaintextClient,
            other => Self::Malformed(other),
        }
    }
}

impl From<AlertDescription> for AcceptError {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            // A client sends this if it trusts another CA of the same name.
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => Self::UntrustedByClient(alert),
            AlertDescription::CertificateExpired => Self::ExpiredForClient,
            AlertDescription::ProtocolVersion => Self::OldTls,
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => Self::Vanished,
            other => Self::RefusedByClient(other),
        }
    }
}
