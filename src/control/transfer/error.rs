//! Why an authorisation did not move. Nothing was changed, here or there.

use crate::control::{error, keys};
use crate::secret::bundle::BundleError;

/// Why an authorisation did not move. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account has none in force.
    #[error("{account} has no authorisation here that could move")]
    NothingToMove {
        /// The account's name.
        account: String,
    },
    /// There is no refresh token.
    #[error("{account} is opened by the application's own key, so there is nothing to move")]
    ApplicationsKey {
        /// The account's name.
        account: String,
        /// The provider's name.
        provider: String,
    },
    /// The configuration no longer has the provider.
    #[error("the configuration has no [providers.{provider}] any more")]
    NotConfigured {
        /// The provider's name.
        provider: String,
    },
    /// A copy would end the grant.
    #[error("{title} replaces the refresh token at each use, so two hosts with one grant would end it")]
    Rotates {
        /// The provider's title.
        title: String,
    },
    /// A passphrase that is guessed.
    #[error("the passphrase must have {least} characters or more")]
    ShortPassphrase {
        /// Shorter is guessed.
        least: usize,
    },
    /// The reader did not take the bundle.
    #[error("the exported account could not be written, so it stays here: {0}")]
    NotWritten(std::io::Error),
    /// A parcel that this version does not know.
    #[error("the exported account was made by another version of this program; update both")]
    AnotherVersion,
    /// The provider of the parcel is missing here.
    #[error("the account needs [providers.{provider}], which is not configured here")]
    ProviderMissing {
        /// Its name.
        provider: String,
    },
    /// A provider accepts a refresh token from the client that it was issued to, and from no other.
    #[error("the authorisation belongs to the client {theirs}, and [providers.{provider}] has another one")]
    AnotherClient {
        /// The provider's name.
        provider: String,
        /// The client id of the other installation.
        theirs: String,
    },
    /// A field of the parcel that may not be stored.
    #[error("the exported account is refused, and nothing was stored: {field}: {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The account's name is an alias here.
    #[error("{alias} is an alias of {account} here")]
    AliasHere {
        /// The name.
        alias: String,
        /// The account that it is an alias of.
        account: String,
    },
    /// Something is in its place.
    #[error("{account} is here already, and nothing was changed")]
    AlreadyHere {
        /// The account's name.
        account: String,
    },
    /// Somebody removed it while it was stored.
    #[error("the authorisation was removed again at the same moment")]
    RemovedAgain,
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The key that bundles for this installation are sealed for.
    #[error(transparent)]
    TransferKey(#[from] keys::Error),
    /// Like any operation.
    #[error(transparent)]
    Other(#[from] error::Error),
}

impl From<crate::store::StoreError> for Error {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Other(error.into())
    }
}

impl From<crate::secret::SealError> for Error {
    fn from(error: crate::secret::SealError) -> Self {
        Self::Other(error.into())
    }
}
