//! The state that is looked up when the text is made.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::Door;

/// The state of the process at one moment. Times are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The names of the configured providers.
    pub providers: Vec<String>,
    /// Sessions, by door and provider.
    pub sessions: BTreeMap<(Door, String), u64>,
    /// Bytes from clients and from providers since the start, by door.
    pub moved: BTreeMap<Door, (u64, u64)>,
    /// Grants, by provider and state.
    pub grants: BTreeMap<(String, &'static str), u64>,
    /// All states of a grant.
    pub grant_states: Vec<&'static str>,
    /// When the next grant ends, if known.
    pub next_grant_end: Option<i64>,
    /// When the next client secret expires, if known.
    pub next_secret_end: Option<i64>,
    /// When the listeners' certificates expire, by the listener's address.
    pub certificates: Vec<(String, i64)>,
    /// How long the store took to answer; `None` if it did not.
    pub store: Option<Duration>,
    /// How often each background task was restarted.
    pub restarts: Vec<(String, u64)>,
    /// Sessions by account; empty unless `metrics.per_account`.
    pub accounts: Vec<AccountTraffic>,
}

/// An account's sessions at one door.
#[derive(Clone, Debug)]
pub struct AccountTraffic {
    /// The account's name.
    pub account: String,
    /// The door.
    pub door: Door,
    /// The number of its sessions.
    pub sessions: u64,
}
