//! One process of an instance, from its start to its crash.
//!
//! Other processes see only the calls of a process to the store, the provider and the mail server. Each of these calls
//! begins and ends with a [`Process::turn`]. In it the run decides how long the step takes, and whether the process is
//! suspended or dies at this point. The tasks of a dead process never run again.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imap_oauth_proxy::clock::GivenClock;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::world::World;

pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    state: Mutex<State>,
    died: Notify,
}

struct State {
    dead: Option<Instant>,
    /// Whether it ended when it had nothing left to do.
    ended: bool,
    paused_until: Instant,
    /// The process does not reach the database before this time.
    cut_until: Instant,
    /// How far its clock is off.
    off: time::Duration,
    tasks: Vec<AbortHandle>,
}

impl Process {
    pub(crate) fn new(world: &Arc<World>, name: String, off: time::Duration) -> Arc<Self> {
        let now = Instant::now();
        let state =
            State { dead: None, ended: false, paused_until: now, cut_until: now, off, tasks: Vec::new() };
        Arc::new(Self { world: world.clone(), name, state: Mutex::new(state), died: Notify::new() })
    }

    fn with<T>(&self, ask: impl FnOnce(&mut State) -> T) -> T {
        ask(&mut self.state.lock().unwrap())
    }

    /// A step of this process: time passes, and the process may be suspended or die.
    pub(crate) async fn turn(&self, at: &'static str) {
        let world = &self.world;
        if world.strikes(world.knobs.crash) {
            self.crash(at);
        }
        if world.strikes(world.knobs.pause) {
            self.pause(world.millis(1..=50_000), at);
        }
        match world.of(0..=3) {
            0 => {}
            1 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(world.millis(0..=world.knobs.delay)).await,
        }
        self.stay().await;
    }

    /// Waits while the process is suspended; for ever if it is dead.
    pub(crate) async fn stay(&self) {
        loop {
            let (dead, until) = self.with(|state| (state.dead.is_some(), state.paused_until));
            if dead {
                return pending().await;
            }
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    pub(crate) fn crash(&self, at: &str) {
        let now = Instant::now();
        let tasks = self.with(|state| {
            if state.dead.is_some() {
                return None;
            }
            state.dead = Some(now);
            Some(std::mem::take(&mut state.tasks))
        });
        let Some(tasks) = tasks else { return };
        self.world.log(format_args!("{} dies at {at}", self.name));
        self.world.count("crashes");
        tasks.iter().for_each(AbortHandle::abort);
        self.died.notify_one();
    }

    /// It ends orderly, with no refresh under way.
    pub(crate) fn end(&self) {
        self.with(|state| state.ended |= state.dead.is_none());
        self.crash("its end");
        self.world.count("orderly ends");
    }

    /// Whether it died in the middle of something.
    pub(crate) fn has_crashed(&self) -> bool {
        self.with(|state| state.dead.is_some() && !state.ended)
    }

    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.with(|state| state.dead.is_some())
    }

    pub(crate) fn pause(&self, time: Duration, at: &str) {
        self.world.log(format_args!("{} is suspended at {at} for {} ms", self.name, time.as_millis()));
        self.world.count("pauses");
        self.with(|state| state.paused_until = state.paused_until.max(Instant::now() + time));
    }

    pub(crate) fn cut_off(&self, time: Duration) {
        self.world.log(format_args!("{} is cut from the database for {} ms", self.name, time.as_millis()));
        self.world.count("cuts");
        self.with(|state| state.cut_until = state.cut_until.max(Instant::now() + time));
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.with(|state| Instant::now() < state.cut_until) && !self.world.is_calm()
    }

    /// Whether the process was suspended or cut from the database after `moment`.
    pub(crate) fn was_away_after(&self, moment: Instant) -> bool {
        self.with(|state| state.paused_until.max(state.cut_until) > moment)
    }

    pub(crate) fn jump(&self, off: time::Duration) {
        self.world.log(format_args!("the clock of {} is {off} off", self.name));
        self.world.count("clock jumps");
        self.with(|state| state.off = off);
    }

    /// The storm has passed.
    pub(crate) fn recover(&self) {
        let now = Instant::now();
        self.with(|state| (state.paused_until, state.cut_until) = (now, now));
    }

    /// Ends `task` with this process.
    pub(crate) fn owns(&self, task: &AbortHandle) {
        let is_over = self.with(|state| {
            state.tasks.retain(|task| !task.is_finished());
            state.tasks.push(task.clone());
            state.dead.is_some()
        });
        if is_over {
            task.abort();
        }
    }
}

impl GivenClock for Process {
    fn now(&self) -> OffsetDateTime {
        self.world.now() + self.with(|state| state.off)
    }

    fn dice(&self) -> f64 {
        self.world.of(0..=999) as f64 / 999.0
    }
}
