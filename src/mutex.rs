//! Locks of plain values.
//!
//! Every holder of such a lock leaves the value whole at each step. So a panic of one task, which the supervisor restarts,
//! does not take the value from all others: the lock ignores that its mutex is poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a holder of the lock has panicked.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
