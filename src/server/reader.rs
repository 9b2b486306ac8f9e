//! What the server knows of the store: the index behind one lock, kept up with what clients log here and with what other
//! programs do in the same folders.
//!
//! A run that this server wrote is read again before the next answer that may speak of it, so that clients see what they
//! logged. What others write is found by looking at the folders now and then, outside of the lock; who asks after a pause
//! waits for one such look.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use crate::clock::{self, Stopwatch};
use crate::store::{Facts, History, Index, LogPlace, RunDir, RunVersion, SeriesBook, Store, StoreError};
use crate::types::RunId;

/// Bytes of answers that are kept ready, at most.
const MOST_KEPT: usize = 64 << 20;

/// Runs whose histories are followed.
const MOST_FOLLOWED: usize = 4;

/// Seconds without a question after which nobody looks at the folders until there is one.
const AWAKE_SECS: f64 = 60.0;

/// Of the time that looking takes, how many times as long the pause is until the next look.
const PAUSES: f64 = 20.0;

/// The index and what is known to be stale in it.
pub struct Reader {
    store: Store,
    index: Mutex<Option<Index>>,
    stale: Mutex<BTreeSet<RunId>>,
    looked: Mutex<Looked>,
    kept: Mutex<Kept>,
    histories: Mutex<Vec<Followed>>,
}

/// The history of a run, as far as its log was read.
struct Followed {
    run: RunId,
    place: LogPlace,
    history: Arc<History>,
}

/// When the folders were looked at, and when somebody asked.
#[derive(Clone, Copy, Debug)]
struct Looked {
    at_secs: f64,
    took_secs: f64,
    asked_secs: f64,
}

/// Answers about single runs, by what the runs were like then.
#[derive(Default)]
struct Kept {
    answers: HashMap<RunId, (RunVersion, Arc<[u8]>)>,
    bytes: usize,
}

