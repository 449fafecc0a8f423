//! Sections that are not moved, and changes in those that are.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Door;
use crate::control::names::shape::NameFault;

/// A section that is not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) section: String,
    pub(crate) line: usize,
    pub(crate) why: Why,
}

/// Why a section is not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The name of the section contains no port.
    Port,
    /// An option is missing or invalid.
    Option { option: &'static str, line: usize },
    /// The local address is not an IP address.
    LocalAddress { address: String },
    /// An option still has the sample's placeholder.
    Placeholder { option: &'static str },
    /// A whole domain, or all. An application's sign-in at `provider` can make an account for the domain.
    CatchAll { provider: Option<String> },
    /// Two names differ only in case.
    SameName { other: String },
    /// The name cannot be an account's.
    Name(NameFault),
    /// The account's flow sends the mail password itself to the provider.
    PasswordFlow,
    /// The flow is unknown.
    Flow { flow: String },
    /// A person's consent with a certificate instead of a client secret.
    CertificateOfPerson,
    /// The client's secret is encrypted with an unknown password.
    SecretLocked,
    /// No server section belongs to its provider, or more than one may.
    NoServer { candidates: Vec<String> },
    /// The resulting configuration would be invalid.
    Configuration { message: String },
}

/// A change that a person must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A cleartext port that other machines could reach is now open to this machine only.
    ThisMachineOnly { section: String, port: u16, door: Door },
    /// A cleartext port now uses TLS.
    NowTls { section: String, address: SocketAddr },
    /// The port's certificate cannot be read, so ports use the proxy's own.
    CertificateUnreadable { section: String, path: PathBuf },
    /// A second certificate; all ports use the first.
    OtherCertificate { section: String, path: PathBuf },
    /// The redirect URI cannot be kept.
    RedirectUri { account: String, uri: String },
}
