//! The bounds of comparisons, which take a core for seconds: one at a time, of so many cells; who asks for more waits, and of very many
//! who wait the last are sent away.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Code, Fault};
use crate::analysis::Comparison;

/// Cells that are compared at most.
const MOST_CELLS: usize = 600;

/// Those who wait, at most.
const MOST_WAITING: usize = 16;

/// The one place at which it is worked.
#[derive(Debug, Default)]
pub struct Turns {
    place: Mutex<()>,
    waiting: AtomicUsize,
}

impl Turns {
    /// Waits for a turn, which lasts until it is dropped.
    ///
    /// # Errors
    /// When many wait already.
    pub fn take(&self) -> Result<MutexGuard<'_, ()>, Fault> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Fault::new(
                Code::TemporarilyUnavailable,
                "many comparisons are being drawn: ask again in a while",
            ));
        }
        let turn = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(turn)
    }
}

/// Refuses what is too much to be compared while somebody waits: each cell is held against the others.
///
/// # Errors
/// How many cells there are.
pub fn check_cells(comparison: &Comparison) -> Result<(), String> {
    let cells: BTreeSet<_> = comparison.runs.iter().map(|run| &run.axes).collect();
    match cells.len() {
        ..=MOST_CELLS => Ok(()),
        many => Err(format!(
            "these runs are {many} cells, and a page compares at most {MOST_CELLS}: narrow the query; `ablate compare` takes as many as there are"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_comes_when_many_wait_is_sent_away() {
        let turns = Turns::default();
        let turn = turns.take().unwrap();
        thread::scope(|scope| {
            for _ in 0..MOST_WAITING {
                scope.spawn(|| drop(turns.take().unwrap()));
            }
            while turns.waiting.load(Ordering::Relaxed) < MOST_WAITING {
                thread::yield_now();
            }
            assert_eq!(turns.take().unwrap_err().code, Code::TemporarilyUnavailable);
            drop(turn);
        });
        drop(turns.take().unwrap());
    }
}
