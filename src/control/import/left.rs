//! What does not move, and what moves otherwise than it was.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Door;
use crate::control::names::shape::NameFault;

/// A section that stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) section: String,
    pub(crate) line: usize,
    pub(crate) why: Why,
}

/// Why a section stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The name of the section names no port.
    Port,
    /// An option is missing or cannot be right.
    Option { option: &'static str, line: usize },
    /// The address is no IP address.
    LocalAddress { address: String },
    /// An option still says what the sample says.
    Placeholder { option: &'static str },
    /// A whole domain, or all of them. An account for the domain is made by the application's own sign-in at `provider`.
    CatchAll { provider: Option<String> },
    /// Two names that are one when case does not count.
    SameName { other: String },
    /// It cannot be the name of an account.
    Name(NameFault),
    /// It gives the mail password itself to the provider.
    PasswordFlow,
    /// A flow of this name is not known.
    Flow { flow: String },
    /// A person's consent with a certificate in the place of a secret.
    CertificateOfPerson,
    /// The client's secret is locked with a password that is not known.
    SecretLocked,
    /// No server section, or more than one, may be its provider's.
    NoServer { candidates: Vec<String> },
    /// What comes of it would be no configuration.
    Configuration { message: String },
}

/// Something that a person has to know, because it will not be as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A port in cleartext that other machines reached is only this machine's now.
    ThisMachineOnly { section: String, port: u16, door: Door },
    /// A port in cleartext speaks TLS now.
    NowTls { section: String, address: SocketAddr },
    /// The certificate that a port showed cannot be read, so ports show the proxy's own.
    CertificateUnreadable { section: String, path: PathBuf },
    /// A second certificate; all ports show the first.
    OtherCertificate { section: String, path: PathBuf },
    /// The redirect URI cannot be kept.
    RedirectUri { account: String, uri: String },
}
