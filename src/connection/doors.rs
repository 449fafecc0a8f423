//! Whether a grant opens the door that a mail program came to.
//!
//! A person consents to reading and to sending by scopes of their own, and a grant of before sending was offered holds
//! those of reading alone. It stays as good as it was; what it does not open is refused here, before a token is
//! spent, with the command that asks for more. A grant that opens no door by its scopes is not judged: its provider
//! may call them otherwise than it was asked, and its mail server knows better.

use tracing::warn;

use super::denial;
use crate::account::{Account, Grant};
use crate::command;
use crate::config::{Door, Provider};
use crate::protocol::Denial;
use crate::token::TokenFailure;

/// What a mail program is told at a door that `grant` does not open.
pub(super) fn closed(provider: &Provider, door: Door, grant: &Grant, account: &Account) -> Option<Denial> {
    let opened = provider.opened_by(grant.known_scopes());
    if opened.is_empty() || opened.contains(&door) {
        return None;
    }
    let failure = TokenFailure::lacks_scopes(door.title(), &provider.lacking(door, grant.known_scopes()));
    let wanted: Vec<&str> =
        provider.doors().filter(|other| *other == door || opened.contains(other)).map(Door::name).collect();
    let authorize = command::authorize_for(grant, &account.name, &wanted);
    warn!(account = account.name, "no token: {}", failure.trouble().line(&authorize));
    Some(denial::no_token(&failure, &authorize))
}
