//! What a refusal means, who can cure it, and text from outside made fit to be shown.

pub(super) mod error;
pub mod knowledge;
pub(super) mod text;
