//! Why a token for the API was not made or not revoked.

/// A mistake with a token for the API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiTokenError {
    #[error("the token's name must have 1 to 100 characters, none of them a control character or invisible")]
    Name,
    #[error("there is a token called {name:?} already")]
    Taken { name: String },
    #[error("there is no token called {name:?}")]
    Unknown { name: String },
    #[error("there are {most} tokens already")]
    TooMany { most: usize },
}
