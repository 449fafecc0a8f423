//! TLS on both sides: with mail programs as a server, and with providers as a client.
//!
//! * [`Socket`] is the only type through which the rest of the program uses TLS.
//! * [`Acceptor`] is the server side. Its certificates come from an [`Identity`]: the user's own files, or leaves
//!   of the local [`Authority`] that are renewed before they end.
//! * [`Connector`] is the client side. It always verifies chain, name and dates of a provider; `extra_ca` only
//!   adds roots.
//!
//! One crypto provider, TLS 1.2 and 1.3. TLS 1.2 stays for Exchange Online and for old mail programs, with
//! forward-secret AEAD suites only.

mod accept_error;
mod acceptor;
mod authority;
mod connect_error;
mod connector;
mod failure;
mod handshake;
mod identity;
mod leaf;
mod metadata;
mod names;
mod own;
mod record;
#[doc(hidden)]
pub mod sans_io;
mod session;
mod sessions;
mod socket;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

pub use accept_error::AcceptError;
pub use acceptor::{Acceptor, FirstBytes};
pub use authority::{Authority, AuthorityError, SharedAuthority};
pub use connect_error::ConnectError;
pub use connector::{Connector, ConnectorError};
pub use identity::{Identity, IdentityError, IdentityWarning};
pub use own::{OwnCertificateError, end_of_certificate};
pub use socket::{FULL_READ, Socket};

/// The source of the listeners' certificates: the resolved `[tls]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The user's own certificate (chain, leaf first) and its key, both PEM. `None`: the local CA.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Names and IP addresses for the proxy's own certificate, besides `localhost`, `127.0.0.1` and `::1`.
    pub hostnames: Vec<String>,
    /// The directory of the local CA and its leaves; created with mode 0700 if it is missing.
    pub state_directory: PathBuf,
    /// The CA of a store that several machines share, in place of the one in the state directory.
    pub shared: Option<Arc<SharedAuthority>>,
}

/// The crypto provider of both sides.
///
/// aws-lc-rs's key exchange, signatures and random numbers, and ring's cipher suites: aws-lc's AES-GCM can only
/// count records from 0, and our session continues the count of rustls's connection (`record`). AES-128-GCM is
/// preferred to AES-256-GCM: a relay spends its time in the cipher, ten rounds cost less than fourteen, and both
/// ciphers are unbroken.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = ring::DEFAULT_CIPHER_SUITES.to_vec();
        // A stable sort: TLS 1.3 suites stay first, and each family keeps its order otherwise.
        provider.cipher_suites.sort_by_key(|suite| (family(suite), !is_aes_128(suite)));
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

fn family(suite: &SupportedCipherSuite) -> u8 {
    match suite {
        SupportedCipherSuite::Tls13(_) => 0,
        SupportedCipherSuite::Tls12(_) => 1,
    }
}

fn is_aes_128(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}
