//! Who consented, and to what.

pub(super) mod id_token;
pub mod identity;
pub mod scope;
