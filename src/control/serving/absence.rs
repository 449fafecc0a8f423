//! The end of a process whose database is gone for too long.

use std::time::Duration;

use tracing::error;

use crate::store::{Absence, Store};

/// A database that is restored, or a disk that is mounted again, is back within this time. Afterwards the process
/// ends, so that a supervisor notices.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
const ABSENCE_POLL: Duration = Duration::from_secs(1);

/// Completes when the database was missing for too long.
pub(super) async fn without_store(store: &dyn Store) {
    let mut told = false;
    loop {
        tokio::time::sleep(ABSENCE_POLL).await;
        let Some(Absence { since, cause, cure }) = store.absence() else {
            told = false;
            continue;
        };
        let limit = LONGEST_ABSENCE.as_secs();
        if since.elapsed() >= LONGEST_ABSENCE {
            error!("{cause}, for {limit} s now, so this process ends; {cure}, and start it again");
            return;
        }
        if !std::mem::replace(&mut told, true) {
            error!("{cause}; {cure}: no login is possible meanwhile, and after {limit} s this process ends");
        }
    }
}
