//! What the trainer tells the outside: a small trait, so that it needs to know neither the store nor the clock.

use std::path::Path;

pub use crate::types::Chain;
use crate::types::metrics::Measurement;
use crate::types::{ContentHash, Step};

/// Whatever keeps a recorder from recording; the run fails.
pub type RecordError = Box<dyn std::error::Error + Send + Sync>;

/// Receives what happens in a run, in order.
pub trait Recorder {
    /// The run starts (step 0) or continues after `step`; whatever was recorded beyond it is superseded.
    fn resumed(&mut self, step: Step) -> Result<(), RecordError>;
    /// How many steps the run has in all.
    fn planned_steps(&mut self, steps: u64) -> Result<(), RecordError>;
    /// Something measured once, such as the mask rate.
    fn fact(&mut self, name: &str, value: serde_json::Value) -> Result<(), RecordError>;
    /// Something that a person should know; the run continues.
    fn warning(&mut self, text: &str) -> Result<(), RecordError>;
    /// A step was made; `chain` is the digest chain up to and with it.
    fn step(&mut self, step: Step, chain: ContentHash, metrics: &[Measurement]) -> Result<(), RecordError>;
    /// The model was evaluated after `step`.
    fn evaluation(&mut self, step: Step, metrics: &[Measurement]) -> Result<(), RecordError>;
    /// Whether the records lead to the state after `step` with this digest chain. Only from there may the run resume: else
    /// the steps in between would be in no record.
    fn leads_to(&self, step: Step, chain: &ContentHash) -> bool;
    /// Waits until everything recorded is on the disk, so that no checkpoint is ever ahead of its records.
    fn make_durable(&mut self) -> Result<(), RecordError>;
    /// A checkpoint is on the disk.
    fn checkpoint(&mut self, step: Step, path: &Path, weights: ContentHash) -> Result<(), RecordError>;
    /// Whether the run should write a checkpoint and end.
    fn stop_requested(&self) -> bool;
    /// Seconds since some fixed moment.
    fn elapsed_secs(&self) -> f64;
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Keeps all metrics.
    #[derive(Default)]
    pub struct Kept {
        pub steps: Vec<Vec<Measurement>>,
        pub evaluations: Vec<Vec<Measurement>>,
        pub facts: BTreeMap<String, serde_json::Value>,
        pub planned_steps: u64,
        /// The run is asked to stop once it has made so many steps.
        pub stop_after: Option<usize>,
    }

    impl Recorder for Kept {
        fn resumed(&mut self, _step: Step) -> Result<(), RecordError> {
            Ok(())
        }

        fn planned_steps(&mut self, steps: u64) -> Result<(), RecordError> {
            self.planned_steps = steps;
            Ok(())
        }

        fn fact(&mut self, name: &str, value: serde_json::Value) -> Result<(), RecordError> {
            self.facts.insert(name.to_owned(), value);
            Ok(())
        }

        fn warning(&mut self, _text: &str) -> Result<(), RecordError> {
            Ok(())
        }

        fn step(&mut self, _: Step, _: ContentHash, metrics: &[Measurement]) -> Result<(), RecordError> {
            self.steps.push(metrics.to_vec());
            Ok(())
        }

        fn evaluation(&mut self, _step: Step, metrics: &[Measurement]) -> Result<(), RecordError> {
            self.evaluations.push(metrics.to_vec());
            Ok(())
        }

        fn leads_to(&self, _step: Step, _chain: &ContentHash) -> bool {
            true
        }

        fn make_durable(&mut self) -> Result<(), RecordError> {
            Ok(())
        }

        fn checkpoint(&mut self, _step: Step, _path: &Path, _weights: ContentHash) -> Result<(), RecordError> {
            Ok(())
        }

        fn stop_requested(&self) -> bool {
            self.stop_after == Some(self.steps.len())
        }

        fn elapsed_secs(&self) -> f64 {
            0.0
        }
    }
}
