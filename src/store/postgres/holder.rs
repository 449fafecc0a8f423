//! This process as a holder of leases: its row, and the signs of life in it.
//!
//! A holder whose last sign is older than [`DEAD_AFTER`] counts as dead, by the clock of the database. A process that
//! was suspended for longer than that cannot overwrite anything: it writes with the revision that it read, and the
//! write fails if another process has written since.
//!
//! After an outage of the database every holder looks dead, and one of them may keep a rotated token that it could not
//! store. So a process treats another holder as dead only when it has itself reached the database for [`CONTACT`]
//! without a break: by then every living holder has given a sign.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::keys::Keys;
use super::pool::Pool;
use crate::store::StoreError;

/// The pause between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// The pause after one that failed: the others wait for a sign of this process.
const SHORT: Duration = Duration::from_secs(1);
/// A sign that takes longer is given up, because the next one may go over a better connection. A slow database gets its
/// time for two exchanges.
const LONGEST_BEAT: Duration = Duration::from_secs(8);
/// No lease is taken on an older sign than this, which is far below [`DEAD_AFTER`].
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The number of seconds without a sign after which a holder is dead.
pub(super) const DEAD_AFTER: i64 = 30;
/// How long a process must have reached the database before it takes the lease of a silent holder: a living holder
/// gives a sign every [`BEAT`], and may have to make a lost connection again.
const CONTACT: Duration = Duration::from_secs(15);
/// Rows of the dead are removed after this many seconds.
const FORGOTTEN_AFTER: i64 = 86_400;

/// The row of this process.
pub(super) struct Holder {
    pool: Pool,
    own: Mutex<Option<Own>>,
    /// The names of this process's keys, for other processes. A sign of life never waits for them: reading keys may
    /// take half a minute.
    pub(super) keys: Arc<Keys>,
}

struct Own {
    name: String,
    /// When the last sign that reached the database was given.
    beaten: Instant,
    /// When the first sign after the last break was given.
    since: Instant,
    beating: AbortHandle,
}

impl Holder {
    pub(super) fn new(pool: Pool) -> Self {
        Self { keys: Arc::new(Keys::new(pool.clone())), pool, own: Mutex::new(None) }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Option<Own>) -> T) -> T {
        ask(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name of this process, if it has taken a lease.
    pub(super) fn known(&self) -> Option<String> {
        self.with(|own| own.as_ref().map(|own| own.name.clone()))
    }

    /// After how many seconds without a sign this process treats another holder as dead.
    pub(super) fn dead_after(&self) -> i64 {
        let is_believed = self.with(|own| own.as_ref().is_some_and(|own| own.since.elapsed() >= CONTACT));
        if is_believed { DEAD_AFTER } else { FORGOTTEN_AFTER }
    }

    /// The name of this process, which has just given a sign of life.
    pub(super) async fn own(self: &Arc<Self>) -> Result<String, StoreError> {
        if let Some(name) = self.with(|own| {
            own.as_ref().filter(|own| own.beaten.elapsed() < GOOD_FOR).map(|own| own.name.clone())
        }) {
            return Ok(name);
        }
        let name = self.known().unwrap_or_else(crate::secret::random_text::<12>);
        self.beat(&name).await?;
        let weak = Arc::downgrade(self);
        Ok(self.with(|own| match own {
            Some(own) => own.name.clone(),
            None => {
                let beating = tokio::spawn(async move {
                    let mut pause = BEAT;
                    loop {
                        tokio::time::sleep(pause).await;
                        let Some(holder) = weak.upgrade() else { return };
                        let Some(name) = holder.known() else { return };
                        let beaten = timeout(LONGEST_BEAT, holder.beat(&name)).await;
                        pause = if matches!(beaten, Ok(Ok(()))) { BEAT } else { SHORT };
                        if let Ok(Err(error)) = beaten {
                            tracing::debug!("no sign of life was stored: {error}");
                        }
                    }
                });
                let now = Instant::now();
                let beating = beating.abort_handle();
                *own = Some(Own { name: name.clone(), beaten: now, since: now, beating });
                name
            }
        }))
    }

    /// Writes a sign of life, and removes rows of processes that are long dead.
    async fn beat(&self, name: &str) -> Result<(), StoreError> {
        // Read before the statement, so that this time is never later than the one in the database.
        let at = Instant::now();
        let sql = "WITH forgotten AS (DELETE FROM holders \
               WHERE seen < clock_timestamp() - $2 * interval '1 second' AND name <> $1) \
             INSERT INTO holders (name, seen) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (name) DO UPDATE SET seen = excluded.seen";
        sqlx::query(sql).bind(name).bind(FORGOTTEN_AFTER).execute(&self.pool).await?;
        self.with(|own| {
            if let Some(own) = own {
                if at.duration_since(own.beaten) > GOOD_FOR {
                    own.since = at;
                }
                own.beaten = at;
            }
        });
        self.keys.answer_soon(name);
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let own = self.own.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(own) = own else { return };
        own.beating.abort();
        // Frees what this process holds at once, if the database can still be reached.
        let (pool, name) = (self.pool.clone(), own.name);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = sqlx::query("DELETE FROM holders WHERE name = $1").bind(name).execute(&pool).await;
            });
        }
    }
}
