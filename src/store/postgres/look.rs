//! The read of the store that every login makes, and the memory of such reads for times when the database is away.
//!
//! A remembered record is used for `stale_seconds` after it was read, and only if the database does not answer. While
//! the database answers, its answer counts, even if it is that the account is gone. So a revocation holds at once on
//! every instance that reaches the database, and after `stale_seconds` on the others.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Postgres;
use super::connect::CONNECTIONS;
use super::sql::find;
use crate::mutex::lock;
use crate::store::{Folded, LoginRecord, Result, StoreError};

/// The most records that are remembered: some kilobytes each.
const REMEMBERED: usize = 10_000;
/// How long a login waits for the database; a longer wait would leave too little time before the login's deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// The records that were read lately.
pub(super) struct Known {
    stale: Duration,
    records: Mutex<HashMap<String, (Instant, LoginRecord)>>,
}

impl Known {
    pub(super) fn new(stale: Duration) -> Self {
        Self { stale, records: Mutex::default() }
    }

    fn remember(&self, name: &Folded, found: Option<&LoginRecord>, now: Instant) {
        let mut records = lock(&self.records);
        let Some(record) = found.filter(|_| !self.stale.is_zero()) else {
            records.remove(name.as_str());
            return;
        };
        if records.len() >= REMEMBERED && !records.contains_key(name.as_str()) {
            records.retain(|_, (read, _)| now.duration_since(*read) < self.stale);
            if records.len() >= REMEMBERED {
                return;
            }
        }
        records.insert(name.as_str().to_owned(), (now, record.clone()));
    }

    /// Whether any record is young enough to be used.
    pub(super) fn has_any(&self, now: Instant) -> bool {
        let records = lock(&self.records);
        records.values().any(|(read, _)| now.duration_since(*read) < self.stale)
    }

    fn recall(&self, name: &Folded, now: Instant) -> Option<LoginRecord> {
        let records = lock(&self.records);
        let (read, record) = records.get(name.as_str())?;
        (now.duration_since(*read) < self.stale).then(|| record.clone())
    }
}

impl Postgres {
    /// The record for a login.
    pub(super) async fn look(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        // PostgreSQL stores no NUL in a text, so no account has such a name, and asking would be an error.
        if name.as_str().contains('\0') {
            return Ok(None);
        }
        let began = Instant::now();
        let error = match self.read_again(name).await {
            Ok(found) => {
                self.known.remember(name, found.as_ref(), began);
                return Ok(found);
            }
            Err(error) => error,
        };
        // Damage is no outage: an older record in memory might lack a limit that now cannot be read.
        if !matches!(error, StoreError::Away(_)) {
            return Err(error);
        }
        let Some(record) = self.known.recall(name, Instant::now()) else { return Err(error) };
        tracing::debug!("a login counts as last known, because the database is away: {error}");
        Ok(Some(record))
    }

    /// Reads, and reads again on another connection if the first was dead: after a restart of the server all open
    /// connections are.
    async fn read_again(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            let error = match self.read(name).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            tries += 1;
            // A slow server is not asked again, because it goes on working on the first statement.
            let is_late = began.elapsed() >= PATIENCE;
            if !self.pulse.feel(&error).await || is_late || tries > CONNECTIONS {
                return Err(error);
            }
        }
    }

    async fn read(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        let pool = self.pool()?;
        match tokio::time::timeout(PATIENCE, find(&pool, name)).await {
            Ok(found) => found,
            Err(_) => Err(StoreError::Away("nothing came in time".to_owned())),
        }
    }
}
