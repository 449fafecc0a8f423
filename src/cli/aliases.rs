//! Asks for confirmation of an alias that is another mailbox's address.

use super::failure::Failure;
use super::terminal;
use crate::control::Error;

/// Runs `work` without permission for such aliases, and again with permission if `yes` or the person at the terminal
/// gives it.
pub(super) async fn with_leave<T>(
    yes: bool,
    work: impl AsyncFn(bool) -> Result<T, Error>,
) -> Result<T, Failure> {
    let error = match work(yes).await {
        Err(error @ Error::ForeignAliases { .. }) => error,
        other => return Ok(other?),
    };
    match terminal::confirm(&format!("{error}. Is that meant?")).await {
        Some(true) => Ok(work(true).await?),
        Some(false) => Err(Failure::new("nothing was changed")),
        None => {
            Err(Failure::new(format!("{error}; nothing was changed")).hint("add --yes if this is intended"))
        }
    }
}