impl Reader {
    /// Opens nothing yet: the first question does.
    pub fn new(store: Store) -> Self {
        let looked = Looked { at_secs: f64::NEG_INFINITY, took_secs: 0.0, asked_secs: f64::NEG_INFINITY };
        let (index, stale, kept) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { store, index, stale, looked: Mutex::new(looked), kept, histories: Mutex::default() }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Notes that a run changed.
    pub fn note(&self, run: &RunId) {
        locked(&self.stale).insert(run.clone());
    }

    /// Asks the index, up to date with all that was noted; and with the folders, as of a short while ago.
    pub fn ask<T>(&self, question: impl FnOnce(&mut Index) -> Result<T, StoreError>) -> Result<T, Fault> {
        let now = clock::monotonic_secs();
        let was_asleep = {
            let mut looked = locked(&self.looked);
            let was_asleep = now - looked.asked_secs.max(looked.at_secs) > AWAKE_SECS;
            looked.asked_secs = now;
            was_asleep
        };
        if was_asleep {
            self.look()?;
        }
        let mut index = locked(&self.index);
        let index = self.opened(&mut index)?;
        self.catch_up(index);
        Ok(question(index)?)
    }

    /// What `make` answers about a run, unless the answer is ready.
    pub fn answer_of(
        &self,
        index: &Index,
        run: &RunId,
        version: &RunVersion,
        make: impl FnOnce(Facts) -> Vec<u8>,
    ) -> Result<Option<Arc<[u8]>>, StoreError> {
        if let Some((known, answer)) = locked(&self.kept).answers.get(run)
            && known == version
        {
            return Ok(Some(answer.clone()));
        }
        let Some(facts) = index.facts_of(run, version)? else { return Ok(None) };
        let answer: Arc<[u8]> = make(facts).into();
        let mut kept = locked(&self.kept);
        if kept.bytes + answer.len() > MOST_KEPT {
            *kept = Kept::default();
        }
        kept.bytes += answer.len();
        if let Some((_, old)) = kept.answers.insert(run.clone(), (*version, answer.clone())) {
            kept.bytes -= old.len();
        }
        Ok(Some(answer))
    }

    /// The history of a run. Of one that was asked for a short while ago only what was added is read.
    pub fn history(&self, run: &RunId) -> Result<Arc<History>, Fault> {
        let known = {
            let mut histories = locked(&self.histories);
            histories.iter().position(|known| known.run == *run).map(|at| histories.remove(at))
        };
        let dir = self.store.run(run)?;
        let grown = known.and_then(|known| Self::grown(&dir, known).ok());
        let followed = match grown {
            Some(followed) => followed,
            None => {
                let mut events = dir.events()?;
                let history = Arc::new(History::read(&mut events)?);
                Followed { run: run.clone(), place: events.reached(), history }
            }
        };
        let history = followed.history.clone();
        let mut histories = locked(&self.histories);
        histories.insert(0, followed);
        histories.truncate(MOST_FOLLOWED);
        Ok(history)
    }

    /// The series of a run.
    pub fn series(&self, run: &RunId) -> Result<SeriesBook, Fault> {
        let dir = self.store.run(run)?;
        if dir.is_long()? {
            let (_, _, series) = dir.read_overview()?;
            return Ok(series);
        }
        Ok(SeriesBook::of(&*self.history(run)?))
    }

    fn grown(dir: &RunDir, known: Followed) -> Result<Followed, StoreError> {
        let Followed { run, place, mut history } = known;
        let mut events = dir.events_since(place)?;
        for event in events.by_ref() {
            Arc::make_mut(&mut history).apply(event?);
        }
        Ok(Followed { run, place: events.reached(), history })
    }

    /// Looks at the folders, if it is time to; which runs were changed by others.
    pub fn look_if_due(&self, somebody_listens: bool) -> Result<Vec<RunId>, Fault> {
        let now = clock::monotonic_secs();
        let looked = *locked(&self.looked);
        let is_asleep = now - looked.asked_secs > AWAKE_SECS && !somebody_listens;
        let is_due = now - looked.at_secs > (PAUSES * looked.took_secs).max(1.0);
        if is_asleep {
            // What was kept ready for who asks again is asked for by nobody.
            locked(&self.histories).clear();
            *locked(&self.kept) = Kept::default();
        }
        if is_asleep || !is_due { Ok(Vec::new()) } else { self.look() }
    }

    fn look(&self) -> Result<Vec<RunId>, Fault> {
        let watch = Stopwatch::start();
        let stamps = {
            let mut index = locked(&self.index);
            let is_new = index.is_none();
            let index = self.opened(&mut index)?;
            if is_new {
                return Ok(Vec::new()); // Opening it was the look.
            }
            index.stamps()?
        };
        let changed = stamps.changed(&self.store)?;
        // A few at a time, so that nobody waits long for the index.
        for some in changed.chunks(64) {
            locked(&self.stale).extend(some.iter().cloned());
            let mut index = locked(&self.index);
            self.catch_up(self.opened(&mut index)?);
        }
        let mut looked = locked(&self.looked);
        looked.at_secs = clock::monotonic_secs();
        looked.took_secs = watch.elapsed_secs();
        Ok(changed)
    }

    fn opened<'i>(&self, index: &'i mut MutexGuard<'_, Option<Index>>) -> Result<&'i mut Index, Fault> {
        if index.is_none() {
            **index = Some(Index::open(&self.store)?);
            locked(&self.looked).at_secs = clock::monotonic_secs();
        }
        Ok(index.as_mut().expect("invariant: it was just opened"))
    }

    /// Reads again what was noted. A run that cannot be read stays as it is in the index: `fsck` tells of it.
    fn catch_up(&self, index: &mut Index) {
        let stale: Vec<RunId> = std::mem::take(&mut *locked(&self.stale)).into_iter().collect();
        if index.refresh_all(&stale).is_err() {
            for run in &stale {
                let _ = index.refresh_all(std::slice::from_ref(run));
            }
        }
    }
}

/// What a lock holds. A thread that panicked left it between two whole states: each is replaced at once.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
