//! The failure of a handshake, as the errors for both sides read it.

use std::io;

use rustls::{AlertDescription, Error};

/// Why a handshake failed.
pub(super) enum Failure {
    /// The other side closed or reset the connection.
    Vanished,
    /// TLS failed.
    Tls(Error),
    /// The connection failed.
    Io(io::Error),
}

impl Failure {
    pub(super) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Vanished
            }
            _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(inner) => Self::Tls(inner.clone()),
                None => Self::Io(error),
            },
        }
    }
}

/// The alert's name in RFC 8446 §6, such as `unknown_ca`, so that a person can search for it.
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
