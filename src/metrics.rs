//! What the process counts, and the text that Prometheus reads.
//!
//! One [`Metrics`] a process; each room that counts something has it, and counting is an addition to a number. What
//! can be looked up (sessions, grants, certificates) is not counted but handed over as a [`Snapshot`] when the text is
//! made. Every series with closed labels is there at 0 from the start, because an alert on `rate()` misses the first
//! event of a series that begins with it. No label holds an address of a person, unless the snapshot has accounts.

mod families;
mod shown;
mod snapshot;
mod words;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::families::{Families, OfCode, OfDoor, OfLogin, OfReason, OfRefresh, OfResult};
use self::shown::Shown;
use crate::protocol::Door;

pub use snapshot::{AccountTraffic, Snapshot};
pub use words::{Abort, Code, Outcome, Rejection};

/// The beginning of each name.
const PREFIX: &str = "imap_oauth_proxy";
/// The provider of a login whose account is not known.
const NO_PROVIDER: &str = "-";
/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a process counts.
pub struct Metrics {
    families: Families,
    shown: Shown,
    /// One text is made at a time: the gauges of a snapshot are set for it.
    registry: Mutex<Registry>,
}

impl Metrics {
    /// Of a program of this `version`, built from that `revision`, which may be unknown.
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

    /// Has the series of these providers begin at 0, beside those that are there already. Called with each new
    /// configuration.
    pub fn know_providers<'a>(&self, providers: impl Iterator<Item = &'a str>) {
        let f = &self.families;
        for provider in providers.chain([NO_PROVIDER]) {
            for outcome in Outcome::ALL {
                drop(f.refreshes.get_or_create(&OfRefresh::new(provider, *outcome)));
            }
            for door in Door::ALL {
                for outcome in Outcome::ALL {
                    drop(f.logins.get_or_create(&OfLogin::new(door, provider, *outcome)));
                }
                for code in Code::ALL {
                    drop(f.upstream_refusals.get_or_create(&OfCode::new(door, provider, *code)));
                }
            }
        }
    }

    fn begin_doors(&self) {
        let f = &self.families;
        for door in Door::ALL {
            drop(f.login_seconds.get_or_create(&OfDoor::new(door)));
            drop(f.gate_rejected.get_or_create(&OfDoor::new(door)));
            for reason in Abort::ALL {
                drop(f.aborts.get_or_create(&OfReason::new(door, reason.word())));
            }
            for reason in Rejection::ALL {
                drop(f.rejected.get_or_create(&OfReason::new(door, reason.word())));
            }
        }
        for result in [true, false] {
            drop(f.deliveries.get_or_create(&OfResult::new(result)));
            drop(f.reloads.get_or_create(&OfResult::new(result)));
        }
    }

    /// A login attempt was answered. How long that `took` is kept of those that succeeded.
    pub fn login(&self, door: Door, provider: Option<&str>, outcome: Outcome, took: Duration) {
        self.families
            .logins
            .get_or_create(&OfLogin::new(door, provider.unwrap_or(NO_PROVIDER), outcome))
            .inc();
        if outcome == Outcome::Ok {
            self.families.login_seconds.get_or_create(&OfDoor::new(door)).observe(took.as_secs_f64());
        }
    }

    /// A connection ended without a login.
    pub fn aborted(&self, door: Door, reason: Abort) {
        self.families.aborts.get_or_create(&OfReason::new(door, reason.word())).inc();
    }

    /// A connection was turned away.
    pub fn rejected(&self, door: Door, reason: Rejection) {
        self.families.rejected.get_or_create(&OfReason::new(door, reason.word())).inc();
    }

    /// A provider's token endpoint was asked.
    pub fn refreshed(&self, provider: &str, outcome: Outcome, took: Duration) {
        self.families.refreshes.get_or_create(&OfRefresh::new(provider, outcome)).inc();
        self.families.refresh_seconds.observe(took.as_secs_f64());
    }

    /// A provider refused a sign-in or a message.
    pub fn upstream_refused(&self, door: Door, provider: &str, code: Code) {
        self.families.upstream_refusals.get_or_create(&OfCode::new(door, provider, code)).inc();
    }

    /// A login waited so long for one of its account's connections, and got it or not.
    pub fn gate(&self, door: Door, waited: Duration, entered: bool) {
        self.families.gate_seconds.observe(waited.as_secs_f64());
        if !entered {
            self.families.gate_rejected.get_or_create(&OfDoor::new(door)).inc();
        }
    }

    /// An event was delivered, or given up.
    pub fn event_delivered(&self, delivered: bool) {
        self.families.deliveries.get_or_create(&OfResult::new(delivered)).inc();
    }

    /// A configuration was taken, or refused; `at` is the second of now since 1970.
    pub fn config_reloaded(&self, taken: bool, at: i64) {
        self.families.reloads.get_or_create(&OfResult::new(taken)).inc();
        self.families.last_reload_well.set(i64::from(taken));
        if taken {
            self.families.last_reload.set(at);
        }
    }

    /// The configuration of the start was taken at that second.
    pub fn config_loaded(&self, at: i64) {
        self.families.last_reload.set(at);
        self.families.last_reload_well.set(1);
    }

    /// Everything, in the text form of OpenMetrics.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.shown.show(snapshot);
        let mut text = String::with_capacity(32 * 1024);
        // Writing into a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests;
