//! Where a step's time goes, kernel by kernel: off, and free, until someone lends a clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The two passes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    Forward,
    Backward,
}

/// Seconds by kernel and pass.
pub type Spent = BTreeMap<(&'static str, Pass), f64>;

/// Seconds since some fixed moment.
static CLOCK: OnceLock<fn() -> f64> = OnceLock::new();
static SPENT: Mutex<Spent> = Mutex::new(Spent::new());

/// Begins to measure, for the rest of the process, by a clock that tells seconds since some fixed moment.
pub fn measure_with(clock: fn() -> f64) {
    // Whoever came first has lent one already.
    let _ = CLOCK.set(clock);
}

/// What was spent since the last call.
pub fn take() -> Spent {
    std::mem::take(&mut *SPENT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Does `work`, and adds the time that it takes to what `kernel` has spent.
pub(super) fn timed<T>(kernel: &'static str, pass: Pass, work: impl FnOnce() -> T) -> T {
    let Some(clock) = CLOCK.get() else { return work() };
    let start = clock();
    let result = work();
    let secs = clock() - start;
    *SPENT.lock().unwrap_or_else(PoisonError::into_inner).entry((kernel, pass)).or_default() += secs;
    result
}
