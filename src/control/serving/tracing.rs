//! A trace of one account's sessions: for a limited time, recorded in the audit trail, and masked by `connection`.
//!
//! It ends when its time is over, the account is removed, the reader disconnects, or the process ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::tracing::info;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::running::Running;
use crate::account;
use crate::connection::{MOST_TRACES, Trace, TraceLine};
use crate::control::audit::{self, Deed};
use crate::store::{Actor, Store, StoreError};

/// The longest trace; a person who needs more is there to start another.
pub(crate) const LONGEST_TRACE: Duration = Duration::from_secs(60 * 60);
/// How often to check that the account still exists.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) struct Tracing {
    account: String,
    trace: Trace,
    until: Instant,
    store: Arc<dyn Store>,
    looks: Interval,
}

#[derive(Debug)]
pub(crate) enum Traced {
    /// The number of lines that were lost, because the reader was too slow.
    Lost(u64),
    Line(TraceLine),
    /// The time of the trace is over.
    Over,
    AccountGone,
}

/// Why a trace cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTraced {
    #[error("there is no account {0:?}")]
    NoAccount(String),
    #[error("{MOST_TRACES} traces run already; end one of them first")]
    TooMany,
    #[error("a trace lasts from one second to one hour")]
    TooLong,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Running {
    /// Traces the sessions of the account called `name` for this time.
    pub(crate) async fn trace(&self, name: &str, time: Duration, by: Actor) -> Result<Tracing, NotTraced> {
        if time.is_zero() || time > LONGEST_TRACE {
            return Err(NotTraced::TooLong);
        }
        let found = account::find(&*self.kept.store, name).await?;
        let account = found.ok_or_else(|| NotTraced::NoAccount(name.to_owned()))?.record.account;
        let names: Vec<&str> =
            std::iter::once(&account.name).chain(&account.aliases).map(String::as_str).collect();
        let trace = Trace::begin(&self.kept.live, &names).ok_or(NotTraced::TooMany)?;
        let seconds = time.as_secs();
        info!(
            account = account.name,
            "the sessions of this account are traced for {seconds} s, as a person asked"
        );
        let store = &self.kept.store;
        let act = audit::act(Deed::Traced, &[&account.name], Some(&format!("for {seconds} s")), by);
        audit::record(&**store, &act).await;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = Instant::now() + time;
        Ok(Tracing { account: account.name, trace, until, store: store.clone(), looks })
    }
}

impl Tracing {
    /// The next event. [`Traced::Over`] and [`Traced::AccountGone`] are the last.
    pub(crate) async fn next(&mut self) -> Traced {
        let Self { account, trace, until, store, looks } = self;
        match trace.lost() {
            0 => {}
            lost => return Traced::Lost(lost),
        }
        let gone = pin!(async {
            loop {
                looks.tick().await;
                // A failure of the store does not mean that the account was removed.
                if matches!(account::find(&**store, account).await, Ok(None)) {
                    return;
                }
            }
        });
        tokio::select! {
            biased;
            () = sleep_until(*until) => Traced::Over,
            Some(line) = trace.next() => Traced::Line(line),
            () = gone => Traced::AccountGone,
        }
    }
}
