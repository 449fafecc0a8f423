//! The series that are not counted: each is set from a [`Snapshot`] when the text is made.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::families::{Labels, new};
use super::snapshot::Snapshot;
use crate::protocol::Door;

/// The series that a snapshot sets.
pub(super) struct Shown {
    build: Family<Labels<2>, Gauge>,
    sessions: Family<Labels<2>, Gauge>,
    account_sessions: Family<Labels<2>, Gauge>,
    grants: Family<Labels<2>, Gauge>,
    /// Without a label: absent until it is known.
    next_grant_end: Family<Labels<0>, Gauge>,
    next_secret_end: Family<Labels<0>, Gauge>,
    moved: Family<Labels<2>, Counter>,
    certificates: Family<Labels<1>, Gauge>,
    store_up: Gauge,
    store_seconds: Gauge<f64, AtomicU64>,
    restarts: Family<Labels<1>, Counter>,
}

impl Shown {
    /// Registers the series in the order of the output.
    pub(super) fn register(r: &mut Registry) -> Self {
        Self {
            build: new(r, "build_info", "The version and the commit of the program"),
            sessions: new(r, "sessions", "Sessions that have logged in"),
            account_sessions: new(r, "account_sessions", "Sessions by account, with metrics.per_account"),
            grants: new(r, "grants", "Grants by state"),
            next_grant_end: new(
                r,
                "next_grant_end_timestamp_seconds",
                "When the next grant ends unless it is used or renewed",
            ),
            next_secret_end: new(r, "next_secret_end_timestamp_seconds", "When the next client secret ends"),
            moved: new(r, "relay_bytes", "Bytes relayed, up to providers and down to clients"),
            certificates: new(
                r,
                "certificate_expiry_timestamp_seconds",
                "When the certificate of a listener ends",
            ),
            store_up: new(r, "store_up", "Whether the store answers"),
            store_seconds: new(r, "store_latency_seconds", "How long the store took to answer just now"),
            restarts: new(r, "task_restarts", "Background tasks that had to be started again"),
        }
    }

    pub(super) fn build(&self, version: &str, revision: &str) {
        let labels = [("version", version.to_owned().into()), ("revision", revision.to_owned().into())];
        self.build.get_or_create(&labels).set(1);
    }

    /// Sets the series from a snapshot. Gauges that the snapshot no longer has become 0 or are removed; totals never
    /// fall.
    pub(super) fn show(&self, snapshot: &Snapshot) {
        self.show_sessions(snapshot);
        self.show_grants(snapshot);
        for (door, (up, down)) in &snapshot.moved {
            for (direction, bytes) in [("up", up), ("down", down)] {
                self.moved
                    .get_or_create(&of_direction(*door, direction))
                    .inner()
                    .fetch_max(*bytes, Ordering::Relaxed);
            }
        }
        self.certificates.clear();
        for (listener, ends) in &snapshot.certificates {
            self.certificates.get_or_create(&[("listener", listener.clone().into())]).set(*ends);
        }
        self.store_up.set(i64::from(snapshot.store.is_some()));
        if let Some(took) = snapshot.store {
            self.store_seconds.set(took.as_secs_f64());
        }
        for (task, restarts) in &snapshot.restarts {
            let labels = [("task", task.clone().into())];
            self.restarts.get_or_create(&labels).inner().fetch_max(*restarts, Ordering::Relaxed);
        }
    }

    fn show_sessions(&self, snapshot: &Snapshot) {
        self.sessions.clear();
        for door in Door::ALL {
            for provider in &snapshot.providers {
                self.sessions.get_or_create(&of_provider(door, provider)).set(0);
            }
            for direction in ["up", "down"] {
                drop(self.moved.get_or_create(&of_direction(door, direction)));
            }
        }
        for ((door, provider), count) in &snapshot.sessions {
            self.sessions.get_or_create(&of_provider(*door, provider)).set(whole(*count));
        }
        self.account_sessions.clear();
        for account in &snapshot.accounts {
            let name = account.account.clone().into();
            let labels = [("protocol", account.door.name().into()), ("account", name)];
            self.account_sessions.get_or_create(&labels).set(whole(account.sessions));
        }
    }

    fn show_grants(&self, snapshot: &Snapshot) {
        self.grants.clear();
        for provider in &snapshot.providers {
            for state in &snapshot.grant_states {
                self.grants.get_or_create(&of_grant(provider, state)).set(0);
            }
        }
        for ((provider, state), count) in &snapshot.grants {
            self.grants.get_or_create(&of_grant(provider, state)).set(whole(*count));
        }
        for (gauge, ends) in [
            (&self.next_grant_end, snapshot.next_grant_end),
            (&self.next_secret_end, snapshot.next_secret_end),
        ] {
            gauge.clear();
            if let Some(ends) = ends {
                gauge.get_or_create(&[]).set(ends);
            }
        }
    }
}

fn of_provider(door: Door, provider: &str) -> Labels<2> {
    [("protocol", door.name().into()), ("provider", provider.to_owned().into())]
}

fn of_direction(door: Door, direction: &'static str) -> Labels<2> {
    [("protocol", door.name().into()), ("direction", direction.into())]
}

fn of_grant(provider: &str, state: &'static str) -> Labels<2> {
    [("provider", provider.to_owned().into()), ("state", state.into())]
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
