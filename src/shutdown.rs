//! Stopping the process: all tasks get the signal at once, and the process waits for them. Work that must not be cut
//! off is marked [`Uninterrupted`].

mod supervisor;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use supervisor::Supervisor;

/// Held by a task: tells it to stop, and shows the [`Trigger`] that it still runs.
#[derive(Clone)]
pub struct Shutdown {
    begun: CancellationToken,
    /// Held by every task, so that the trigger notices when all are gone.
    _alive: TaskTrackerToken,
}

/// Begins the stop, at the latest when it is dropped, and waits for its completion.
pub struct Trigger {
    begun: CancellationToken,
    tasks: TaskTracker,
}

/// A trigger and its [`Shutdown`].
pub fn channel() -> (Trigger, Shutdown) {
    let (begun, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.close();
    let shutdown = Shutdown { begun: begun.clone(), _alive: tasks.token() };
    (Trigger { begun, tasks }, shutdown)
}

impl Shutdown {
    /// Resolves when the stop begins.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        self.begun.clone().cancelled_owned()
    }
}

impl Trigger {
    /// Tells all tasks to stop.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Resolves when every [`Shutdown`] has been dropped.
    pub async fn completed(&self) {
        self.tasks.wait().await;
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.begin();
    }
}

/// Pieces of work under way that must not be cut off.
static UNINTERRUPTED: AtomicUsize = AtomicUsize::new(0);

/// While this value lives, Ctrl-C has to wait: something is being stored, or a provider may have spent the
/// old refresh token already. The surface asks [`Uninterrupted::is_under_way`].
#[must_use]
pub struct Uninterrupted(());

impl Uninterrupted {
    /// Begins work that must not be cut off. Calls may nest.
    pub fn begin() -> Self {
        UNINTERRUPTED.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Whether work that must not be cut off is under way.
    pub fn is_under_way() -> bool {
        UNINTERRUPTED.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        UNINTERRUPTED.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uninterrupted_piece_of_work_lasts_until_the_outermost_ends() {
        let outer = Uninterrupted::begin();
        drop(Uninterrupted::begin());
        assert!(Uninterrupted::is_under_way());
        drop(outer);
    }

    #[tokio::test]
    async fn the_last_one_out_completes_the_stop() {
        let (trigger, shutdown) = channel();
        let task = tokio::spawn(async move { shutdown.begun().await });
        trigger.begin();
        task.await.unwrap();
        trigger.completed().await;
    }

    #[tokio::test]
    async fn a_dropped_trigger_begins_the_stop() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        shutdown.begun().await;
    }
}
