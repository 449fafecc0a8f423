//! Why no CA can sign, and whether a new CA would help.

use std::io;
use std::path::PathBuf;

/// Why no CA can sign. Each message is for the administrator; nothing was changed. If a new CA helps
/// ([`AuthorityError::needs_new_ca`]), the message ends with that, and `cli` or `admin` names the command.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Other users can read the key, so it may be known.
    #[error(
        "the CA key {0} can be read by others (mode {1:03o}); run: chmod 600 {0}; if another user may have copied it, make a new CA"
    )]
    Exposed(PathBuf, u32),
    /// Clients may trust this CA, but without its key it can sign nothing.
    #[error(
        "the CA certificate {certificate} is there but its key {key} is missing; restore the key from a backup, or make a new CA, which every mail program must then be taught to trust"
    )]
    KeyMissing {
        /// The CA's certificate.
        certificate: PathBuf,
        /// The expected path of its key.
        key: PathBuf,
    },
    /// A file belongs to another CA, or a renewal was interrupted.
    #[error(
        "the CA key {key} does not belong to the CA certificate {certificate}; restore both from one backup, or make a new CA, which every mail program must then be taught to trust"
    )]
    Mismatch {
        /// The CA's certificate.
        certificate: PathBuf,
        /// The key of another CA.
        key: PathBuf,
    },
    /// The file does not have this program's format.
    #[error(
        "the CA file {0} is damaged; restore it from a backup, or make a new CA, which every mail program must then be taught to trust"
    )]
    Damaged(PathBuf),
    /// The CA has ended after ten years, or the clock is wrong.
    #[error(
        "the CA certificate {0} ended on {1}; if this machine's clock is right, make a new CA, which every mail program must then be taught to trust"
    )]
    Expired(PathBuf, time::Date),
    /// `[tls] hostnames` has grown since the CA was made.
    #[error(
        "the CA {certificate} may not sign for {name}, because it was made before that name was in [tls] hostnames; take the name out, or make a new CA, which every mail program must then be taught to trust"
    )]
    NotPermitted {
        /// The name or address that is not covered.
        name: String,
        /// The CA's certificate.
        certificate: PathBuf,
    },
    /// A mistake in the configuration.
    #[error(
        "{0:?} in [tls] hostnames is neither a host name nor an IP address; write names in ASCII (xn--… for others), without scheme and port"
    )]
    NotAName(String),
    /// An operating system's refusal.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// An operating system's refusal.
    #[error("{0} cannot be written: {1}")]
    Unwritable(PathBuf, #[source] io::Error),
    /// The crypto library's refusal; no input is known to cause one.
    #[error("the certificate could not be made: {0}")]
    Crypto(#[from] rcgen::Error),
}

impl AuthorityError {
    /// Whether only a new CA helps.
    pub fn needs_new_ca(&self) -> bool {
        match self {
            Self::Exposed(..) | Self::KeyMissing { .. } | Self::Mismatch { .. } => true,
            Self::Damaged(_) | Self::Expired(..) | Self::NotPermitted { .. } => true,
            Self::NotAName(_) | Self::Unreadable(..) | Self::Unwritable(..) | Self::Crypto(_) => false,
        }
    }
}
