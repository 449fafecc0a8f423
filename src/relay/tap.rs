//! Lets a trace listen to a running session.
//!
//! Without a listener, a read of the relay costs one relaxed load of a flag. A listener must not wait, because it
//! runs within the read.

use std::fmt;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mutex::lock;

/// Called with each piece: whether it goes to the provider, and its bytes.
pub type Ear = Box<dyn FnMut(bool, &[u8]) + Send>;

/// A session's tap, open or closed.
#[derive(Default)]
pub struct Tap {
    is_open: AtomicBool,
    ear: Mutex<Option<Ear>>,
}

impl Tap {
    /// Opens the tap with the listener from `make`, unless it is open.
    pub fn open(&self, make: impl FnOnce() -> Ear) {
        lock(&self.ear).get_or_insert_with(make);
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Removes the listener.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        *lock(&self.ear) = None;
    }

    #[inline]
    pub(super) fn hear(&self, is_up: bool, piece: &[u8]) {
        if self.is_open.load(Ordering::Relaxed) {
            self.hear_it(is_up, piece);
        }
    }

    #[cold]
    fn hear_it(&self, is_up: bool, piece: &[u8]) {
        if let Some(ear) = &mut *lock(&self.ear) {
            ear(is_up, piece);
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}
