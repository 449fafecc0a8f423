//! Asks at a terminal before something is lost. A script is not asked and continues.

use super::failure::Failure;
use super::terminal;

/// Confirms `loss`: by `yes`, at the terminal, or because there is no terminal.
pub(super) async fn agreed(yes: bool, loss: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match terminal::confirm(&format!("{loss} Go on?")).await {
        Some(false) => Err(Failure::new("nothing was changed")),
        Some(true) | None => Ok(()),
    }
}
