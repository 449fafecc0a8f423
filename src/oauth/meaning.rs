//! The meaning and the cure of refusals, and the cleaning of outside text.

pub(super) mod error;
pub mod knowledge;
pub(super) mod text;
