//! The lock of those who seal, which one process on the database has at a time.
//!
//! It is a transaction's, because a session's would stay with the server's end of a pooler. A process waits for it without
//! a connection: it tries, and gives the connection back, so that those who wait for a rotation on another machine take no
//! place from logins; of one process, only the first in the queue tries. The holder asks something every few seconds, and a
//! transaction that asks nothing for a minute is ended by the server: a machine that lost its power, or its network, keeps
//! no other one from sealing for longer.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Postgres;
use super::pool::Writing;
use crate::store::{Result, SealingLock};

/// The transaction that holds the lock. A statement of it waits for nothing, and a rotation of many grants lasts as long as
/// it gives signs of life.
const BEGIN: &str =
    "BEGIN; SET LOCAL statement_timeout = 10000; SET LOCAL idle_in_transaction_session_timeout = 60000";
const TRY: &str = "SELECT pg_try_advisory_xact_lock($1)";
/// The advisory lock.
const SEALING: i64 = 0x696d_6170_0000_0002;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// After so long a wait, the log says why nothing happens.
const LONG: Duration = Duration::from_secs(5);
/// The pause between two signs of life of the holder.
const BEAT: Duration = Duration::from_secs(10);

/// Where the tasks of one process wait for each other.
pub(super) type Queue = Arc<Mutex<()>>;

/// Keeps others from sealing until it is dropped.
struct Sealing {
    #[allow(dead_code, reason = "the lock ends with the transaction, which the task has")]
    transaction: AbortOnDropHandle<()>,
    #[allow(dead_code, reason = "the next one of this process tries after it")]
    turn: OwnedMutexGuard<()>,
}

impl Postgres {
    pub(super) async fn keep_others_from_sealing(&self) -> Result<SealingLock> {
        let began = Instant::now();
        let mut is_told = false;
        let mut tell = || {
            if began.elapsed() >= LONG && !std::mem::replace(&mut is_told, true) {
                tracing::info!(
                    "waiting for another command or process that seals with the keys of this database"
                );
            }
        };
        let mut queueing = pin!(self.sealing.clone().lock_owned());
        let turn = match timeout(LONG, &mut queueing).await {
            Ok(turn) => turn,
            Err(_) => {
                tell();
                queueing.await
            }
        };
        loop {
            let mut transaction = self.pool()?.begin_with(BEGIN).await?;
            if sqlx::query_scalar(TRY).bind(SEALING).fetch_one(&mut *transaction).await? {
                let transaction = AbortOnDropHandle::new(tokio::spawn(hold(transaction)));
                return Ok(SealingLock::new(Sealing { transaction, turn }));
            }
            drop(transaction);
            tell();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Gives signs of life until it is aborted, which ends the transaction.
async fn hold(mut transaction: Writing) {
    loop {
        tokio::time::sleep(BEAT).await;
        if let Err(error) = (&mut *transaction).execute("SELECT 1").await {
            tracing::warn!("the lock of those who seal was lost: {error}");
            return;
        }
    }
}
