//! Why a mail program's handshake failed, in the words that the log should use.
//!
//! Most of these are a setting in somebody's mail program, so each says which. None of them holds
//! text that the client chose.

use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

/// How a handshake with a mail program ended. The connection is closed already.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The client's setting: no encryption, or STARTTLS.
    #[error(
        "the client spoke cleartext on a TLS port; set its connection security to SSL/TLS, or give it a starttls listener"
    )]
    PlaintextClient,
    /// A browser, or a monitoring probe.
    #[error("the client spoke HTTP; this is a mail port, to be entered in a mail program")]
    HttpClient,
    /// The client's age.
    #[error(
        "the client knows no TLS newer than 1.1; update it, or give it a listener with security = \"none\" on a loopback address"
    )]
    OldTls,
    /// The client's age, too: only suites that nobody should use any more.
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
    /// The client's clock, or a certificate of the user's own that has ended.
    #[error(
        "the client says that the certificate has ended; set the client's clock, or renew [tls] certificate"
    )]
    ExpiredForClient,
    /// Another alert.
    #[error("the client ended the handshake ({}); it may not trust the certificate, or be too old", alert_text(*.0))]
    RefusedByClient(AlertDescription),
    /// Closed before the first byte: a port scan or a health check. Not worth a line by default.
    #[error("the client closed the connection without a word")]
    Probe,
    /// Closed in the middle.
    #[error(
        "the client vanished during the handshake; if it does so each time, it does not trust the certificate"
    )]
    Vanished,
    /// Not a byte until the deadline: cleartext clients wait for a greeting.
    #[error(
        "the client said nothing; if it waits for a greeting, set its connection security to SSL/TLS, or give it a starttls listener"
    )]
    Silent,
    /// Some bytes, but no end until the deadline.
    #[error("the client did not finish the handshake in time; its network may be too slow")]
    Slow,
    /// Not TLS after all, or broken.
    #[error("the client broke the TLS protocol: {0}")]
    Malformed(Error),
    /// The connection itself.
    #[error("the connection to the client failed: {0}")]
    Io(#[source] io::Error),
}

impl AcceptError {
    /// Whether it is everyday noise that no person needs to see.
    pub fn is_noise(&self) -> bool {
        matches!(self, Self::Probe)
    }

    /// Whether the client may need the CA's certificate: then the message ends with that, and the log names the
    /// command that exports it.
    pub fn wants_ca(&self) -> bool {
        matches!(self, Self::UntrustedByClient(_) | Self::Vanished)
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Vanished
            }
            _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(inner) => inner.clone().into(),
                None => Self::Io(error),
            },
        }
    }
}

impl From<Error> for AcceptError {
    fn from(error: Error) -> Self {
        match error {
            // The last one is missed before the version is looked at, and came with TLS 1.2.
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
            // What a client sends that trusts another CA of the same name.
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => Self::UntrustedByClient(alert),
            AlertDescription::CertificateExpired => Self::ExpiredForClient,
            AlertDescription::ProtocolVersion => Self::OldTls,
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => Self::Vanished,
            other => Self::RefusedByClient(other),
        }
    }
}

/// The alert as RFC 8446 §6 spells it: `unknown_ca`, so that it can be searched for.
pub(super) fn alert_text(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut text = String::new();
    let mut after_small = false;
    for c in name.chars() {
        if c.is_uppercase() && after_small {
            text.push('_');
        }
        after_small = c.is_lowercase();
        text.push(c.to_ascii_lowercase());
    }
    text
}
