//! Time in which a worker stood still: it was suspended, or the machine was, or somebody set the clock.
//!
//! A thread looks at the clock every second. Where more (or less) than a second has passed for the clock, the difference is
//! what the moments in the log would count as work and was none.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::clock;

const TICK: Duration = Duration::from_secs(1);

/// A thread may be late by this when the machine has other work.
const LATE_MILLIS: i64 = 5_000;

/// Counts it, from the start on.
#[derive(Debug)]
pub struct Standstill(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    looked_at: AtomicI64,
    millis: AtomicI64,
}

impl Standstill {
    /// Begins to count; the thread ends with the value.
    pub fn start() -> Self {
        let now = clock::now().unix_millis();
        let counted = Arc::new(Counted { looked_at: AtomicI64::new(now), millis: AtomicI64::new(0) });
        let watched = Arc::downgrade(&counted);
        thread::spawn(move || {
            while let Some(counted) = Weak::upgrade(&watched) {
                counted.look(clock::now().unix_millis());
                drop(counted);
                thread::sleep(TICK);
            }
        });
        Self(counted)
    }

    /// Seconds so far; negative where the clock was set back.
    pub fn secs(&self) -> f64 {
        self.0.look(clock::now().unix_millis());
        self.0.millis.load(Ordering::SeqCst) as f64 / 1e3
    }
}

impl Counted {
    fn look(&self, now: i64) {
        let passed = now - self.looked_at.swap(now, Ordering::SeqCst);
        let tick = i64::try_from(TICK.as_millis()).unwrap_or(0);
        if passed < -LATE_MILLIS || passed > tick + LATE_MILLIS {
            self.millis.fetch_add(passed - tick, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_from_a_tick_counts() {
        let counted = Counted { looked_at: AtomicI64::new(0), millis: AtomicI64::new(0) };
        let mut now = 0;
        for (passed, expected) in
            [(1_000, 0), (0, 0), (5_900, 0), (61_000, 60_000), (1_000, 60_000), (-3_600_000, -3_541_000)]
        {
            now += passed;
            counted.look(now);
            assert_eq!(counted.millis.load(Ordering::SeqCst), expected, "after {passed} ms");
        }
    }

    #[test]
    fn nothing_is_counted_while_nothing_stands_still() {
        assert_eq!(Standstill::start().secs(), 0.0);
    }
}
