//! Asks a person at a terminal before something is lost. A script is not asked: it goes on as it always did.

use super::failure::Failure;
use super::terminal;

/// Whether to go on, though `loss` follows: said with `yes`, or at the terminal, or by there being none.
pub(super) async fn agreed(yes: bool, loss: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match terminal::confirm(&format!("{loss} Go on?")).await {
        Some(false) => Err(Failure::new("nothing was changed")),
        Some(true) | None => Ok(()),
    }
}
