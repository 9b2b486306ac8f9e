//! What a step is: the sequences that one update of the weights learns from, and how many updates a run makes.
//!
//! Budgets, estimates, the step loop and the benchmark ask here, so that what is planned is what is computed: under gradient
//! accumulation a step is several batches.

use super::run_spec::{TrainLength, TrainSpec};

impl TrainSpec {
    /// Sequences that one optimizer step learns from, over all its accumulated batches.
    pub fn sequences_a_step(&self) -> u64 {
        self.batch_size as u64 * self.gradient_accumulation_steps as u64
    }

    /// Positions that one optimizer step has room for: its tokens where every sequence is full, its padding too where they
    /// are not. Budgets and estimates count these.
    pub fn positions_a_step(&self) -> u64 {
        self.sequences_a_step() * self.seq_len as u64
    }

    /// Steps of a run whose train side has `instances` sequences: as many as asked, or as the asked epochs need. The last
    /// step of a run of epochs may begin another one.
    pub fn steps(&self, instances: u64) -> u64 {
        match self.length {
            TrainLength::Steps(steps) => steps,
            TrainLength::Epochs(epochs) => {
                (epochs * instances as f64 / self.sequences_a_step() as f64).ceil().max(1.0) as u64
            }
        }
    }

    /// Steps of a run, where they do not hang on the length of the corpus.
    pub fn planned_steps(&self) -> Option<u64> {
        match self.length {
            TrainLength::Steps(steps) => Some(steps),
            TrainLength::Epochs(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::tests::spec;

    #[test]
    fn epochs_are_counted_in_sequences_and_round_up() {
        for (epochs, batch, accumulation, instances, steps) in
            [("1.5", 10, 1, 100, 15), ("1.5", 10, 4, 100, 4), ("1.0", 3, 3, 100, 12), ("0.001", 8, 1, 100, 1)]
        {
            let rest = format!(
                "[train]\nepochs = {epochs}\nbatch_size = {batch}\ngradient_accumulation_steps = {accumulation}\n"
            );
            let train = spec(&rest).train().clone();
            assert_eq!(train.steps(instances), steps, "{rest}");
            assert!(
                train.steps(instances) * train.sequences_a_step() >= (epochs.parse::<f64>().unwrap() * 100.0) as u64
            );
            assert_eq!(train.planned_steps(), None);
        }
        assert_eq!(
            (spec("train.steps = 7").train().steps(1), spec("train.steps = 7").train().planned_steps()),
            (7, Some(7))
        );
    }
}
