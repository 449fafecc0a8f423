//! Stopping: everybody is told at once, and everybody is waited for.

mod supervisor;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

pub use supervisor::Supervisor;

/// Tells tasks to stop, and knows when the last of them has.
#[derive(Clone)]
pub struct Shutdown {
    begun: watch::Receiver<bool>,
    /// Held by every task; the sender notices when all are gone.
    _alive: Arc<watch::Sender<()>>,
}

/// The other end: begins the stop and waits for its completion.
pub struct Trigger {
    begin: watch::Sender<bool>,
    all_gone: watch::Receiver<()>,
}

/// A new pair.
pub fn channel() -> (Trigger, Shutdown) {
    let (begin, begun) = watch::channel(false);
    let (alive, all_gone) = watch::channel(());
    (Trigger { begin, all_gone }, Shutdown { begun, _alive: Arc::new(alive) })
}

impl Shutdown {
    /// Ends when the stop begins.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        begins(self.begun.clone())
    }
}

async fn begins(mut begun: watch::Receiver<bool>) {
    // The trigger gone means the same.
    let _ = begun.wait_for(|begun| *begun).await;
}

impl Trigger {
    /// Tells everybody.
    pub fn begin(&self) {
        let _ = self.begin.send(true);
    }

    /// Ends when every [`Shutdown`] has been dropped.
    pub async fn completed(&mut self) {
        while self.all_gone.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_out_completes_the_stop() {
        let (mut trigger, shutdown) = channel();
        let task = tokio::spawn(async move { shutdown.begun().await });
        trigger.begin();
        task.await.unwrap();
        trigger.completed().await;
    }
}
