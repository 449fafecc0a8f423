//! How many grants there are of a kind, for who watches and does not read each of them.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{GrantKind, GrantState, StoreError};

/// Grants in force of one provider, kind and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCount {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Whose right they are.
    pub kind: GrantKind,
    /// Whether they can be used.
    pub state: GrantState,
    /// How many there are.
    pub count: u64,
    /// The first of the days that the provider said their refresh tokens end on.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// When the one was renewed that was not renewed for longest.
    pub renewed_at: OffsetDateTime,
}

/// Counts what is in the store.
#[async_trait]
pub trait CountStore: Send + Sync {
    /// The grants in force, by provider, kind and state. One pass over the rows, and no token is read.
    async fn grant_counts(&self) -> Result<Vec<GrantCount>, StoreError>;
}
