//! Ctrl-C: the first asks for a checkpoint and an orderly end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that Ctrl-C ended, as shells expect it.
const ENDED_BY_INTERRUPT: i32 = 130;

/// Whether somebody asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A stop that Ctrl-C, SIGTERM or SIGHUP requests; the second time the process ends, and with it the pipes that its
    /// workers live on.
    pub fn on_signals() -> Self {
        let stop = Self::default();
        let flag = Arc::clone(&stop.0);
        let handler = move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(ENDED_BY_INTERRUPT);
            }
        };
        // A second handler in one process (tests) is refused; the first goes on working.
        let _ = ctrlc::set_handler(handler);
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
