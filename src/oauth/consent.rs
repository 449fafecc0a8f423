//! The result of a consent: the tokens, the person's names, and the scopes.

pub(super) mod id_token;
pub mod identity;
pub(super) mod tokens;
