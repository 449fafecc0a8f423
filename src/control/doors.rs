//! The doors in use: those that the listeners open.

use crate::config::{Config, Door, Provider};
use crate::store::Grant;

/// The doors of `doors` that a listener opens; if there is none, all, because at least one must be tested.
pub(super) fn in_use(config: &Config, doors: Vec<Door>) -> Vec<Door> {
    let is_listened = |door: &Door| config.listeners.iter().any(|listener| listener.protocol == *door);
    let used: Vec<Door> = doors.iter().copied().filter(is_listened).collect();
    if used.is_empty() { doors } else { used }
}

/// The doors in use that `grant` opens; if its scopes open none, those that its provider offers.
pub(super) fn of_grant(config: &Config, provider: &Provider, grant: &Grant) -> Vec<Door> {
    let opened = provider.opened_by(grant.known_scopes());
    in_use(config, if opened.is_empty() { provider.doors().collect() } else { opened })
}
