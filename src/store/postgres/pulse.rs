//! Whether the database answers.
//!
//! A pool waits for a server that is away until its deadline, and so would each login. So after an error one connection is
//! tried without the pool, which fails at once where nothing listens; from then on every call fails at once, until a
//! connection that is tried again and again succeeds.

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

/// The last that is known of the server.
pub(super) struct Pulse {
    options: PgConnectOptions,
    /// Where it is, without the password.
    shown: String,
    is_away: AtomicBool,
    /// When the server answered the last time.
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

    /// Whether the database answers after a call has failed, and may be asked again. False after an error of the call's own.
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

    /// Knocks for all logins that failed at once: hundreds of connections would be refused for their number.
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
