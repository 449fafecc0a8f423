//! One budget of failed logins for all instances on a store.

use tokio::time::Instant;

use super::attempts::Attempts;
use super::origin::Hasher;
use super::password::hash_key;
use super::{Accounts, PasswordError};
use crate::secret::Sealer;
use crate::store::{Owed, Store};

/// The setting with the sealed key that hashes what a failed login is charged to, the same on all instances.
const ATTEMPTS_KEY_SETTING: &str = "failed_logins_hash_key";

/// The charges of failed logins; with a shared store, the other instances get them too.
pub(super) async fn attempts(store: &dyn Store, sealer: &Sealer) -> Result<Attempts, PasswordError> {
    Ok(match store.is_shared() {
        true => {
            let key = hash_key(store, sealer, ATTEMPTS_KEY_SETTING).await?;
            Attempts::shared(Hasher::Shared(key.into(), machine()))
        }
        false => Attempts::default(),
    })
}

/// The name of this machine.
pub fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Accounts {
    /// Writes the charges of failed logins to the store, for the other instances. If the write fails, they are written
    /// later.
    pub async fn tell_failures(&self) {
        let owed = self.attempts.take_untold();
        if owed.is_empty() {
            return;
        }
        if let Err(error) = self.store.tell_owed(&owed).await {
            tracing::debug!("failed logins count on this instance alone for now: {error}");
            self.attempts.tell_later(&owed);
        }
    }

    /// Applies the charges of all instances, as read from the store. Call it after [`Accounts::tell_failures`], and not
    /// at the same time.
    pub fn learn_failures(&self, owed: &[Owed]) {
        self.attempts.learn(owed, Instant::now());
    }
}
