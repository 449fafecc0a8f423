//! The series that are counted as things happen, and their labels.

use std::borrow::Cow;

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

/// The labels of a series, each with its value.
pub(super) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

pub(super) fn of_door(door: Door) -> Labels<1> {
    [("protocol", door.name().into())]
}

pub(super) fn of_login(door: Door, provider: &str, outcome: Outcome) -> Labels<3> {
    let provider = provider.to_owned().into();
    [("protocol", door.name().into()), ("provider", provider), ("outcome", outcome.word().into())]
}

pub(super) fn of_reason(door: Door, reason: &'static str) -> Labels<2> {
    [("protocol", door.name().into()), ("reason", reason.into())]
}

pub(super) fn of_refresh(provider: &str, outcome: Outcome) -> Labels<2> {
    [("provider", provider.to_owned().into()), ("outcome", outcome.word().into())]
}

pub(super) fn of_code(door: Door, provider: &str, code: Code) -> Labels<3> {
    let provider = provider.to_owned().into();
    [("protocol", door.name().into()), ("provider", provider), ("code", code.word().into())]
}

pub(super) fn of_result(well: bool) -> Labels<1> {
    [("result", if well { "ok" } else { "failed" }.into())]
}

type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The series that are counted.
pub(super) struct Families {
    pub(super) logins: Family<Labels<3>, Counter>,
    pub(super) login_seconds: Histograms,
    pub(super) aborts: Family<Labels<2>, Counter>,
    pub(super) rejected: Family<Labels<2>, Counter>,
    pub(super) refreshes: Family<Labels<2>, Counter>,
    pub(super) refresh_seconds: Histogram,
    pub(super) upstream_refusals: Family<Labels<3>, Counter>,
    pub(super) gate_seconds: Histogram,
    pub(super) gate_rejected: Family<Labels<1>, Counter>,
    pub(super) deliveries: Family<Labels<1>, Counter>,
    pub(super) reloads: Family<Labels<1>, Counter>,
    pub(super) last_reload: Gauge,
    pub(super) last_reload_well: Gauge,
}

impl Families {
    /// Registers the series in the order of the output.
    pub(super) fn register(r: &mut Registry) -> Self {
        let login_seconds: fn() -> Histogram = || Histogram::new(LOGIN_BUCKETS);
        Self {
            logins: new(r, "logins", "Login attempts"),
            login_seconds: add(
                r,
                "login_duration_seconds",
                "From a login to its acceptance",
                Family::new_with_constructor(login_seconds),
            ),
            aborts: new(r, "preauth_aborts", "Connections that ended without a login"),
            rejected: new(r, "connections_rejected", "Connections that were turned away"),
            refreshes: new(r, "token_refreshes", "Requests for an access token"),
            refresh_seconds: add(
                r,
                "token_refresh_duration_seconds",
                "How long a token endpoint took to answer",
                Histogram::new(REFRESH_BUCKETS),
            ),
            upstream_refusals: new(r, "upstream_refusals", "Sign-ins and messages that providers refused"),
            gate_seconds: add(
                r,
                "gate_wait_seconds",
                "How long logins waited for a connection of their account to become free",
                Histogram::new(GATE_BUCKETS),
            ),
            gate_rejected: new(
                r,
                "gate_rejected",
                "Logins for which no connection of their account became free",
            ),
            reloads: new(r, "config_reload", "Configurations read while running"),
            last_reload: new(
                r,
                "config_last_reload_success_timestamp_seconds",
                "When the current configuration was loaded",
            ),
            last_reload_well: new(
                r,
                "config_last_reload_successful",
                "Whether the configuration that was read last is in force",
            ),
            deliveries: new(r, "event_deliveries", "Events delivered, or given up"),
        }
    }
}

/// Registers a new metric and returns it.
pub(super) fn new<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    add(registry, name, help, M::default())
}

/// Registers a metric and returns it; both handles share the same numbers.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
