//! The wall clock and the dice of the parts of the program that a simulation runs.
//!
//! A part that compares dates or spreads pauses at random asks its [`Clock`]; in the program that is the clock of the machine
//! and its random numbers. A test passes a clock of its own, so that a run follows from its seed alone; there each
//! instance has a separate clock, which may be wrong. Waiting uses tokio's time, which a test can pause.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

/// A clock that a test provides.
pub trait GivenClock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> OffsetDateTime;

    /// A random number from 0 to 1.
    fn dice(&self) -> f64;
}

/// The clock that a part of the program goes by.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<dyn GivenClock>>);

impl Clock {
    /// A clock of a test.
    pub fn given(clock: Arc<dyn GivenClock>) -> Self {
        Self(Some(clock))
    }

    /// The wall clock.
    pub fn now(&self) -> OffsetDateTime {
        self.0.as_ref().map_or_else(OffsetDateTime::now_utc, |given| given.now())
    }

    /// A random number from 0 to 1, to spread what would otherwise happen at one moment.
    pub fn dice(&self) -> f64 {
        self.0.as_ref().map_or_else(random, |given| given.dice())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a given clock" } else { "the machine's clock" })
    }
}

fn random() -> f64 {
    let mut bytes = [0; 2];
    // Without random numbers nothing is spread, and nothing else changes.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}
