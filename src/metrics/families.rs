//! The series that are counted as things happen, and their labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::words::{Code, Outcome};
use crate::protocol::Door;

/// Seconds. A login with a cached token takes milliseconds, a login that has to wait up to a minute.
const LOGIN_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Seconds. A request is given up after thirty.
const REFRESH_BUCKETS: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds. Most logins do not wait.
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

/// The series that are counted.
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
}

impl Families {
    /// Registers the series in the order of the output.
    pub(super) fn register(r: &mut Registry) -> Self {
        let login_seconds: fn() -> Histogram = || Histogram::new(LOGIN_BUCKETS);
        Self {
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
            reloads: add(r, "config_reload", "Configurations read while running", Family::default()),
            last_reload: add(
                r,
                "config_last_reload_success_timestamp_seconds",
                "When the current configuration was loaded",
                Gauge::default(),
            ),
            last_reload_well: add(
                r,
                "config_last_reload_successful",
                "Whether the configuration that was read last is in force",
                Gauge::default(),
            ),
            deliveries: add(r, "event_deliveries", "Events delivered, or given up", Family::default()),
        }
    }
}

/// Registers a metric and returns it; both handles share the same numbers.
pub(super) fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
