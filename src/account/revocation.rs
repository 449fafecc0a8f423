//! Ends sessions when their password, account or grant is revoked, by this process or another.

use std::time::Duration;

use time::{Date, OffsetDateTime};

use super::{Accounts, PasswordError};
use crate::secret::Sealer;

/// A revocation ends running sessions within five seconds: this pause plus the farewell.
const REVOCATION_POLL: Duration = Duration::from_secs(1);
/// The least pause between two looks, where the database notifies this process of each change.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// The state at the last look. The date belongs to it because a password's last day passes without a write.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    version: i64,
    today: Date,
}

impl Accounts {
    /// Ends the sessions whose password, account or grant is removed, disabled or expired, until the future
    /// is dropped. `sealer` opens the hash key of a replaced database.
    pub async fn end_revoked(&self, sealer: &Sealer) {
        let (mut seen, mut failing) = (None, false);
        loop {
            let today = OffsetDateTime::now_utc().date();
            match self.look_for_revoked(&mut seen, today, sealer).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!(
                        "revoked sessions are not ended, because the store cannot be read: {error}"
                    );
                    failing = true;
                }
                Err(_) => {}
            }
            // Changes that come close together cost one look.
            tokio::time::sleep(SHORTEST_PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(REVOCATION_POLL - SHORTEST_PAUSE) => {}
                () = self.store.news() => {}
            }
        }
    }

    async fn look_for_revoked(
        &self,
        seen: &mut Option<Seen>,
        today: Date,
        sealer: &Sealer,
    ) -> Result<(), PasswordError> {
        // Read this flag before the store: a session that enters later is checked at the next look.
        let entered = self.sessions.has_new();
        let looked_at = self.sessions.opened();
        // Taken, so that after a failure the next look checks everything.
        let before = seen.take();
        self.store.reopen().await?;
        self.passwords.follow(&*self.store, sealer).await?;
        let now = Seen { version: self.store.changes().await?, today };
        self.changes.send_if_modified(|version| std::mem::replace(version, now.version) != now.version);
        if before == Some(now) && !entered {
            *seen = before;
            return Ok(());
        }
        // Without sessions nothing needs checking. A later session sets the flag.
        if looked_at.is_empty() {
            *seen = Some(now);
            return Ok(());
        }
        let mut in_force = self.store.passwords_in_force(&looked_at, today).await?;
        in_force.extend(self.devices_in_force().await?);
        let ended = self.sessions.end_others(&looked_at, &in_force);
        if ended > 0 {
            tracing::info!(
                "the sessions of {ended} app passwords or devices end: revoked, disabled or expired"
            );
        }
        *seen = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::macros::date;

    use super::*;
    use crate::account::{Accounts, Grant};
    use crate::store::{AppPassword, Authorization, Granted, Id, Limits, Right, Sqlite, Store, Verifier};

    #[tokio::test]
    async fn sessions_end_with_the_last_day_of_their_password_though_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap());
        let sealer = Sealer::new([(1, zeroize::Zeroizing::new([7; 32]))]).unwrap();
        let accounts = Accounts::open(store.clone(), &sealer).await.unwrap();
        let last = date!(2027 - 02 - 28);
        let (id, now) = (Id::random(), OffsetDateTime::now_utc());
        let password = AppPassword {
            id: Id::random(),
            account: id.clone(),
            name: "default".to_owned(),
            verifier: Verifier::Generated(b"hash".to_vec()),
            limits: Limits { last_day: Some(last), ..Limits::default() },
            created_at: now,
            last_used_at: None,
            last_used_from: None,
        };
        let grant = Grant::new(Id::random(), "acme", "alice", Right::Application, now);
        let authorization = Authorization {
            account: "alice".to_owned(),
            aliases: Vec::new(),
            grant: Granted::New(Box::new(grant)),
            id,
            password: Some(password.clone()),
            disabled: false,
        };
        store.authorize(&authorization, &[]).await.unwrap();

        let session = accounts.sessions.enter(&password.id, None, None);
        let mut seen = None;
        for day in [last, last] {
            accounts.look_for_revoked(&mut seen, day, &sealer).await.unwrap();
        }
        let goes_on = tokio::time::timeout(Duration::from_millis(20), session.revoked()).await;
        assert!(goes_on.is_err(), "the last day is included");
        accounts.look_for_revoked(&mut seen, date!(2027 - 03 - 01), &sealer).await.unwrap();
        session.revoked().await;
    }
}
