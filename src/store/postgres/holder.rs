//! This process as a holder of leases: its row, and the signs of life in it.
//!
//! A holder whose last sign is older than [`DEAD_AFTER`](crate::store::DEAD_AFTER) counts as dead, by the clock of the database. A process that was
//! suspended so long discards nothing: it writes with the revision that it read, which fails where another process was
//! faster.
//!
//! After an outage of the database every holder looks dead; what a process believes then is in [`Contact`].

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::keys::Keys;
use super::pool::Pool;
use crate::store::{BEAT, Contact, FORGOTTEN_AFTER, StoreError};

/// The row of this process.
pub(super) struct Holder {
    pool: Pool,
    own: Mutex<Option<Own>>,
    /// What this process tells of its keys. A sign of life never waits for it: reading keys may take half a minute.
    pub(super) keys: Arc<Keys>,
}

struct Own {
    name: String,
    contact: Contact,
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

    /// After how many seconds without a sign another holder is dead to this process.
    pub(super) fn dead_after(&self) -> i64 {
        let now = Instant::now();
        self.with(|own| own.as_ref().map_or(FORGOTTEN_AFTER, |own| own.contact.dead_after(now)))
    }

    /// The name of this process, which has just given a sign of life.
    pub(super) async fn own(self: &Arc<Self>) -> Result<String, StoreError> {
        let now = Instant::now();
        if let Some(name) =
            self.with(|own| own.as_ref().filter(|own| own.contact.is_fresh(now)).map(|own| own.name.clone()))
        {
            return Ok(name);
        }
        let name = self.known().unwrap_or_else(crate::secret::random_text::<12>);
        let sent = Instant::now();
        self.beat(&name).await?;
        let weak = Arc::downgrade(self);
        Ok(self.with(|own| match own {
            Some(own) => own.name.clone(),
            None => {
                let beating = tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(BEAT).await;
                        let Some(holder) = weak.upgrade() else { return };
                        let Some(name) = holder.known() else { return };
                        if let Err(error) = holder.beat_and_sweep(&name).await {
                            tracing::debug!("no sign of life was stored: {error}");
                        }
                    }
                });
                let (contact, beating) = (Contact::new(sent, Instant::now()), beating.abort_handle());
                *own = Some(Own { name: name.clone(), contact, beating });
                name
            }
        }))
    }

    /// Writes a sign of life.
    async fn beat(&self, name: &str) -> Result<(), StoreError> {
        let sent = Instant::now();
        let sql = "INSERT INTO holders (name, seen) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (name) DO UPDATE SET seen = excluded.seen";
        sqlx::query(sql).bind(name).execute(&self.pool).await?;
        self.gave_sign(sent);
        self.keys.answer_soon(name);
        Ok(())
    }

    /// The sign of life that was sent at `sent` is in the database.
    pub(super) fn gave_sign(&self, sent: Instant) {
        let now = Instant::now();
        self.with(|own| {
            if let Some(own) = own {
                own.contact.gave_sign(sent, now);
            }
        });
    }

    /// Writes a sign of life, and removes rows of processes that are long dead.
    async fn beat_and_sweep(&self, name: &str) -> Result<(), StoreError> {
        self.beat(name).await?;
        let sql = "DELETE FROM holders WHERE seen < clock_timestamp() - $1 * interval '1 second'";
        sqlx::query(sql).bind(FORGOTTEN_AFTER).execute(&self.pool).await?;
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let own = self.own.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(own) = own else { return };
        own.beating.abort();
        // What this process held is free at once, where it can still say so.
        let (pool, name) = (self.pool.clone(), own.name);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = sqlx::query("DELETE FROM holders WHERE name = $1").bind(name).execute(&pool).await;
            });
        }
    }
}
