//! This process as a holder of leases: its row, and the signs of life in it.
//!
//! A holder whose last sign is older than [`DEAD_AFTER`](crate::store::DEAD_AFTER) counts as dead, by the clock of the
//! database. A process that was suspended for longer than that cannot overwrite anything: it writes with the revision
//! that it read, and the write fails if another process has written since.
//!
//! After an outage of the database every holder looks dead; [`Contact`] judges what a process believes then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::keys::Keys;
use super::pool::Pool;
use crate::mutex::lock;
use crate::store::{BEAT, Contact, FORGOTTEN_AFTER, Id, LeaseMarks, Result};

/// The pause after a sign of life that failed: the other processes wait for a sign of this one.
const SHORT: Duration = Duration::from_secs(1);
/// A sign that takes longer is given up, because the next one may go over a better connection. A slow database gets its
/// time for two exchanges.
const LONGEST_BEAT: Duration = Duration::from_secs(8);

/// The row of this process.
pub(super) struct Holder {
    pool: Pool,
    own: Mutex<Option<Own>>,
    marks: Mutex<LeaseMarks>,
    /// The names of this process's keys, for other processes. A sign of life never waits for them: reading keys may
    /// take half a minute.
    pub(super) keys: Arc<Keys>,
}

struct Own {
    name: String,
    contact: Contact,
    beating: AbortHandle,
}

impl Holder {
    pub(super) fn new(pool: Pool) -> Self {
        Self { keys: Arc::new(Keys::new(pool.clone())), pool, own: Mutex::new(None), marks: Mutex::default() }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Option<Own>) -> T) -> T {
        ask(&mut lock(&self.own))
    }

    /// The name of this process, if it has taken a lease.
    pub(super) fn known(&self) -> Option<String> {
        self.with(|own| own.as_ref().map(|own| own.name.clone()))
    }

    /// What this process believes at this moment.
    pub(super) fn belief(&self) -> Belief {
        let now = Instant::now();
        self.with(|own| own.as_ref().map(|own| own.contact)).map_or_else(Belief::default, |contact| Belief {
            dead_after: contact.dead_after(now),
            is_in_contact: contact.is_believed(now),
            take_until: contact.take_until(now),
        })
    }

    /// The marks of the leases that this process has asked for.
    pub(super) fn marks<T>(&self, ask: impl FnOnce(&mut LeaseMarks) -> T) -> T {
        ask(&mut lock(&self.marks))
    }

    /// The name of this process, which has just given a sign of life.
    pub(super) async fn own(self: &Arc<Self>) -> Result<String> {
        let now = Instant::now();
        if let Some(name) =
            self.with(|own| own.as_ref().filter(|own| own.contact.is_fresh(now)).map(|own| own.name.clone()))
        {
            return Ok(name);
        }
        let name = self.known().unwrap_or_else(crate::secret::random_text::<12>);
        let sent = Instant::now();
        let seen = self.beat(&name).await?;
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
                        let lived = timeout(LONGEST_BEAT, holder.live(&name)).await;
                        pause = if matches!(lived, Ok(Ok(()))) { BEAT } else { SHORT };
                        if let Ok(Err(error)) = lived {
                            tracing::debug!("no sign of life was stored: {error}");
                        }
                    }
                });
                let (contact, beating) = (Contact::new(sent, seen, Instant::now()), beating.abort_handle());
                *own = Some(Own { name: name.clone(), contact, beating });
                name
            }
        }))
    }

    /// Writes a sign of life; returns when the database took it.
    pub(super) async fn beat(&self, name: &str) -> Result<i64> {
        let sent = Instant::now();
        let sql = "INSERT INTO holders (name, seen) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (name) DO UPDATE SET seen = excluded.seen \
             RETURNING (extract(epoch FROM seen) * 1000000)::bigint";
        let seen = sqlx::query_scalar(sql).bind(name).fetch_one(&self.pool).await?;
        self.gave_sign(sent, seen);
        self.keys.answer_soon(name);
        Ok(seen)
    }

    /// The sign of life that was sent at `sent` is in the database, which took it at `seen`.
    pub(super) fn gave_sign(&self, sent: Instant, seen: i64) {
        let now = Instant::now();
        self.with(|own| {
            if let Some(own) = own {
                own.contact.gave_sign(sent, seen, now);
            }
        });
    }

    /// Releases leases that were taken by statements which this process had given up: all of them at once, because signs of life
    /// wait for it.
    async fn release_unnoticed(&self, name: &str) -> Result<()> {
        let unnoticed = self.marks(|marks| marks.unnoticed(Instant::now()));
        if unnoticed.is_empty() {
            return Ok(());
        }
        let (grants, marks): (Vec<_>, Vec<_>) =
            unnoticed.iter().map(|(grant, mark)| (grant.0.as_str(), *mark)).unzip();
        let sql = "UPDATE grants g SET lease_holder = NULL, lease_until = NULL \
             FROM unnest($1::text[], $2::bigint[]) AS late (id, mark) \
             WHERE g.id = late.id AND g.lease_holder = $3 AND g.lease_taken_at <= late.mark";
        let done = sqlx::query(sql).bind(grants).bind(marks).bind(name).execute(&self.pool).await;
        if done.is_err() {
            let now = Instant::now();
            let again = |(grant, mark): &(Id, i64)| self.marks(|marks| marks.gave_up(grant, *mark, now));
            unnoticed.iter().for_each(again);
        }
        Ok(done.map(drop)?)
    }

    /// Writes a sign of life, releases leases that were taken unnoticed, and removes rows of processes that are long dead.
    async fn live(&self, name: &str) -> Result<()> {
        self.beat(name).await?;
        self.release_unnoticed(name).await?;
        // After a jump of the database's clock the living look dead.
        if self.belief().is_in_contact {
            let sql = "DELETE FROM holders WHERE seen < clock_timestamp() - $1 * interval '1 second'";
            sqlx::query(sql).bind(FORGOTTEN_AFTER).execute(&self.pool).await?;
        }
        Ok(())
    }
}

/// What a process believes of the others, from its contact with the database.
pub(super) struct Belief {
    /// After how many seconds without a sign another holder is dead.
    pub(super) dead_after: i64,
    /// Whether a holder whose lease is over had the chance to take it again.
    pub(super) is_in_contact: bool,
    /// Until when the database may take a lease, by its clock.
    pub(super) take_until: i64,
}

impl Default for Belief {
    fn default() -> Self {
        Self { dead_after: FORGOTTEN_AFTER, is_in_contact: false, take_until: i64::MIN }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let own = lock(&self.own).take();
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
