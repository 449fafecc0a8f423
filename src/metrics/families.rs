//! The series by name, and the labels that tell them apart.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::snapshot::Snapshot;
use super::words::{Code, Outcome};
use crate::protocol::Door;

/// Seconds: a login with a token at hand takes milliseconds, one that has to wait up to a minute.
const LOGIN_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Seconds: a request is given up after thirty.
const REFRESH_BUCKETS: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds: most logins do not wait at all.
const GATE_BUCKETS: [f64; 7] = [0.001, 0.1, 1.0, 5.0, 15.0, 30.0, 60.0];

/// Labels: `protocol`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfDoor {
    protocol: &'static str,
}

/// Labels: `protocol`, `provider`, `outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfLogin {
    protocol: &'static str,
    provider: String,
    outcome: &'static str,
}

/// Labels: `protocol`, `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfReason {
    protocol: &'static str,
    reason: &'static str,
}

/// Labels: `provider`, `outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRefresh {
    provider: String,
    outcome: &'static str,
}

/// Labels: `protocol`, `provider`, `code`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfCode {
    protocol: &'static str,
    provider: String,
    code: &'static str,
}

/// Labels: `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfResult {
    result: &'static str,
}

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

/// No label: for what is absent until it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unlabelled {}

impl OfDoor {
    pub(super) fn new(door: Door) -> Self {
        Self { protocol: door.name() }
    }
}

impl OfLogin {
    pub(super) fn new(door: Door, provider: &str, outcome: Outcome) -> Self {
        Self { protocol: door.name(), provider: provider.to_owned(), outcome: outcome.word() }
    }
}

impl OfReason {
    pub(super) fn new(door: Door, reason: &'static str) -> Self {
        Self { protocol: door.name(), reason }
    }
}

impl OfRefresh {
    pub(super) fn new(provider: &str, outcome: Outcome) -> Self {
        Self { provider: provider.to_owned(), outcome: outcome.word() }
    }
}

impl OfCode {
    pub(super) fn new(door: Door, provider: &str, code: Code) -> Self {
        Self { protocol: door.name(), provider: provider.to_owned(), code: code.word() }
    }
}

impl OfResult {
    pub(super) fn new(well: bool) -> Self {
        Self { result: if well { "ok" } else { "failed" } }
    }
}

type Histograms = Family<OfDoor, Histogram, fn() -> Histogram>;

/// All series.
pub(super) struct Families {
    pub(super) logins: Family<OfLogin, Counter>,
    pub(super) login_seconds: Histograms,
    pub(super) aborts: Family<OfReason, Counter>,
    pub(super) rejected: Family<OfReason, Counter>,
    pub(super) refreshes: Family<OfRefresh, Counter>,
    pub(super) refresh_seconds: Histogram,
    pub(super) upstream_refusals: Family<OfCode, Counter>,
    pub(super) gate_seconds: Histogram,
    pub(super) gate_rejected: Family<OfDoor, Counter>,
    pub(super) deliveries: Family<OfResult, Counter>,
    pub(super) reloads: Family<OfResult, Counter>,
    pub(super) last_reload: Gauge,
    pub(super) last_reload_well: Gauge,
    build: Family<OfBuild, Gauge>,
    sessions: Family<OfProvider, Gauge>,
    moved: Family<OfDirection, Counter>,
    grants: Family<OfGrant, Gauge>,
    next_grant_end: Family<Unlabelled, Gauge>,
    next_secret_end: Family<Unlabelled, Gauge>,
    certificates: Family<OfListener, Gauge>,
    store_up: Gauge,
    store_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    restarts: Family<OfTask, Counter>,
    account_sessions: Family<OfAccount, Gauge>,
}

impl Families {
    /// In the order in which they are shown.
    pub(super) fn register(r: &mut Registry) -> Self {
        let login_seconds: fn() -> Histogram = || Histogram::new(LOGIN_BUCKETS);
        Self {
            build: add(r, "build_info", "The version and the commit of the program", Family::default()),
            sessions: add(r, "sessions", "Sessions that have logged in", Family::default()),
            account_sessions: add(
                r,
                "account_sessions",
                "Sessions by account, with metrics.per_account",
                Family::default(),
            ),
            logins: add(r, "logins", "Login attempts", Family::default()),
            login_seconds: add(
                r,
                "login_duration_seconds",
                "From a login to its acceptance",
                Family::new_with_constructor(login_seconds),
            ),
            aborts: add(r, "preauth_aborts", "Connections that ended without a login", Family::default()),
            rejected: add(r, "connections_rejected", "Connections that were turned away", Family::default()),
            refreshes: add(r, "token_refreshes", "Requests for an access token", Family::default()),
            refresh_seconds: add(
                r,
                "token_refresh_duration_seconds",
                "How long a token endpoint took to answer",
                Histogram::new(REFRESH_BUCKETS),
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
            upstream_refusals: add(
                r,
                "upstream_refusals",
                "Sign-ins and messages that providers refused",
                Family::default(),
            ),
            gate_seconds: add(
                r,
                "gate_wait_seconds",
                "How long logins waited for a connection of their account to become free",
                Histogram::new(GATE_BUCKETS),
            ),
            gate_rejected: add(
                r,
                "gate_rejected",
                "Logins for which no connection of their account became free",
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
            reloads: add(r, "config_reload", "Configurations read while running", Family::default()),
            last_reload: add(
                r,
                "config_last_reload_success_timestamp_seconds",
                "When the running configuration was taken",
                Gauge::default(),
            ),
            last_reload_well: add(
                r,
                "config_last_reload_successful",
                "Whether the configuration that was read last is in force",
                Gauge::default(),
            ),
            deliveries: add(r, "event_deliveries", "Events told, or given up", Family::default()),
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

    /// Sets what a snapshot holds; what it does not hold any more is 0 or gone.
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

/// Registers a metric, and gives it back: both hold the same numbers.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
