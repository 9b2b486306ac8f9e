//! Work that takes a core for seconds, one piece at a time: who asks for more waits, and of very many who wait the last are sent away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Code, Fault};

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
