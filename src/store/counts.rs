//! Numbers of grants of each kind, for monitoring, which does not read each grant.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{GrantKind, GrantState, Result};

/// Grants in force of one provider, kind and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCount {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The kind of the grants.
    pub kind: GrantKind,
    /// Whether they can be used.
    pub state: GrantState,
    /// Number of such grants.
    pub count: u64,
    /// The earliest end of their refresh tokens, if the provider gave one.
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// The oldest last renewal among them.
    pub renewed_at: OffsetDateTime,
}

/// Counts rows of the store.
#[async_trait]
pub trait CountStore: Send + Sync {
    /// The grants in force, by provider, kind and state. One pass over the rows, and no token is read.
    async fn grant_counts(&self) -> Result<Vec<GrantCount>>;
}
