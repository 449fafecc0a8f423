//! What was done to an installation, by whom: the audit trail. It names accounts, passwords and people, and holds no
//! secret.

use time::OffsetDateTime;

/// Something that was done, or that people were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// One word, of a list that docs/operations.md has.
    pub deed: String,
    /// The names of the accounts that it is about.
    pub accounts: Vec<String>,
    /// What of them: the name of a password, an alias, a file.
    pub about: Option<String>,
    /// Who did it.
    pub actor: Actor,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Where it was asked for: `cli`, `signal`, or `serve` for what the proxy does by itself.
    pub surface: String,
    /// The operating system's name for the user.
    pub user: Option<String>,
    /// The user's number.
    pub uid: Option<u32>,
}

/// An act in the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its place: later ones have higher numbers.
    pub number: i64,
    /// When it was written down.
    pub at: OffsetDateTime,
    /// What was done.
    pub act: Act,
}
