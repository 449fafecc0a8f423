//! Asks the person at the terminal before something is lost, or may be a mistake.

use super::failure::Failure;
use super::terminal;
use crate::control::Error;

/// Confirms `loss`: by `yes`, at the terminal, or because there is no terminal: a script is not asked and continues.
pub(super) async fn to_loss(yes: bool, loss: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match terminal::confirm(&format!("{loss} Go on?")).await {
        Some(false) => Err(Failure::new("nothing was changed")),
        Some(true) | None => Ok(()),
    }
}

/// Runs `work` with the permission `yes` for aliases that are other mailboxes' addresses, and again with permission if the
/// person at the terminal gives it.
pub(super) async fn to_aliases<T>(
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
