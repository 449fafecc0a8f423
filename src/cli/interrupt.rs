//! Ctrl-C ends a command at once and leaves nothing behind, until the command begins to store something; then the
//! command finishes, which takes seconds.
//!
//! A refresh is such a point too: the provider may have invalidated the old refresh token.

use super::failure::Failure;
use super::print;
use crate::shutdown::Uninterrupted;

/// Runs `command` until it ends or Ctrl-C ends it.
pub(super) async fn interruptible<T>(
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::pin!(command);
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            done = &mut command => return done,
            pressed = tokio::signal::ctrl_c() => {
                if pressed.is_err() {
                    return command.await;
                }
                if !Uninterrupted::is_under_way() {
                    return Err(Failure::interrupted());
                }
                if asked {
                    return Err(Failure::cut_off());
                }
                asked = true;
                print::words("What has begun is finished first; press Ctrl-C once more to end at once.");
            }
        }
    }
}
