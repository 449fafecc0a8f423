//! A gate: a request waits at it until the test opens it.
//!
//! With a gate a test makes "slow" exact. The provider stops at the gate, the test learns of it
//! ([`Gate::arrived`]), acts at that moment, and lets the request continue. No clock is involved.

use std::sync::Arc;

use tokio::sync::watch;

/// A gate, closed at first. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<watch::Sender<Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    arrived: u64,
    allowed: u64,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate without arrivals.
    pub fn new() -> Self {
        Self { inner: Arc::new(watch::Sender::new(Counts::default())) }
    }

    /// Waits until `count` requests have arrived in all. Panics after 30 s, because they would never arrive.
    pub async fn arrived(&self, count: u64) {
        let mut seen = self.inner.subscribe();
        let wait = seen.wait_for(|counts| counts.arrived >= count);
        match tokio::time::timeout(crate::PATIENCE, wait).await {
            Ok(_) => {}
            Err(_) => panic!("waited in vain for {count} at the gate; {} came", self.arrivals()),
        }
    }

    /// How many requests have arrived so far.
    pub fn arrivals(&self) -> u64 {
        self.inner.borrow().arrived
    }

    /// Lets through the request that has waited longest, or the next to arrive.
    pub fn release_one(&self) {
        self.inner.send_modify(|counts| counts.allowed += 1);
    }

    /// Opens the gate permanently.
    pub fn open(&self) {
        self.inner.send_modify(|counts| counts.open = true);
    }

    /// Arrives at the gate and waits to be let through.
    pub(crate) async fn pass(&self) {
        let mut seen = self.inner.subscribe();
        let mut ticket = 0;
        self.inner.send_modify(|counts| {
            counts.arrived += 1;
            ticket = counts.arrived;
        });
        // The sender lives in `self`, so the wait cannot fail.
        let _ = seen.wait_for(|counts| counts.open || counts.allowed >= ticket).await;
    }
}
