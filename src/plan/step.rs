//! What a step is: the sequences that one update of the weights learns from, and how many updates a run makes.
//!
//! Budgets, estimates, the step loop and the benchmark ask here, so that what is planned is what is computed: under gradient
//! accumulation a step is several batches.

use std::ops::Range;

use super::run_spec::{LengthStage, TrainLength, TrainSpec};

/// Consecutive steps whose batches have one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Counted from 0.
    pub steps: Range<u64>,
    /// Tokens a sequence, specials included.
    pub seq_len: usize,
    /// Sequences a forward pass.
    pub batch_size: usize,
}

impl TrainSpec {
    /// Sequences that one optimizer step learns from, over all its accumulated batches, where they are of the run's own length.
    pub fn sequences_a_step(&self) -> u64 {
        self.batch_size as u64 * self.gradient_accumulation_steps as u64
    }

    /// Positions that one optimizer step has room for: its tokens where every sequence is full, its padding too where they
    /// are not. Budgets and estimates count these.
    pub fn positions_a_step(&self) -> u64 {
        self.sequences_a_step() * self.seq_len as u64
    }

    /// Positions that one forward pass has room for, whatever the length of its sequences.
    pub fn positions_a_pass(&self) -> usize {
        self.batch_size * self.seq_len
    }

    /// The stretches of a run of `steps` steps: the lengths that it begins with, and then its own. A step has room for as many
    /// positions in all of them, in more sequences where they are shorter. A stretch ends at the step that is nearest to its
    /// share, so that a short run may have none of it.
    pub fn stretches(&self, steps: u64) -> Vec<Stretch> {
        let (mut share, mut begin) = (0.0, 0);
        let mut stretches = Vec::new();
        for stage in &self.seq_len_warmup {
            share += stage.share;
            // Halves go up, whatever binary fractions make of the sum of decimal ones.
            let end = ((share * steps as f64 + 1e-6).round() as u64).clamp(begin, steps);
            stretches.push(self.stretch(begin..end, stage.seq_len));
            begin = end;
        }
        stretches.push(self.stretch(begin..steps, self.seq_len));
        stretches
    }

    fn stretch(&self, steps: Range<u64>, seq_len: usize) -> Stretch {
        Stretch { steps, seq_len, batch_size: self.positions_a_pass() / seq_len.max(1) }
    }

    /// A step of every length, with the share of all steps that have it.
    pub(super) fn shares(&self) -> impl Iterator<Item = (Stretch, f64)> + '_ {
        let before: f64 = self.seq_len_warmup.iter().map(|stage| stage.share).sum();
        let own = LengthStage { seq_len: self.seq_len, share: 1.0 - before };
        self.seq_len_warmup.iter().copied().chain([own]).map(|stage| (self.stretch(0..1, stage.seq_len), stage.share))
    }

    /// Steps of a run whose train side has `instances` sequences of its own length: as many as asked, or as the asked epochs
    /// need. The last step of a run of epochs may begin another one. Lengths that a run begins with change nothing of it: what
    /// is compared has as many steps, and as many positions in each.
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
