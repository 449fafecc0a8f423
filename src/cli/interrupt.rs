//! Ctrl-C: until something is stored it ends a command at once and leaves nothing behind; from then on the
//! command finishes what it began, which takes seconds.
//!
//! A refresh is such a point, too: the provider may have spent the old refresh token already.

use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;
use super::print;

static PAST_RETURN: AtomicBool = AtomicBool::new(false);

/// Between here and the end of the value, Ctrl-C waits.
pub(super) struct Uninterrupted(());

impl Uninterrupted {
    pub(super) fn begin() -> Self {
        PAST_RETURN.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        PAST_RETURN.store(false, Ordering::SeqCst);
    }
}

/// Runs `command` until it ends or a person ends it.
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
                if asked || !PAST_RETURN.load(Ordering::SeqCst) {
                    return Err(Failure::interrupted());
                }
                asked = true;
                print::words("What has begun is finished first; press Ctrl-C once more to end at once.");
            }
        }
    }
}
