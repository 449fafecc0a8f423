//! A grant that waits for its first consent.
//!
//! Its row resembles a withdrawn grant's: it opens nothing, and a consent replaces it under the same identity. So
//! one consent serves every account that waits for that person at that provider.

use time::OffsetDateTime;

use crate::store::{Grant, GrantKind, GrantState, Id, Right};
use crate::trouble::{CauseKind, Cure, Trouble};

/// The grant of `owner` at `provider`, before its first consent.
pub(super) fn grant(id: Id, provider: &str, owner: &str, kind: GrantKind, now: OffsetDateTime) -> Grant {
    let mut grant = Grant::new(id, provider, owner, Right::Withdrawn { was: kind }, now);
    let cure = Cure::authorize_with("run: ", "");
    grant.trouble = Some(Trouble::new(CauseKind::NoGrant, "it has not been authorised yet", cure));
    grant.state = GrantState::NeedsAuthorization;
    grant
}
