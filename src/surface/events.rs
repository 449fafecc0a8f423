//! An entry of the audit trail, as `events list` and `/api/v1/events` show it.

use serde::Serialize;

use super::times::rfc3339;
use crate::store::TrailEntry;

/// An entry: the deed, its time and its actor.
#[derive(Serialize)]
pub(crate) struct Event {
    pub(crate) at: Option<String>,
    pub(crate) event: String,
    /// The first of the accounts.
    pub(crate) account: Option<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) about: Option<String>,
    pub(crate) surface: String,
    pub(crate) user: Option<String>,
    pub(crate) uid: Option<u32>,
}

impl From<TrailEntry> for Event {
    fn from(TrailEntry { act, .. }: TrailEntry) -> Self {
        Self {
            at: rfc3339(Some(act.at)),
            event: act.deed,
            account: act.accounts.first().cloned(),
            accounts: act.accounts,
            about: act.about,
            surface: act.actor.surface,
            user: act.actor.user,
            uid: act.actor.uid,
        }
    }
}
