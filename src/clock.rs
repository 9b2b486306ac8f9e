//! The clock: the only place that reads it.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::types::Timestamp;

/// The moment now.
#[expect(clippy::disallowed_methods, reason = "this is the module that owns the clock")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Seconds since some fixed moment of this process.
pub fn monotonic_secs() -> f64 {
    static START: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
    START.elapsed_secs()
}

/// Seconds that this machine was awake since it was started, the same for all its processes. Where the system does not say, those
/// of this process alone.
pub fn secs_awake() -> f64 {
    #[cfg(unix)]
    {
        secs_of(rustix::time::ClockId::Monotonic)
    }
    #[cfg(not(unix))]
    {
        monotonic_secs()
    }
}

/// Seconds since this machine was started, with those that it slept.
pub fn secs_with_sleep() -> f64 {
    #[cfg(target_os = "linux")]
    {
        secs_of(rustix::time::ClockId::Boottime)
    }
    // The monotonic clocks of other systems count sleep.
    #[cfg(not(target_os = "linux"))]
    {
        secs_awake()
    }
}

#[cfg(unix)]
fn secs_of(clock: rustix::time::ClockId) -> f64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures how long something takes, whatever happens to the system's time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "this is the module that owns the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn elapsed_secs(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
