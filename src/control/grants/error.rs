//! Why nothing was done to a grant.

use crate::control::error;
use crate::token::TokenFailure;

/// Why nothing was done to a grant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account has none in force.
    #[error("there is no authorisation for {account} to refresh")]
    NothingToRefresh {
        /// The account's name.
        account: String,
    },
    /// The account has none in force.
    #[error("there is no authorisation for {account} to revoke")]
    NothingToRevoke {
        /// The account's name.
        account: String,
    },
    /// A domain account whose application tokens open one mailbox each.
    #[error("{account} has a token for each mailbox, fetched when it logs in")]
    TokenForEachMailbox {
        /// The account's name.
        account: String,
    },
    /// No access token came.
    #[error("no new token for {account}: {}", in_words(failure, target))]
    NoToken {
        /// The account's name.
        account: String,
        /// What is behind `authorize` for it.
        target: String,
        /// Why.
        failure: TokenFailure,
    },
    /// Like any operation.
    #[error(transparent)]
    Other(error::Error),
}

impl<E> From<E> for Error
where
    error::Error: From<E>,
{
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Why there is no token, for the account that `target` names behind `authorize`.
pub(in crate::control) fn in_words(failure: &TokenFailure, target: &str) -> String {
    failure.to_string().replace("{account}", target)
}
