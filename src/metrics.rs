//! The counters of the process, and the text that Prometheus reads.
//!
//! There is one [`Metrics`] a process. Each module that counts something holds it; counting is one addition. State that
//! can be looked up (sessions, grants, certificates) is not counted but comes in a [`Snapshot`] when the text is made.
//! Every series with closed labels starts at 0, because an alert on `rate()` misses the event that creates a series. No
//! label holds a person's address, unless the snapshot lists accounts.

mod families;
mod shown;
mod snapshot;
mod words;

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::families::{Families, of_code, of_door, of_login, of_reason, of_refresh, of_result};
use self::shown::Shown;
use crate::mutex::lock;
use crate::protocol::Door;

pub use snapshot::{AccountTraffic, Snapshot};
pub use words::{Abort, Code, Outcome, Rejection};

/// The prefix of each name.
const PREFIX: &str = "imap_oauth_proxy";
/// The provider label of a login with an unknown account.
const NO_PROVIDER: &str = "-";
/// The media type of the text of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The counters of a process.
pub struct Metrics {
    families: Families,
    shown: Shown,
    /// Locked while a text is made, because the snapshot sets gauges in it.
    registry: Mutex<Registry>,
}

impl Metrics {
    /// The metrics of a program of this `version`, built from `revision`, if that is known.
    pub fn new(version: &str, revision: Option<&str>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let families = Families::register(&mut registry);
        let shown = Shown::register(&mut registry);
        shown.build(version, revision.unwrap_or("unknown"));
        let metrics = Self { families, shown, registry: Mutex::new(registry) };
        metrics.begin_doors();
        metrics.know_providers(std::iter::empty());
        metrics
    }

    /// Starts the series of these providers at 0; existing series stay. Called with each new configuration.
    pub fn know_providers<'a>(&self, providers: impl Iterator<Item = &'a str>) {
        let f = &self.families;
        for provider in providers.chain([NO_PROVIDER]) {
            for outcome in Outcome::ALL {
                drop(f.refreshes.get_or_create(&of_refresh(provider, *outcome)));
            }
            for door in Door::ALL {
                for outcome in Outcome::ALL {
                    drop(f.logins.get_or_create(&of_login(door, provider, *outcome)));
                }
                for code in Code::ALL {
                    drop(f.upstream_refusals.get_or_create(&of_code(door, provider, *code)));
                }
            }
        }
    }

    fn begin_doors(&self) {
        let f = &self.families;
        for door in Door::ALL {
            drop(f.login_seconds.get_or_create(&of_door(door)));
            drop(f.gate_rejected.get_or_create(&of_door(door)));
            for reason in Abort::ALL {
                drop(f.aborts.get_or_create(&of_reason(door, reason.word())));
            }
            for reason in Rejection::ALL {
                drop(f.rejected.get_or_create(&of_reason(door, reason.word())));
            }
        }
        for result in [true, false] {
            drop(f.deliveries.get_or_create(&of_result(result)));
            drop(f.reloads.get_or_create(&of_result(result)));
        }
    }

    /// Counts an answered login attempt. `took` is recorded for successful ones.
    pub fn login(&self, door: Door, provider: Option<&str>, outcome: Outcome, took: Duration) {
        self.families.logins.get_or_create(&of_login(door, provider.unwrap_or(NO_PROVIDER), outcome)).inc();
        if outcome == Outcome::Ok {
            self.families.login_seconds.get_or_create(&of_door(door)).observe(took.as_secs_f64());
        }
    }

    /// Counts a connection that ended without a login.
    pub fn aborted(&self, door: Door, reason: Abort) {
        self.families.aborts.get_or_create(&of_reason(door, reason.word())).inc();
    }

    /// Counts a connection that was turned away.
    pub fn rejected(&self, door: Door, reason: Rejection) {
        self.families.rejected.get_or_create(&of_reason(door, reason.word())).inc();
    }

    /// Counts a request to a provider's token endpoint.
    pub fn refreshed(&self, provider: &str, outcome: Outcome, took: Duration) {
        self.families.refreshes.get_or_create(&of_refresh(provider, outcome)).inc();
        self.families.refresh_seconds.observe(took.as_secs_f64());
    }

    /// Counts a sign-in or message that a provider refused.
    pub fn upstream_refused(&self, door: Door, provider: &str, code: Code) {
        self.families.upstream_refusals.get_or_create(&of_code(door, provider, code)).inc();
    }

    /// Records how long a login waited for one of its account's connections, and whether it got one.
    pub fn gate(&self, door: Door, waited: Duration, entered: bool) {
        self.families.gate_seconds.observe(waited.as_secs_f64());
        if !entered {
            self.families.gate_rejected.get_or_create(&of_door(door)).inc();
        }
    }

    /// Counts an event that was delivered or given up.
    pub fn event_delivered(&self, delivered: bool) {
        self.families.deliveries.get_or_create(&of_result(delivered)).inc();
    }

    /// Counts a configuration that was accepted or refused; `at` is the time in seconds since 1970.
    pub fn config_reloaded(&self, taken: bool, at: i64) {
        self.families.reloads.get_or_create(&of_result(taken)).inc();
        self.families.last_reload_well.set(i64::from(taken));
        if taken {
            self.families.last_reload.set(at);
        }
    }

    /// Records when the initial configuration was loaded.
    pub fn config_loaded(&self, at: i64) {
        self.families.last_reload.set(at);
        self.families.last_reload_well.set(1);
    }

    /// All metrics in the OpenMetrics text format.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        let registry = lock(&self.registry);
        self.shown.show(snapshot);
        let mut text = String::with_capacity(32 * 1024);
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests;
