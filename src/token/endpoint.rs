//! One token endpoint, which many grants share.
//!
//! The number of concurrent requests is limited, so that ten thousand logins after an outage do not reach the
//! endpoint at once. A circuit opens after a few failures in a row that concern no single grant (no
//! connection, 5xx, a web page): no request is sent for a while, then a single one probes the endpoint, and
//! its success closes the circuit. `Retry-After` with 429 or 503 opens the circuit immediately. A wait for the endpoint
//! changes no grant's row.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::pause::after_failures;
use crate::clock::Clock;
use crate::mutex::lock;
use crate::oauth::TokenError;

/// Concurrent requests. A refresh takes a tenth of a second, so over a hundred a second go through.
const AT_ONCE: usize = 16;
/// Failures in a row that open the circuit. Random failures rarely come to so many.
const FAILURES: u32 = 5;
/// The longest `Retry-After` that is applied to all grants. The grant that received it waits the full time.
const LONGEST_COMMON_WAIT: Duration = Duration::from_secs(300);

/// The state of a token endpoint in this process.
pub(super) struct TokenEndpoint {
    /// The provider's display name.
    pub(super) title: String,
    clock: Clock,
    slots: Semaphore,
    circuit: Mutex<Circuit>,
}

#[derive(Default)]
struct Circuit {
    /// Failures in a row.
    failures: u32,
    /// How often the circuit opened since the last success.
    openings: u32,
    /// No request is sent before this time. Set until an answer closes the circuit.
    open_until: Option<Instant>,
    /// A probe is under way: a single request tests the endpoint for all grants.
    probing: bool,
}

/// The right to send one request.
pub(super) struct RequestPermit<'a> {
    endpoint: &'a TokenEndpoint,
    is_probe: bool,
    _slot: SemaphorePermit<'a>,
}

impl TokenEndpoint {
    pub(super) fn new(title: String, clock: Clock) -> Self {
        Self { title, clock, slots: Semaphore::new(AT_ONCE), circuit: Mutex::default() }
    }

    /// Waits for a slot. While the circuit is open, fails immediately with the time to wait.
    pub(super) async fn enter(&self) -> Result<RequestPermit<'_>, Duration> {
        if let Some(wait) = lock(&self.circuit).wait() {
            return Err(wait);
        }
        // The semaphore is never closed.
        let slot = self.slots.acquire().await.map_err(|_| Duration::ZERO)?;
        let mut circuit = lock(&self.circuit);
        if let Some(wait) = circuit.wait() {
            return Err(wait);
        }
        let is_probe = circuit.open_until.is_some();
        circuit.probing |= is_probe;
        Ok(RequestPermit { endpoint: self, is_probe, _slot: slot })
    }
}

impl Circuit {
    /// How long no request may be sent.
    fn wait(&self) -> Option<Duration> {
        let until = self.open_until?;
        let wait = until.saturating_duration_since(Instant::now());
        (self.probing || !wait.is_zero()).then_some(wait)
    }

    fn open(&mut self, wait: Option<Duration>, clock: &Clock) {
        self.openings = self.openings.saturating_add(1);
        let own = after_failures(self.openings, clock).unsigned_abs();
        self.open_until =
            Instant::now().checked_add(wait.unwrap_or_default().min(LONGEST_COMMON_WAIT).max(own));
        self.failures = 0;
    }
}

impl RequestPermit<'_> {
    /// Records the outcome of the request; no error means that it brought a token.
    pub(super) fn report(self, error: Option<&TokenError>) {
        // Nothing was sent, so the endpoint's state is as unknown as before.
        if error.is_some_and(TokenError::is_local) {
            return;
        }
        let mut circuit = lock(&self.endpoint.circuit);
        match error.and_then(trouble_of_all) {
            None => *circuit = Circuit { probing: circuit.probing, ..Circuit::default() },
            Some(wait) => {
                circuit.failures = circuit.failures.saturating_add(1);
                if wait.is_some() || self.is_probe || circuit.failures >= FAILURES {
                    circuit.open(wait, &self.endpoint.clock);
                    tracing::warn!(
                        "no request is sent to the token endpoint of {} for a while",
                        self.endpoint.title
                    );
                }
            }
        }
    }
}

impl Drop for RequestPermit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            lock(&self.endpoint.circuit).probing = false;
        }
    }
}

