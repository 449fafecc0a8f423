//! What a consent brings: the tokens, who consented, and to which scopes.

pub(super) mod id_token;
pub mod identity;
pub(super) mod tokens;
