//! What the server is lent by who starts it, as it neither trains models nor reads what machines and programs say of themselves:
//! trained models to ask, and how the executions of two runs differ.
//!
//! A model that was asked stays in memory for a short while, for the next question; of several the one that was asked last. One
//! question is answered at a time, so that asking never takes the machine from a sweep that trains beside it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::fault::{Code, Fault};
use crate::clock;
use crate::report::difference::ProvenanceDifference;
use crate::store::StoredRun;
use crate::types::{RunId, Step};

/// Models that are kept in memory, and for how many seconds after the last question.
const MOST_KEPT: usize = 2;
const KEPT_SECS: f64 = 60.0;

/// Questions that wait for the one that is being answered.
const MOST_WAITING: usize = 8;

/// Characters of a text at most.
const LONGEST_TEXT: usize = 10_000;

/// What the program around the server can do.
pub trait Lent: Debug + Send + Sync {
    /// The model that a run trained, from its last checkpoint.
    ///
    /// # Errors
    /// When there is none.
    fn model(&self, run: &StoredRun) -> Result<Box<dyn Model>, Unanswered>;

    /// What differs between the executions of two runs, as `ablate diff` tells it.
    fn provenance_differences(&self, first: &StoredRun, second: &StoredRun) -> Vec<ProvenanceDifference>;
}

/// A trained model.
pub trait Model: Send {
    /// What it expects behind each `[MASK]` of a text, as `ablate fill-mask --json` has it.
    ///
    /// # Errors
    /// When it was trained for something else, or the text cannot be answered.
    fn fill_mask(&self, text: &str, top: usize) -> Result<Value, Unanswered>;

    /// What it says about a text or a pair of texts, as `ablate predict --json` has it.
    ///
    /// # Errors
    /// When it was trained for something else, or for pairs and there is one text.
    fn predict(&self, text: &str, pair: Option<&str>) -> Result<Value, Unanswered>;
}

/// Why there is no answer, in a sentence for people.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// It cannot be asked so.
    Request(String),
    /// It could, but the work failed.
    Work(String),
}

impl From<Unanswered> for Fault {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Request(text) => Self::invalid(text),
            Unanswered::Work(text) => Self::new(Code::InternalError, text),
        }
    }
}

/// What a model is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'q> {
    FillMask { text: &'q str, top: usize },
    Predict { text: &'q str, pair: Option<&'q str> },
}

/// Models that were asked lately.
#[derive(Default)]
pub struct Models {
    lent: Option<Arc<dyn Lent>>,
    kept: Mutex<Vec<Kept>>,
    waiting: AtomicUsize,
}

struct Kept {
    run: RunId,
    step: Step,
    model: Box<dyn Model>,
    asked_secs: f64,
}

impl Models {
    pub fn new(lent: Option<Arc<dyn Lent>>) -> Self {
        Self { lent, ..Self::default() }
    }

    /// Whether there is anything to ask.
    pub fn are_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// What differs between the executions of two runs.
    pub fn provenance_differences(&self, first: &StoredRun, second: &StoredRun) -> Vec<ProvenanceDifference> {
        self.lent.as_ref().map(|lent| lent.provenance_differences(first, second)).unwrap_or_default()
    }

    /// What the model of a run answers.
    pub fn ask(&self, run: &StoredRun, question: Question<'_>) -> Result<Value, Fault> {
        let lent = self.lent.as_ref();
        let lent = lent.ok_or_else(|| Fault::new(Code::NotImplemented, "this server was started without models"))?;
        question.check()?;
        let waiting = Waiting(&self.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) > MOST_WAITING {
            return Err(Fault::new(Code::TemporarilyUnavailable, "many ask at once: ask again in a while"));
        }
        let mut kept = self.locked();
        let step = run.history.last_step();
        let place = kept.iter().position(|known| (&known.run, known.step) == (&run.id, step));
        let mut known = match place {
            Some(place) => kept.remove(place),
            None => {
                kept.truncate(MOST_KEPT - 1); // Room first: a model may be large.
                Kept { run: run.id.clone(), step, model: lent.model(run)?, asked_secs: 0.0 }
            }
        };
        let answer = match question {
            Question::FillMask { text, top } => known.model.fill_mask(text, top),
            Question::Predict { text, pair } => known.model.predict(text, pair),
        };
        known.asked_secs = clock::monotonic_secs();
        kept.insert(0, known);
        Ok(answer?)
    }

    /// Lets go of models that nobody asked for a while.
    pub fn rest(&self) {
        // Whoever has it is asking.
        if let Ok(mut kept) = self.kept.try_lock() {
            kept.retain(|known| clock::monotonic_secs() - known.asked_secs < KEPT_SECS);
        }
    }

    /// A question that panicked took its model out before.
    fn locked(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    fn check(self) -> Result<(), Fault> {
        let (text, pair) = match self {
            Self::FillMask { text, .. } => (text, None),
            Self::Predict { text, pair } => (text, pair),
        };
        let length = text.chars().count() + pair.map_or(0, |pair| pair.chars().count());
        match length {
            _ if text.trim().is_empty() => Err(Fault::invalid("there is no text to ask about")),
            LONGEST_TEXT.. => Err(Fault::invalid(format!("a text has at most {LONGEST_TEXT} characters"))),
            _ => Ok(()),
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'c>(&'c AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
