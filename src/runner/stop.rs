//! Requests to stop: the first asks for a checkpoint and an orderly end, a second Ctrl-C ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a program that Ctrl-C ended, as shells expect it.
pub const ENDED_BY_INTERRUPT: u8 = 130;

/// Whether somebody asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A stop that Ctrl-C, SIGTERM or SIGHUP requests; the second time the process ends, and with it the pipes that its
    /// workers live on.
    pub fn on_signals() -> Self {
        let stop = Self::default();
        for signal in orderly_ends() {
            // In this order: the first signal finds the flag down and raises it, the second finds it up. A signal that
            // this system does not know cannot be sent either.
            let _ = flag::register_conditional_shutdown(signal, i32::from(ENDED_BY_INTERRUPT), Arc::clone(&stop.0));
            let _ = flag::register(signal, Arc::clone(&stop.0));
        }
        stop
    }

    /// A worker's stop: the signals above, and SIGUSR1, by which a cluster's scheduler warns of the end of a job's time.
    pub fn on_signals_of_a_scheduler() -> Self {
        let mut signals = orderly_ends();
        #[cfg(unix)]
        signals.push(signal_hook::consts::SIGUSR1);
        Self::raised_by(&signals)
    }

    fn raised_by(signals: &[i32]) -> Self {
        let stop = Self::default();
        for &signal in signals {
            let _ = flag::register(signal, Arc::clone(&stop.0));
        }
        stop
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Requests a stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn orderly_ends() -> Vec<i32> {
    #[cfg(unix)]
    return vec![SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
    #[cfg(not(unix))]
    return vec![SIGINT, SIGTERM];
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_schedulers_warning_is_a_request() {
        let stop = Stop::raised_by(&[signal_hook::consts::SIGUSR1]);
        assert!(!stop.is_requested());
        signal_hook::low_level::raise(signal_hook::consts::SIGUSR1).unwrap();
        assert!(stop.is_requested());
    }

    #[test]
    fn a_request_is_seen_by_every_copy() {
        let stop = Stop::default();
        let copy = stop.clone();
        stop.request();
        assert!(copy.is_requested());
    }
}
