//! Launchers: how a segment of a run is set going, and how its end is heard of.
//!
//! A launcher knows processes, or the queue of a cluster, and nothing of what they compute: what a run did stands in its
//! folder, where whoever launched it reads its progress and its end. So a sweep is the same whoever launches, and is
//! tested with a launcher that only pretends.

#[cfg(test)]
pub mod fake;
mod local;

use std::path::PathBuf;
use std::time::Duration;

pub use local::LocalProcesses;

use crate::store::{RunDir, StoreError};

/// How segments are executed, some at a time.
pub trait Launcher {
    /// Sets a run going from where it stands, to the step `until` or else to its end.
    ///
    /// # Errors
    /// When no worker can be started.
    fn launch(&mut self, run: &RunDir, until: Option<u64>) -> Result<Handle, LaunchError>;

    /// The workers that have ended since the last call; waits for `patience` where none has.
    fn poll(&mut self, patience: Duration) -> Vec<(Handle, Exit)>;

    /// Asks a worker for a checkpoint and an orderly end.
    fn stop(&mut self, worker: Handle);

    /// Workers at a time.
    fn slots(&self) -> usize;

    /// Threads that each worker computes with.
    fn threads(&self) -> usize;
}

/// A worker, as its launcher numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub u64);

/// How a worker's process ended. What its run came to stands in the run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, in an orderly way or by a fault of its own, which would happen again.
    Ended { how: String },
    /// From outside: the run can be resumed.
    Killed { how: String },
    /// Nobody knows; the run can be resumed.
    Vanished { how: String },
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a worker process ({program}): {source}", program = .program.display())]
    Spawn { program: PathBuf, source: std::io::Error },
}
