//! What the trainer tells the outside: a small trait, so that it needs to know neither the store nor the clock.

use std::path::Path;

use crate::types::metrics::{self, Measurement};
use crate::types::{ContentHash, ContentHasher, SpecHash, Step};

/// Whatever keeps a recorder from recording; the run cannot go on.
pub type RecordError = Box<dyn std::error::Error + Send + Sync>;

/// Receives what happens in a run, in order.
pub trait Recorder {
    /// The run starts (step 0) or continues after `step`; whatever was recorded beyond it is superseded.
    fn resumed(&mut self, step: Step) -> Result<(), RecordError>;
    /// How many steps the run has in all.
    fn planned_steps(&mut self, steps: u64) -> Result<(), RecordError>;
    /// Something measured once, such as the mask rate.
    fn fact(&mut self, name: &str, value: serde_json::Value) -> Result<(), RecordError>;
    /// Something that a person should know; the run goes on.
    fn warning(&mut self, text: &str) -> Result<(), RecordError>;
    /// A step was made; `chain` is the digest chain up to and with it.
    fn step(&mut self, step: Step, chain: ContentHash, metrics: &[Measurement]) -> Result<(), RecordError>;
    /// The model was evaluated after `step`.
    fn evaluation(&mut self, step: Step, metrics: &[Measurement]) -> Result<(), RecordError>;
    /// A checkpoint is on the disk.
    fn checkpoint(&mut self, step: Step, path: &Path, weights: ContentHash) -> Result<(), RecordError>;
    /// Whether the run should write a checkpoint and end.
    fn stop_requested(&self) -> bool;
    /// Seconds since some fixed moment.
    fn elapsed_secs(&self) -> f64;
}

/// A hash over every deterministic number recorded so far: two runs with equal chains agreed at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(ContentHash);

impl Chain {
    /// The chain before the first step of a specification.
    pub fn start(spec: SpecHash) -> Self {
        Self(spec.0)
    }

    /// The chain as a checkpoint holds it.
    pub fn resume(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash so far.
    pub fn hash(&self) -> ContentHash {
        self.0
    }

    /// Adds what was recorded at `step`: names and bits, the clock's metrics left out.
    pub fn extend(&mut self, step: Step, metrics: &[Measurement]) {
        self.extend_named(step, metrics.iter().map(|(metric, value)| (metric.name(), *value)));
    }

    /// [`extend`](Self::extend) with what a log has, which may be of an older program.
    pub fn extend_named<'n>(&mut self, step: Step, metrics: impl IntoIterator<Item = (&'n str, f64)>) {
        let mut hasher = ContentHasher::new();
        hasher.update(self.0.as_bytes()).update(&step.0.to_le_bytes());
        for (name, value) in metrics.into_iter().filter(|(name, _)| metrics::is_deterministic(name)) {
            hasher.update(name.as_bytes()).update(&[0]).update(&value.to_bits().to_le_bytes());
        }
        self.0 = hasher.finish();
    }
}
