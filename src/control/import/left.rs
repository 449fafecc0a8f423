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
    /// An option is missing.
    Missing { option: &'static str },
    /// An option is invalid; its line, if it is known.
    Option { option: &'static str, line: usize },
    /// A listener of another section has the port.
    PortTaken { other: String },
    /// The local address is not an IP address.
    LocalAddress { address: String },
    /// An option still has the sample's placeholder.
    Placeholder { option: &'static str },
    /// The section is for a whole domain, or for all addresses. An application's sign-in at `provider` can make an
    /// account for the domain.
    CatchAll { provider: Option<String> },
    /// The same, where each mailbox's password was the client secret: the table of `provider` has none yet.
    CatchAllWithoutSecret { provider: String },
    /// Two names differ only in case.
    SameName { other: String },
    /// The name cannot be an account's.
    Name(NameFault),
    /// The account's flow sends the mail password itself to the provider.
    PasswordFlow,
    /// A user name or a password stands in the URL of this option. Nothing shows or stores it.
    Credentials { option: &'static str },
    /// The flow is unknown.
    Flow { flow: String },
    /// A person's consent with a certificate instead of a client secret.
    CertificateOfPerson,
    /// The client's secret is encrypted with an unknown password.
    SecretLocked,
    /// The client's secret is the mail password, which is not known.
    SecretIsPassword,
    /// No server section belongs to its provider, or more than one may.
    NoServer { candidates: Vec<String> },
    /// The resulting configuration would be invalid.
    Configuration { message: String },
}

impl Why {
    /// Whether the account can move as soon as its mail password is known.
    pub(crate) fn needs_password(&self) -> bool {
        matches!(self, Self::SecretLocked | Self::SecretIsPassword)
    }

    /// The provider at which the application can make an account for the whole domain.
    pub(crate) fn provider_of_domain(&self) -> Option<&str> {
        match self {
            Self::CatchAll { provider } => provider.as_deref(),
            Self::CatchAllWithoutSecret { provider } => Some(provider),
            _ => None,
        }
    }
}

/// Why an option is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// email-oauth2-proxy has no such option in that place.
    Unknown,
    /// An option that email-oauth2-proxy reads for SMTP only.
    OnlySmtp(&'static str),
    /// `plugins`, of a branch of email-oauth2-proxy.
    Plugins,
    /// The value is a key, in the place of the path of its file.
    KeyAsPath(&'static str),
    /// One of two options that belong together.
    HalfOfPair(&'static str),
    /// `oauth2_resource`.
    Resource,
    /// `redirect_listen_address`.
    ListenAddress,
    /// `delete_account_token_on_password_error`.
    DeleteOnError,
    /// `encrypt_client_secret_on_first_use`.
    EncryptSecret,
}

/// A change that a person must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A cleartext port that other machines could reach is now open to this machine only.
    ThisMachineOnly { section: String, port: u16, door: Door },
    /// A cleartext port now uses TLS.
    NowTls { section: String, address: SocketAddr },
    /// The port's certificate cannot be read, so it shows another one, or one of the proxy's own CA.
    CertificateUnreadable { section: String, path: PathBuf, shown: Option<PathBuf> },
    /// STARTTLS was wanted, and there is no certificate for it.
    NoStarttls { section: String },
    /// A listener has the usual port of the administration, which gets this address.
    AdminElsewhere { section: String, address: SocketAddr },
    /// A second certificate; all ports use the first.
    OtherCertificate { section: String, path: PathBuf },
    /// No provider's table has the section's server, so the port leads to each account's own.
    ServerUnused { section: String, host: String },
    /// The redirect URI cannot be kept.
    RedirectUri { account: String, uri: String },
    /// Accounts that differed only in the port of a redirect to this machine share a table, with the first one's.
    OneRedirect { provider: String, uri: String },
    /// The client's secret is encrypted with an unknown password, so the provider's table has none.
    SecretLocked { account: String, provider: String },
    /// No port moves, so `serve` listens where it does without a `[[listeners]]`.
    UsualPorts,
    /// An option is not taken.
    Ignored { section: String, line: usize, why: Ignored },
    /// A section is neither a server nor an account.
    UnknownSection { section: String, line: usize },
    /// The account's entry in a cache holds no values.
    CacheEntry { account: String },
}
