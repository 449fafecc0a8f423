//! A grant that nobody has given yet: an account is made, and a person's consent is awaited.
//!
//! It is a row like that of a grant which was withdrawn: it opens nothing, and the consent that comes takes its place under the
//! same identity. So what one person consents to serves every account that waits for that person at that provider.

use time::OffsetDateTime;

use crate::store::{Grant, GrantKind, GrantState, Id, Right};
use crate::trouble::{CauseKind, Cure, Trouble};

/// The grant of `owner` at `provider`, which is yet to be given.
pub(super) fn grant(id: Id, provider: &str, owner: &str, kind: GrantKind, now: OffsetDateTime) -> Grant {
    let mut grant = Grant::new(id, provider, owner, Right::Withdrawn { was: kind }, now);
    let cure = Cure::authorize_with("run: ", "");
    grant.trouble = Some(Trouble::new(CauseKind::NoGrant, "it has not been authorised yet", cure));
    grant.state = GrantState::NeedsAuthorization;
    grant
}
