//! The state that all parts of one run share: its time, its random numbers, its log, its counts and the faults found.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::faults::Fault;
use crate::knobs::Knobs;

/// When each run begins.
const EPOCH: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

/// One run.
pub(crate) struct World {
    pub(crate) knobs: Knobs,
    /// The fault that is planted in this run.
    pub(crate) fault: Option<Fault>,
    chance: Mutex<Chance>,
    began: Instant,
    log: Mutex<Log>,
    breaches: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The storm has passed: nothing fails any more.
    calm: AtomicBool,
}

/// The events of a run: a hash of all of them, and their lines where they are kept.
struct Log {
    hash: u64,
    line: String,
    kept: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>, keeps_log: bool) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let knobs = Knobs::of(&mut chance);
        Self::with(knobs, chance, fault, keeps_log)
    }

    pub(crate) fn with(knobs: Knobs, chance: Chance, fault: Option<Fault>, keeps_log: bool) -> Arc<Self> {
        Arc::new(Self {
            knobs,
            fault,
            chance: Mutex::new(chance),
            began: Instant::now(),
            log: Mutex::new(Log {
                hash: 0xcbf2_9ce4_8422_2325,
                line: String::new(),
                kept: keeps_log.then(Vec::new),
            }),
            breaches: Mutex::default(),
            counts: Mutex::default(),
            calm: AtomicBool::new(false),
        })
    }

    /// The true time of the run. The clocks of the instances differ from it.
    pub(crate) fn now(&self) -> OffsetDateTime {
        EPOCH + self.began.elapsed()
    }

    /// Draws from the random numbers of the run.
    pub(crate) fn chance<T>(&self, ask: impl FnOnce(&mut Chance) -> T) -> T {
        ask(&mut self.chance.lock().unwrap())
    }

    pub(crate) fn of(&self, range: RangeInclusive<u64>) -> u64 {
        self.chance(|chance| chance.of(range))
    }

    pub(crate) fn millis(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.of(range))
    }

    /// Whether a trouble that comes `often` times in 10,000 comes now; never once the storm has passed.
    pub(crate) fn strikes(&self, often: u64) -> bool {
        self.chance(|chance| chance.hits(often)) && !self.is_calm()
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.log(format_args!("the storm has passed"));
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Adds a line to the log of the run.
    pub(crate) fn log(&self, line: fmt::Arguments<'_>) {
        use fmt::Write as _;
        let at = self.began.elapsed().as_millis();
        let mut log = self.log.lock().unwrap();
        let Log { hash, line: buffer, kept } = &mut *log;
        buffer.clear();
        write!(buffer, "{at:>8} {line}").unwrap();
        // FNV-1a.
        for byte in buffer.bytes() {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(kept) = kept {
            kept.push(buffer.clone());
        }
    }

    /// An invariant does not hold.
    pub(crate) fn breach(&self, what: fmt::Arguments<'_>) {
        self.log(format_args!("BREACH: {what}"));
        self.breaches.lock().unwrap().push(what.to_string());
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// What the run has shown.
    pub(crate) fn report(&self, seed: u64) -> Report {
        let log = self.log.lock().unwrap();
        Report {
            seed,
            hash: log.hash,
            log: log.kept.clone().unwrap_or_default(),
            breaches: self.breaches.lock().unwrap().clone(),
            counts: self.counts.lock().unwrap().clone(),
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) hash: u64,
    pub(crate) log: Vec<String>,
    pub(crate) breaches: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}
