//! The series that are not counted: each is set from a [`Snapshot`] when the text is made.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::families::add;
use super::snapshot::Snapshot;
use crate::protocol::Door;

/// Labels: `protocol`, `provider`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProvider {
    protocol: &'static str,
    provider: String,
}

/// Labels: `protocol`, `direction`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirection {
    protocol: &'static str,
    direction: &'static str,
}

/// Labels: `provider`, `state`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGrant {
    provider: String,
    state: &'static str,
}

/// Labels: `version`, `revision`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    version: String,
    revision: String,
}

/// Labels: `listener`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: String,
}

/// Labels: `task`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTask {
    task: String,
}

/// Labels: `protocol`, `account`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAccount {
    protocol: &'static str,
    account: String,
}

/// No label: for a value that is absent until it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unlabelled {}

/// The series that a snapshot sets.
pub(super) struct Shown {
    build: Family<OfBuild, Gauge>,
    sessions: Family<OfProvider, Gauge>,
    account_sessions: Family<OfAccount, Gauge>,
    grants: Family<OfGrant, Gauge>,
    next_grant_end: Family<Unlabelled, Gauge>,
    next_secret_end: Family<Unlabelled, Gauge>,
    moved: Family<OfDirection, Counter>,
    certificates: Family<OfListener, Gauge>,
    store_up: Gauge,
    store_seconds: Gauge<f64, AtomicU64>,
    restarts: Family<OfTask, Counter>,
}

impl Shown {
    /// Registers the series in the order of the output.
    pub(super) fn register(r: &mut Registry) -> Self {
        Self {
            build: add(r, "build_info", "The version and the commit of the program", Family::default()),
            sessions: add(r, "sessions", "Sessions that have logged in", Family::default()),
            account_sessions: add(
                r,
                "account_sessions",
                "Sessions by account, with metrics.per_account",
                Family::default(),
            ),
            grants: add(r, "grants", "Grants by state", Family::default()),
            next_grant_end: add(
                r,
                "next_grant_end_timestamp_seconds",
                "When the next grant ends unless it is used or renewed",
                Family::default(),
            ),
            next_secret_end: add(
                r,
                "next_secret_end_timestamp_seconds",
                "When the next client secret ends",
                Family::default(),
            ),
            moved: add(
                r,
                "relay_bytes",
                "Bytes relayed, up to providers and down to clients",
                Family::default(),
            ),
            certificates: add(
                r,
                "certificate_expiry_timestamp_seconds",
                "When the certificate of a listener ends",
                Family::default(),
            ),
            store_up: add(r, "store_up", "Whether the store answers", Gauge::default()),
            store_seconds: add(
                r,
                "store_latency_seconds",
                "How long the store took to answer just now",
                Gauge::default(),
            ),
            restarts: add(
                r,
                "task_restarts",
                "Background tasks that had to be started again",
                Family::default(),
            ),
        }
    }

    pub(super) fn build(&self, version: &str, revision: &str) {
        let labels = OfBuild { version: version.to_owned(), revision: revision.to_owned() };
        self.build.get_or_create(&labels).set(1);
    }

    /// Sets the series from a snapshot. Gauges that the snapshot no longer has become 0 or are removed; totals never
    /// fall.
    pub(super) fn show(&self, snapshot: &Snapshot) {
        self.show_sessions(snapshot);
        self.show_grants(snapshot);
        for (door, (up, down)) in &snapshot.moved {
            for (direction, bytes) in [("up", up), ("down", down)] {
                let labels = OfDirection { protocol: door.name(), direction };
                self.moved.get_or_create(&labels).inner().fetch_max(*bytes, Ordering::Relaxed);
            }
        }
        self.certificates.clear();
        for (listener, ends) in &snapshot.certificates {
            self.certificates.get_or_create(&OfListener { listener: listener.clone() }).set(*ends);
        }
        self.store_up.set(i64::from(snapshot.store.is_some()));
        if let Some(took) = snapshot.store {
            self.store_seconds.set(took.as_secs_f64());
        }
        for (task, restarts) in &snapshot.restarts {
            let labels = OfTask { task: task.clone() };
            self.restarts.get_or_create(&labels).inner().fetch_max(*restarts, Ordering::Relaxed);
        }
    }

    fn show_sessions(&self, snapshot: &Snapshot) {
        self.sessions.clear();
        for door in Door::ALL {
            for provider in &snapshot.providers {
                let labels = OfProvider { protocol: door.name(), provider: provider.clone() };
                self.sessions.get_or_create(&labels).set(0);
            }
            for direction in ["up", "down"] {
                drop(self.moved.get_or_create(&OfDirection { protocol: door.name(), direction }));
            }
        }
        for ((door, provider), count) in &snapshot.sessions {
            let labels = OfProvider { protocol: door.name(), provider: provider.clone() };
            self.sessions.get_or_create(&labels).set(whole(*count));
        }
        self.account_sessions.clear();
        for account in &snapshot.accounts {
            let labels = OfAccount { protocol: account.door.name(), account: account.account.clone() };
            self.account_sessions.get_or_create(&labels).set(whole(account.sessions));
        }
    }

    fn show_grants(&self, snapshot: &Snapshot) {
        self.grants.clear();
        for provider in &snapshot.providers {
            for state in &snapshot.grant_states {
                self.grants.get_or_create(&OfGrant { provider: provider.clone(), state }).set(0);
            }
        }
        for ((provider, state), count) in &snapshot.grants {
            self.grants.get_or_create(&OfGrant { provider: provider.clone(), state }).set(whole(*count));
        }
        for (gauge, ends) in [
            (&self.next_grant_end, snapshot.next_grant_end),
            (&self.next_secret_end, snapshot.next_secret_end),
        ] {
            gauge.clear();
            if let Some(ends) = ends {
                gauge.get_or_create(&Unlabelled {}).set(ends);
            }
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
