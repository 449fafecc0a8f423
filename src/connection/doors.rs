//! Whether a grant opens the door of a login.
//!
//! Reading and sending need separate scopes, and a grant from before sending was offered may hold only the scopes
//! for reading. Such a grant stays valid for reading. Other doors are refused here, before a token is used, with
//! the command that asks for more scopes.

use tracing::warn;

use super::denial;
use super::denied::Denied;
use super::reason::Reason;
use crate::account::{Account, Grant};
use crate::command;
use crate::config::{Door, Provider};
use crate::token::TokenFailure;

/// The denial at a door that `grant` does not open.
pub(super) fn closed(provider: &Provider, door: Door, grant: &Grant, account: &Account) -> Option<Denied> {
    let lacking = provider.closed(door, grant.known_scopes());
    if lacking.is_empty() {
        return None;
    }
    let failure = TokenFailure::lacks_scopes(door.title(), &lacking);
    let doors: Vec<&str> =
        provider.opened_with(door, grant.known_scopes()).into_iter().map(Door::name).collect();
    let authorize = command::authorize_for(grant, &account.name, &doors);
    warn!(account = account.name, "no token: {}", failure.trouble().line(&authorize));
    Some(Denied::new(Reason::from(&failure), denial::no_token(&failure, &authorize)))
}
