//! An app password, as `passwords list` and `/api/v1/passwords` show it.

use serde::Serialize;

use super::times::rfc3339;
use crate::control::limits::clauses;
use crate::control::passwords;
use crate::store::Verifier;

/// A new app password: only here a password is shown, once.
#[derive(Serialize)]
pub(crate) struct Created<'a> {
    pub(crate) account: &'a str,
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
}

/// An app password without the password itself.
#[derive(Serialize)]
pub(crate) struct Password {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) created_at: Option<String>,
    pub(crate) last_used_at: Option<String>,
    pub(crate) last_used_from: Option<String>,
    /// Null if it opens all protocols.
    pub(crate) protocols: Option<Vec<String>>,
    /// Empty if it works from everywhere.
    pub(crate) from: Vec<String>,
    pub(crate) expires: Option<String>,
    /// The limits in words, for the table.
    #[serde(skip)]
    pub(crate) limits: String,
}

impl Password {
    pub(crate) fn new(entry: passwords::Entry) -> Self {
        let passwords::Entry { account, password } = entry;
        Self {
            account,
            kind: match password.verifier {
                Verifier::Generated(_) => "generated",
                Verifier::Chosen(_) => "chosen",
            },
            name: password.name,
            created_at: rfc3339(Some(password.created_at)),
            last_used_at: rfc3339(password.last_used_at),
            last_used_from: password.last_used_from,
            limits: clauses(&password.limits).join(", "),
            protocols: password.limits.doors,
            from: password.limits.networks.iter().map(ToString::to_string).collect(),
            expires: password.limits.last_day.map(|day| day.to_string()),
        }
    }
}
