//! Sessions end with what let them in, whichever process took that away.

use std::time::Duration;

use time::{Date, OffsetDateTime};

use super::{Accounts, PasswordError};
use crate::secret::Sealer;

/// A revocation holds for running sessions within five seconds: this, and the farewell.
const REVOCATION_POLL: Duration = Duration::from_secs(1);

/// What the last look saw. A password also ends with its last day, which nothing writes down.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    version: i64,
    today: Date,
}

impl Accounts {
    /// Ends the sessions whose password, account or grant is gone, disabled or over, until it is dropped. `sealer` opens what
    /// it has to know of a database that takes the place of the store's.
    pub async fn end_revoked(&self, sealer: &Sealer) {
        let (mut seen, mut failing) = (None, false);
        loop {
            let today = OffsetDateTime::now_utc().date();
            match self.look_for_revoked(&mut seen, today, sealer).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!("whether sessions were revoked cannot be read: {error}");
                    failing = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(REVOCATION_POLL).await;
        }
    }

    async fn look_for_revoked(
        &self,
        seen: &mut Option<Seen>,
        today: Date,
        sealer: &Sealer,
    ) -> Result<(), PasswordError> {
        // Asked in this order: who enters after this is looked at next time.
        let entered = self.sessions.has_new();
        // Forgotten on failure, so that the next look is a whole one.
        let before = seen.take();
        self.store.reopen().await?;
        self.passwords.follow(&*self.store, sealer).await?;
        let now = Seen { version: self.store.changes().await?, today };
        if before == Some(now) && !entered {
            *seen = before;
            return Ok(());
        }
        let ended = self.sessions.keep_only(&self.store.passwords_in_force(today).await?);
        if ended > 0 {
            tracing::info!("the sessions of {ended} app passwords end: revoked, disabled or over");
        }
        *seen = Some(now);
        Ok(())
    }
}
