//! Bearer tokens for the API. The store holds a hash of each: a token has 256 random bits, so that one SHA-256 is as
//! good as a slow hash, and a thief of the database can use none of them.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Act, Result};

/// The length of a token's hash.
pub const API_TOKEN_HASH: usize = 32;

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its name, which is unique.
    pub name: String,
    /// The SHA-256 of its text.
    pub hash: [u8; API_TOKEN_HASH],
    /// Whether it may only read.
    pub read_only: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Its last use, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
}

/// The bearer tokens of an installation; every process reads them at each request.
#[async_trait]
pub trait ApiTokenStore: Send + Sync {
    /// All tokens, by name.
    async fn api_tokens(&self) -> Result<Vec<ApiToken>>;

    /// Adds a token; false if there is one of that name.
    async fn add_api_token(&self, token: &ApiToken, act: &Act) -> Result<bool>;

    /// Removes a token; false if there is none of that name.
    async fn remove_api_token(&self, name: &str, act: &Act) -> Result<bool>;

    /// Stores that the token of that name was used.
    async fn note_api_token(&self, name: &str, at: OffsetDateTime) -> Result<()>;
}