/// Whether the failure concerns the endpoint and not this grant, and the `Retry-After` that came with it.
fn trouble_of_all(error: &TokenError) -> Option<Option<Duration>> {
    let TokenError::Passing { retry_after, refusal } = error else { return None };
    // An OAuth error is a working endpoint's answer about this grant.
    match (&refusal.error, refusal.status) {
        (Some(_), _) => None,
        (None, Some(429 | 503)) => Some(*retry_after),
        (None, _) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ProviderRefusal;

    fn failed(status: Option<u16>, retry_after: Option<u64>) -> TokenError {
        TokenError::Passing {
            retry_after: retry_after.map(Duration::from_secs),
            refusal: Box::new(ProviderRefusal {
                code: "test".into(),
                error: None,
                description: None,
                meaning: "it failed".into(),
                cure: crate::trouble::Cure::Unknown,
                status,
            }),
        }
    }

    /// Lets `time` pass.
    fn pass(endpoint: &TokenEndpoint, time: Duration) {
        let mut circuit = lock(&endpoint.circuit);
        circuit.open_until = circuit.open_until.map(|until| until - time);
    }

    fn is_nearly(wait: Duration, seconds: u64) -> bool {
        let seconds = Duration::from_secs(seconds);
        wait <= seconds && wait + Duration::from_secs(1) > seconds
    }

    #[tokio::test]
    async fn after_failures_in_a_row_one_asks_for_all() {
        let endpoint = TokenEndpoint::new("Acme".into(), Clock::default());
        for _ in 0..FAILURES {
            endpoint.enter().await.unwrap().report(Some(&failed(None, None)));
        }
        let wait = endpoint.enter().await.err().unwrap();
        assert!(wait <= Duration::from_millis(1500), "{wait:?}");
        pass(&endpoint, wait);
        let probe = endpoint.enter().await.unwrap();
        assert!(endpoint.enter().await.is_err(), "one at a time");
        probe.report(Some(&failed(Some(500), None)));
        let wait = endpoint.enter().await.err().unwrap();
        assert!(wait > Duration::from_millis(1500), "longer each time: {wait:?}");
        pass(&endpoint, wait);
        // A probe that is dropped without a report lets the next request probe.
        drop(endpoint.enter().await.unwrap());
        endpoint.enter().await.unwrap().report(None);
        let all = (endpoint.enter().await.unwrap(), endpoint.enter().await.unwrap());
        drop(all);
    }

    #[tokio::test]
    async fn retry_after_holds_for_all_but_not_for_hours() {
        let endpoint = TokenEndpoint::new("Acme".into(), Clock::default());
        endpoint.enter().await.unwrap().report(Some(&failed(Some(429), Some(30))));
        assert!(is_nearly(endpoint.enter().await.err().unwrap(), 30));
        pass(&endpoint, Duration::from_secs(30));
        endpoint.enter().await.unwrap().report(Some(&failed(Some(503), Some(86_400))));
        assert!(is_nearly(endpoint.enter().await.err().unwrap(), LONGEST_COMMON_WAIT.as_secs()));
    }

    #[tokio::test]
    async fn an_answer_between_failures_starts_the_count_anew() {
        let endpoint = TokenEndpoint::new("Acme".into(), Clock::default());
        for _ in 0..4 * FAILURES {
            endpoint.enter().await.unwrap().report(Some(&failed(Some(500), None)));
            endpoint.enter().await.unwrap().report(None);
        }
    }

    /// An OAuth error closes the circuit, with any HTTP status.
    #[tokio::test]
    async fn what_is_about_one_grant_opens_nothing() {
        let endpoint = TokenEndpoint::new("Acme".into(), Clock::default());
        for error in [about_one_grant("temporarily_unavailable", 503), about_one_grant("slow_down", 429)] {
            for _ in 0..4 * FAILURES {
                endpoint.enter().await.unwrap().report(Some(&error));
            }
            for _ in 1..FAILURES {
                endpoint.enter().await.unwrap().report(Some(&failed(Some(500), None)));
            }
            endpoint.enter().await.unwrap().report(Some(&error));
            endpoint.enter().await.unwrap().report(Some(&failed(Some(500), None)));
        }
        let TokenError::Passing { refusal, .. } = about_one_grant("invalid_grant", 400) else {
            unreachable!()
        };
        for error in [TokenError::NeedsPerson(refusal.clone()), TokenError::NeedsAdministrator(refusal)] {
            for _ in 0..4 * FAILURES {
                endpoint.enter().await.unwrap().report(Some(&error));
            }
        }
    }

    fn about_one_grant(code: &str, status: u16) -> TokenError {
        let TokenError::Passing { mut refusal, .. } = failed(Some(status), None) else { unreachable!() };
        refusal.error = Some(code.into());
        TokenError::Passing { retry_after: Some(Duration::from_secs(60)), refusal }
    }
}
