//! The audit trail: changes to an installation, and who made them. It names accounts, passwords and people, and
//! holds no secret.

use time::OffsetDateTime;

/// A change, or a message to people. Methods that change the store take one, and write both or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// One word from the list in docs/operations.md.
    pub deed: String,
    /// The names of the accounts concerned.
    pub accounts: Vec<String>,
    /// The detail: the name of a password, an alias, a file.
    pub about: Option<String>,
    /// The person or process that did it.
    pub actor: Actor,
    /// When it was done.
    pub at: OffsetDateTime,
}

/// The person or process that did something.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Actor {
    /// The interface: `cli`, `page`, `api`, `link`, `signal`, or `serve` for the proxy itself.
    pub surface: String,
    /// The operating system's name for the user.
    pub user: Option<String>,
    /// The user's number.
    pub uid: Option<u32>,
}

/// An act in the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its number: later entries have higher numbers.
    pub number: i64,
    /// The act.
    pub act: Act,
}

/// An act for tests that do not check the trail.
#[cfg(test)]
pub(crate) fn any_act() -> Act {
    let actor = Actor { surface: "cli".to_owned(), user: None, uid: None };
    Act { deed: "tested".to_owned(), accounts: Vec::new(), about: None, actor, at: OffsetDateTime::now_utc() }
}
