//! Sign-in links, as columns of an account's row.
//!
//! An account has one link, and for a while also the previous one. The store holds the hash of a link's token, to find
//! the account by it, and the sealed token, to show the link again. A new grant of the account ends both links.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Id, Result};

/// The link of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInLink {
    /// The hash of its token.
    pub hash: Vec<u8>,
    /// Its token, sealed for [`SignInLink::context`].
    pub sealed: Vec<u8>,
    /// When it was made.
    pub made_at: OffsetDateTime,
    /// Number of consents that were begun with it.
    pub begun: u32,
}

impl SignInLink {
    /// The context to which the token of the link of account `id` is bound.
    pub fn context(id: &Id) -> String {
        format!("account/{id}/link")
    }
}

/// The account that a link belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The account's name.
    pub account: String,
    /// When the link was made.
    pub made_at: OffsetDateTime,
    /// Number of consents that were begun with it.
    pub begun: u32,
}

/// The links of accounts.
#[async_trait]
pub trait LinkStore: Send + Sync {
    /// The newest link of an account.
    async fn link(&self, account: &Id) -> Result<Option<SignInLink>>;

    /// Replaces the account's link if its hash is still `seen`; the replaced link becomes the previous one. Returns the
    /// link that the account has afterwards, which another process may have made; `None` if there is no such account.
    async fn renew_link(
        &self,
        account: &Id,
        seen: Option<&[u8]>,
        new: &SignInLink,
    ) -> Result<Option<SignInLink>>;

    /// The account whose link, or previous link, has this hash.
    async fn linked(&self, hash: &[u8]) -> Result<Option<Linked>>;

    /// Counts a consent that begins with the link of this hash, if the link was made after `since` and fewer than
    /// `most` consents were begun with it; false otherwise.
    async fn begin_by_link(&self, hash: &[u8], most: u32, since: OffsetDateTime) -> Result<bool>;

    /// All sealed tokens of links, with their accounts.
    async fn sealed_links(&self) -> Result<Vec<(Id, Vec<u8>)>>;

    /// Replaces a link's sealed token if it is still `old`; false if it is not.
    async fn reseal_link(&self, account: &Id, old: &[u8], new: &[u8]) -> Result<bool>;

    /// Whether no alert that the account's grant will end went to a mail program since `since`; the call counts as an
    /// alert at `now`.
    async fn claim_alert(&self, account: &Id, now: OffsetDateTime, since: OffsetDateTime) -> Result<bool>;
}
