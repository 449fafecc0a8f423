//! Whether the database answers.
//!
//! While the server is away, the pool waits until its deadline, and each login would wait with it. So after an error
//! this module tries one connection without the pool, which fails at once where no server listens. From then on every
//! call fails at once, while one task goes on trying until a connection succeeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

use super::connect::is_standby;
use crate::store::StoreError;

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries while the database is away.
const PAUSE: Duration = Duration::from_millis(250);

/// The last known state of the server.
pub(super) struct Pulse {
    options: PgConnectOptions,
    /// The address of the database, without the password.
    shown: String,
    is_away: AtomicBool,
    /// When the server last answered.
    last: Mutex<Option<Instant>>,
}

impl Pulse {
    pub(super) fn new(options: PgConnectOptions, shown: String) -> Arc<Self> {
        Arc::new(Self { options, shown, is_away: AtomicBool::new(false), last: Mutex::default() })
    }

    /// Fails at once while the database is away.
    pub(super) fn is_there(&self) -> Result<(), StoreError> {
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
        let Err(error) = self.knock_once().await else { return true };
        if !self.is_away.swap(true, Ordering::SeqCst) {
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
        false
    }

    /// Makes one trial connection for all logins that failed at the same moment: with hundreds of trial connections the
    /// server would refuse some for their number.
    async fn knock_once(&self) -> Result<(), StoreError> {
        let mut last = self.last.lock().await;
        if last.is_some_and(|answered: Instant| answered.elapsed() < PAUSE) {
            return Ok(());
        }
        self.knock().await?;
        *last = Some(Instant::now());
        Ok(())
    }

    /// Connects, and asks whether the server takes writes.
    async fn knock(&self) -> Result<(), StoreError> {
        let knocking = async {
            let mut connection: PgConnection = self.options.connect().await?;
            let standby = is_standby(&mut connection).await?;
            connection.close().await?;
            match standby {
                false => Ok(()),
                true => Err(StoreError::Away("it is a standby".to_owned())),
            }
        };
        match tokio::time::timeout(PATIENCE, knocking).await {
            Ok(knocked) => knocked,
            Err(_) => Err(StoreError::Away("nothing came in time".to_owned())),
        }
    }
}
