//! A gate: whoever comes to it waits until the test opens it.
//!
//! This is how a test makes "slow" exact. The provider stops at the gate, the test learns that it did
//! ([`Gate::arrived`]), does what it wants to do in that very moment, and lets it go on. No clock is involved.

use std::sync::Arc;

use tokio::sync::watch;

/// A gate, shut at first. Clones are the same gate.
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
    /// A shut gate that nobody has come to.
    pub fn new() -> Self {
        Self { inner: Arc::new(watch::Sender::new(Counts::default())) }
    }

    /// Waits until `count` have come to the gate in all. Panics after 30 s, as it would never happen.
    pub async fn arrived(&self, count: u64) {
        let mut seen = self.inner.subscribe();
        let wait = seen.wait_for(|counts| counts.arrived >= count);
        match tokio::time::timeout(crate::PATIENCE, wait).await {
            Ok(_) => {}
            Err(_) => panic!("waited in vain for {count} at the gate; {} came", self.arrivals()),
        }
    }

    /// How many have come so far.
    pub fn arrivals(&self) -> u64 {
        self.inner.borrow().arrived
    }

    /// Lets the next one through; whoever has waited longest first.
    pub fn release_one(&self) {
        self.inner.send_modify(|counts| counts.allowed += 1);
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.inner.send_modify(|counts| counts.open = true);
    }

    /// Comes to the gate and waits to be let through.
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
