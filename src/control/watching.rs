//! The metrics of a running proxy: counters, and values that are looked up for each scrape.
//!
//! A scrape must cost next to nothing with any number of accounts and sessions: sessions are summed up in memory,
//! and the store counts the grants in one pass that reads no token, at most once in several seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::{Config, Door};
use crate::connection::Live;
use crate::forecast;
use crate::metrics::{AccountTraffic, Metrics, Snapshot};
use crate::shutdown::Supervisor;
use crate::store::{GrantCount, GrantState, Store};

/// The shortest time between two counts of grants: the resulting ends are days away.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// After this time the store is considered unavailable.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Watcher {
    metrics: Arc<Metrics>,
    live: Arc<Live>,
    store: Arc<dyn Store>,
    supervisor: Arc<Supervisor>,
    counted: Mutex<Option<Counted>>,
}

struct Counted {
    at: Instant,
    grants: Arc<Vec<GrantCount>>,
}

impl Watcher {
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        live: Arc<Live>,
        store: Arc<dyn Store>,
        supervisor: Arc<Supervisor>,
    ) -> Self {
        Self { metrics, live, store, supervisor, counted: Mutex::default() }
    }

    /// The text for Prometheus. `certificates` holds the end of each listener's certificate.
    pub(crate) async fn text(&self, config: &Config, certificates: Vec<(String, i64)>) -> String {
        let began = Instant::now();
        let answered = tokio::time::timeout(STORE_PATIENCE, self.store.changes()).await;
        let store = matches!(answered, Ok(Ok(_))).then(|| began.elapsed());
        let grants = match store {
            Some(_) => self.grants().await,
            None => Arc::default(),
        };
        let now = OffsetDateTime::now_utc();
        let moved = self.live.moved().into_iter();
        let snapshot = Snapshot {
            providers: config.providers.keys().cloned().collect(),
            sessions: self.live.counts(),
            moved: moved.map(|(door, moved)| (door, (moved.up, moved.down))).collect(),
            grants: by_state(&grants),
            grant_states: GrantState::ALL.iter().map(|state| state.name()).collect(),
            next_grant_end: next_grant_end(&grants, config, now),
            next_secret_end: next_secret_end(config),
            certificates,
            store,
            restarts: self.supervisor.restarts(),
            accounts: if config.metrics.per_account { self.accounts() } else { Vec::new() },
        };
        self.metrics.text(&snapshot)
    }

    /// The last count, or a new one if that is old. One caller counts, and the others wait for the result.
    async fn grants(&self) -> Arc<Vec<GrantCount>> {
        let mut counted = self.counted.lock().await;
        if let Some(counted) = counted.as_ref().filter(|counted| counted.at.elapsed() < COUNT_EVERY) {
            return counted.grants.clone();
        }
        match self.store.grant_counts().await {
            Ok(grants) => {
                let grants = Arc::new(grants);
                *counted = Some(Counted { at: Instant::now(), grants: grants.clone() });
                grants
            }
            Err(error) => {
                tracing::warn!("the grants cannot be counted: {error}");
                counted.as_ref().map(|counted| counted.grants.clone()).unwrap_or_default()
            }
        }
    }

    fn accounts(&self) -> Vec<AccountTraffic> {
        let mut sessions: BTreeMap<(String, Door), u64> = BTreeMap::new();
        for session in self.live.list() {
            *sessions.entry((session.account.clone(), session.door)).or_default() += 1;
        }
        let account = |((account, door), sessions)| AccountTraffic { account, door, sessions };
        sessions.into_iter().map(account).collect()
    }
}

fn by_state(grants: &[GrantCount]) -> BTreeMap<(String, &'static str), u64> {
    let mut counts = BTreeMap::new();
    for grant in grants {
        *counts.entry((grant.provider.clone(), grant.state.name())).or_default() += grant.count;
    }
    counts
}

/// The next end of a working grant, unless it is used or renewed. Client secrets have a separate metric.
fn next_grant_end(grants: &[GrantCount], config: &Config, now: OffsetDateTime) -> Option<i64> {
    let working = grants.iter().filter(|grant| !grant.state.needs_person());
    let ends = working.filter_map(|grant| {
        let provider = config.providers.get(&grant.provider)?;
        let ends = forecast::ends(grant, provider, now);
        let certain = ends
            .into_iter()
            .filter(|end| end.cause.is_certain() && end.cause != forecast::EndCause::ClientSecret);
        certain.filter_map(|end| end.at).min()
    });
    ends.min().map(OffsetDateTime::unix_timestamp)
}

fn next_secret_end(config: &Config) -> Option<i64> {
    let usable = config.usable_providers();
    usable.filter_map(|provider| provider.client_secret_expires).min().map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests;
