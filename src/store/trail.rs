//! What was done to an installation, by whom: the audit trail. It names accounts, passwords and people, and holds no
//! secret.

use time::OffsetDateTime;

/// Something that was done, or that people were told. What changes the store takes one, and writes both or neither.
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
    /// When.
    pub at: OffsetDateTime,
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
    /// What was done.
    pub act: Act,
}

/// What a test does that does not look at the trail.
#[cfg(test)]
pub(crate) fn any_act() -> Act {
    let actor = Actor { surface: "cli".to_owned(), user: None, uid: None };
    Act { deed: "tested".to_owned(), accounts: Vec::new(), about: None, actor, at: OffsetDateTime::now_utc() }
}
