//! The mail protocols that the proxy speaks, and what they have in common.
//!
//! A protocol has two dialogues: one with the legacy client, from the greeting to a [`Login`], and
//! one with the provider, from its greeting to an accepted token. Both are sans-I/O machines
//! (bytes in, events out) driven over a [`crate::wire::Wire`]; after them the relay copies bytes
//! that nobody looks at. No byte that a client sends before it is authenticated reaches a
//! provider: only lines that the machines wrote do.

pub mod sasl;

use crate::secret::Secret;

/// What a legacy client sent to log in.
#[derive(Debug)]
pub struct Login {
    /// The user name as the client typed it: UTF-8, or else read as Latin-1.
    pub name: String,
    /// The password, which is an app password of ours and never goes upstream.
    pub password: Secret,
}
