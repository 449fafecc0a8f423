//! Whether the database answers.
//!
//! A caller waits for a server that is away until its deadline, and so would each login. So after an error the server is
//! asked once for all: over an idle connection and over a new one at the same time. From a silence or a refusal of both on
//! every call fails at once, until a connection that is tried again and again brings an answer.
//!
//! A connection that works says more than one that cannot be made: a server without a free place, or a slow one, refuses or
//! delays new connections while it answers over those that are open.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _, Error};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connect::is_standby;
use super::pool::Pool;
use crate::store::{Result, StoreError};

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two tries while the database is away.
const PAUSE: Duration = Duration::from_millis(250);

/// The last known state of the server.
pub(super) struct Pulse {
    pool: Pool,
    /// Where it is, without the password.
    shown: String,
    is_away: AtomicBool,
    /// When the server last answered.
    last: Mutex<Option<Instant>>,
}

impl Pulse {
    pub(super) fn new(pool: Pool, shown: String) -> Arc<Self> {
        Arc::new(Self { pool, shown, is_away: AtomicBool::new(false), last: Mutex::default() })
    }

    /// Fails at once while the database is away.
    pub(super) fn is_there(&self) -> Result<()> {
        match self.is_away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(StoreError::Away(format!("{} does not answer", self.shown))),
        }
    }

    /// Called after a call has failed: whether the call may be tried again, because the database answers now. False if
    /// the error was not about the connection.
    pub(super) async fn feel(self: &Arc<Self>, failed: &StoreError) -> bool {
        if !matches!(failed, StoreError::Away(_)) || self.is_there().is_err() {
            return false;
        }
        // One knocks for all logins that failed at once: hundreds of connections would be refused for their number.
        let began = Instant::now();
        let mut last = self.last.lock().await;
        if last.is_some_and(|answered| answered > began || answered.elapsed() < PAUSE) {
            return true;
        }
        if self.is_there().is_err() {
            return false;
        }
        if let Err(error) = self.knock().await {
            // Its connections may be busy, and one of them brought an answer while the knock was refused or waited.
            if !is_no_end(&error) || !self.pool.server().has_answered_within(PATIENCE) {
                self.lose(failed, error);
                return false;
            }
        }
        *last = Some(Instant::now());
        true
    }

    /// From now on the database is away, until a knock succeeds.
    fn lose(self: &Arc<Self>, failed: &StoreError, error: Error) {
        self.is_away.store(true, Ordering::SeqCst);
        let error = StoreError::from(error);
        tracing::error!("{}: {failed}; {error}; only accounts that were seen lately log in", self.shown);
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                let Some(pulse) = weak.upgrade() else { return };
                if pulse.knock().await.is_ok() {
                    pulse.is_away.store(false, Ordering::SeqCst);
                    tracing::info!("the database {} answers again", pulse.shown);
                    return;
                }
            }
        });
    }

    /// Asks whether the server takes writes, over an idle connection and over a new one; the first good answer counts.
    async fn knock(&self) -> Result<(), Error> {
        let knocking = async {
            let mut asking = pin!(self.ask_idle());
            tokio::select! {
                // First, so that no connection is begun in vain where none is idle.
                biased;
                answered = &mut asking => match answered {
                    Ok(()) => Ok(()),
                    Err(_) => self.connect().await,
                },
                knocked = self.connect() => match knocked {
                    Err(error) if is_no_end(&error) => asking.await.map_err(|_| error),
                    knocked => knocked,
                },
            }
        };
        let silence =
            |_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing came in time").into());
        timeout(PATIENCE, knocking).await.unwrap_or_else(silence)
    }

    /// Asks over an idle connection. One that fails, or is silent until the knock is over, is closed.
    async fn ask_idle(&self) -> Result<(), Error> {
        loop {
            let mut idle = self.pool.try_acquire().ok_or(Error::PoolTimedOut)?;
            let answered = Ok(is_standby(idle.ask()?).await);
            if let Ok(is_standby) = idle.judge(answered) {
                return takes_writes(is_standby);
            }
        }
    }

    async fn connect(&self) -> Result<(), Error> {
        let mut connection = self.pool.connect_options().connect().await?;
        let is_standby = is_standby(&mut connection).await?;
        let _ = connection.close().await;
        takes_writes(is_standby)
    }
}

fn takes_writes(is_standby: bool) -> Result<(), Error> {
    match is_standby {
        false => Ok(()),
        true => Err(std::io::Error::other("it is a standby").into()),
    }
}

/// Whether a connection that cannot be made says nothing of those that are open: the server has no place for a new one, or
/// says nothing.
fn is_no_end(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
        Error::Database(error) => error.code().is_some_and(|code| code == "53300"),
        _ => false,
    }
}
