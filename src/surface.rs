//! The parts that the surfaces share, so that each is written once: the shapes of the JSON that the commands print with
//! `--json` and that the API answers, and the cures of errors as texts with commands.
//!
//! Like a surface it decides nothing. It turns what `control` returns into serialisable values and clauses; it prints
//! nothing and answers nothing. No shape holds a stored secret.

pub(crate) mod accounts;
pub(crate) mod api_tokens;
pub(crate) mod checks;
pub(crate) mod cures;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod passwords;
pub(crate) mod revocations;
pub(crate) mod times;
