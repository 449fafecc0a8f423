//! Keeps the background tasks running: a task that panics or returns is logged and restarted after a pause,
//! while everything else continues.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shutdown;
use crate::logging;
use crate::mutex::lock;

/// The pauses before a task is restarted.
#[derive(Clone, Copy)]
struct Pace {
    /// The pause after the first failure.
    first: Duration,
    /// The limit to the doubling pause; a task that fails immediately must not fill the log.
    longest: Duration,
    /// After a run of this length the pauses start again at the first.
    good_run: Duration,
}

const PACE: Pace = Pace {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    good_run: Duration::from_secs(300),
};

/// Makes the future of a task. One type for all of them, so that the supervision is compiled once.
type Task = Box<dyn FnMut() -> BoxFuture<'static, ()> + Send>;

/// Each task's name and its number of restarts.
type Tasks = Vec<(String, Arc<AtomicU64>)>;

/// Starts tasks, and restarts them until the stop begins. A supervisor does not delay the stop.
pub struct Supervisor {
    stopping: CancellationToken,
    pace: Pace,
    tasks: Arc<Mutex<Tasks>>,
}

impl Supervisor {
    /// A supervisor whose tasks end when the stop of `shutdown` begins.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self { stopping: shutdown.begun.clone(), pace: PACE, tasks: Arc::default() }
    }

    /// A supervisor whose tasks end with `shutdown`; their restarts are counted in this one.
    pub fn until(&self, shutdown: &Shutdown) -> Self {
        Self { stopping: shutdown.begun.clone(), pace: self.pace, tasks: self.tasks.clone() }
    }

    /// Runs the future that `task` makes, and a new one whenever it ends. The handle resolves when the stop
    /// has begun and the task is gone.
    pub fn start<F>(&self, name: &str, mut task: impl FnMut() -> F + Send + 'static) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let restarts = Arc::new(AtomicU64::new(0));
        let mut tasks = lock(&self.tasks);
        tasks.push((name.to_owned(), restarts.clone()));
        drop(tasks);
        let task = Box::new(move || task().boxed());
        tokio::spawn(supervise(name.to_owned(), task, self.stopping.clone(), self.pace, restarts))
    }

    /// How often each task was restarted.
    pub fn restarts(&self) -> Vec<(String, u64)> {
        let tasks = lock(&self.tasks);
        tasks.iter().map(|(name, restarts)| (name.clone(), restarts.load(Ordering::Relaxed))).collect()
    }
}

async fn supervise(
    name: String,
    mut task: Task,
    stopping: CancellationToken,
    pace: Pace,
    restarts: Arc<AtomicU64>,
) {
    let stop = stopping.cancelled();
    tokio::pin!(stop);
    let mut pause = pace.first;
    loop {
        let began = Instant::now();
        let mut running = tokio::spawn(task());
        let ended = tokio::select! {
            biased;
            () = &mut stop => {
                running.abort();
                let _ = running.await;
                return;
            }
            ended = &mut running => ended,
        };
        if began.elapsed() >= pace.good_run {
            pause = pace.first;
        }
        restarts.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            task = name,
            "a background task has ended and is started again in {} s: {}",
            pause.as_secs_f32(),
            cause(ended)
        );
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = pause.saturating_mul(2).min(pace.longest);
    }
}

fn cause(ended: Result<(), JoinError>) -> String {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(()) => "it returned".to_owned(),
        Err(Ok(payload)) => format!("it panicked: {}", logging::panic_text(&*payload)),
        Err(Err(_)) => "it was cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::super::channel;
    use super::*;

    const QUICK: Pace = Pace {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        good_run: Duration::from_secs(300),
    };

    /// A supervised task that sends the number of each run, then ends with `end`.
    fn counted(supervisor: &Supervisor, end: fn(u64)) -> (UnboundedReceiver<u64>, JoinHandle<()>) {
        let (runs, seen) = unbounded_channel();
        let mut number = 0;
        let task = supervisor.start("counted", move || {
            number += 1;
            let (runs, number) = (runs.clone(), number);
            async move {
                let _ = runs.send(number);
                end(number);
                if number == 4 {
                    std::future::pending::<()>().await;
                }
            }
        });
        (seen, task)
    }

    #[tokio::test]
    async fn security_row_33_a_task_that_panics_is_started_again_and_others_go_on() {
        let (trigger, shutdown) = channel();
        let supervisor = Supervisor { pace: QUICK, ..Supervisor::new(&shutdown) };
        let (ticks, mut ticked) = unbounded_channel();
        let steady = supervisor.start("steady", move || {
            let ticks = ticks.clone();
            async move {
                loop {
                    let _ = ticks.send(());
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let (mut seen, restarted) = counted(&supervisor, |number| assert!(number == 4, "made to panic"));
        for number in 1..=4 {
            assert_eq!(seen.recv().await, Some(number));
            ticked.recv().await.unwrap();
        }
        assert_eq!(supervisor.restarts(), [("steady".to_owned(), 0), ("counted".to_owned(), 3)]);
        drop(shutdown);
        trigger.begin();
        trigger.completed().await;
        steady.await.unwrap();
        restarted.await.unwrap();
        assert_eq!(seen.recv().await, None, "the task is gone");
    }

    #[tokio::test]
    async fn security_row_33_a_task_that_returns_is_started_again() {
        let (trigger, shutdown) = channel();
        let supervisor = Supervisor { pace: QUICK, ..Supervisor::new(&shutdown) };
        let (mut seen, task) = counted(&supervisor, |_| {});
        for number in 1..=4 {
            assert_eq!(seen.recv().await, Some(number));
        }
        trigger.begin();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_pause() {
        let (trigger, shutdown) = channel();
        let supervisor = Supervisor::new(&shutdown);
        let (mut seen, task) = counted(&supervisor, |_| {});
        seen.recv().await.unwrap();
        while supervisor.restarts()[0].1 == 0 {
            tokio::task::yield_now().await;
        }
        trigger.begin();
        task.await.unwrap();
        assert_eq!(seen.recv().await, None, "a second would have brought another run");
    }
}
