//! Asks a person whether an alias that is another mailbox's address is meant.

use super::failure::Failure;
use super::terminal;
use crate::control::Error;

/// Does `work` without leave for such aliases, and where it wants one, with it: given by `yes`, or at the terminal.
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
            Err(Failure::new(format!("{error}; nothing was changed")).hint("add --yes where that is meant"))
        }
    }
}
