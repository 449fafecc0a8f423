//! The tasks beside the connections until the stop, each under the supervisor. After an upgrade only the new
//! process renews tokens and tells people about grants, because this process's configuration is old.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{debug, error};

use super::parts::Kept;
use super::together::Company;
use crate::control::certs;
use crate::events::Teller;
use crate::shutdown::Supervisor;
use crate::store::{Absence, Store, StoreError};
use crate::tls::{Identity, SharedAuthority};

/// The pause between two removals of expired values from the store. A new app password, which the page shows once, may
/// be among them.
const SWEEP: Duration = Duration::from_secs(60);

/// A database that is restored, or a disk that is mounted again, is back within this time. Afterwards the process
/// ends, so that a supervisor notices.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
const ABSENCE_POLL: Duration = Duration::from_secs(1);

/// Values that a reload replaces while tasks use them.
pub(super) struct Replaced {
    pub(super) identity: watch::Receiver<Option<Arc<Identity>>>,
    pub(super) teller: watch::Receiver<Option<Arc<Teller>>>,
    /// The CA of a store that machines share.
    pub(super) shared: Option<Arc<SharedAuthority>>,
}

/// Starts the tasks; at the end the caller calls [`Company::leave`].
pub(super) async fn start(kept: &Arc<Kept>, replaced: &Replaced, supervisor: &Supervisor) -> Company {
    let identity = replaced.identity.clone();
    if identity.borrow().is_some() {
        supervisor.start("certificate renewal", move || renew_certificates(identity.clone()));
    }
    if let Some(shared) = replaced.shared.clone() {
        let (kept, identities) = (kept.clone(), replaced.identity.clone());
        supervisor.start("renewed CA", move || {
            let changes = kept.accounts.changes();
            let (store, sealer) = (kept.store.clone(), kept.sealer.clone());
            certs::follow(store, sealer, shared.clone(), changes, identities.clone())
        });
    }
    let notes = with(kept, |kept| async move { kept.accounts.keep_notes().await });
    supervisor.start("last logins", notes);
    let revocation = with(kept, |kept| async move { kept.accounts.end_revoked(&kept.sealer).await });
    supervisor.start("revocation", revocation);
    supervisor.start("short-lived values", with(kept, sweep));
    let teller = replaced.teller.clone();
    supervisor.start("events", move || tell(teller.clone()));
    Company::start(kept, supervisor).await
}

/// Renews tokens ahead of time while `supervised_doors` are open. A running refresh may finish.
pub(super) fn renew_tokens(kept: &Arc<Kept>, supervised_doors: &Supervisor) {
    let renewal = with(kept, |kept| async move {
        kept.tokens.upkeep(|| kept.accounts.sessions().grants()).await;
    });
    supervised_doors.start("token renewal", renewal);
}

/// Removes expired values from the store until the future is dropped. After a failure the next round tries again.
async fn sweep(kept: Arc<Kept>) {
    loop {
        let swept = async {
            let now = kept.store.clock().await?;
            kept.store.sweep_short_lived(now).await
        };
        let swept: Result<(), StoreError> = swept.await;
        if let Err(error) = swept {
            debug!("what is over in the store is removed later: {error}");
        }
        tokio::time::sleep(SWEEP).await;
    }
}

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

/// Makes a task from a shared value, as often as the supervisor needs one.
pub(super) fn with<T, F>(shared: &Arc<T>, task: fn(Arc<T>) -> F) -> impl FnMut() -> F + use<T, F> {
    let shared = shared.clone();
    move || task(shared.clone())
}

/// Keeps the current certificates fresh, also after a reload.
async fn renew_certificates(mut identities: watch::Receiver<Option<Arc<Identity>>>) {
    loop {
        let identity = identities.borrow_and_update().clone();
        let renewal = async {
            match identity {
                Some(identity) => certs::keep_fresh(identity).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = renewal => {}
            () = replaced(&mut identities) => {}
        }
    }
}

/// Delivers events with the current configuration.
async fn tell(mut tellers: watch::Receiver<Option<Arc<Teller>>>) {
    loop {
        let teller = tellers.borrow_and_update().clone();
        match teller {
            Some(teller) => teller.watch(replaced(&mut tellers)).await,
            None => replaced(&mut tellers).await,
        }
    }
}

/// Completes when another value has replaced this one; never, if the sender is gone.
async fn replaced<T>(values: &mut watch::Receiver<T>) {
    if values.changed().await.is_err() {
        pending::<()>().await;
    }
}
