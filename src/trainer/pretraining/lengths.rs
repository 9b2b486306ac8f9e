//! The train batches of a run: of its own length, and of shorter ones in the steps that it begins with (`train.seq_len_warmup`, Li et
//! al. 2022).
//!
//! The batches of a stretch are those that a run of its length has at these steps: the same instances of the same tokens, in the
//! same order, under the same masks. A batch is thus a function of the seed and its number, whatever came before it, and a run may
//! be resumed in any stretch. Of the text that an epoch has gone through at one length, the next one knows nothing: its epochs
//! have an order of their own.

use super::Corpus;
use super::batch::{Batch, Batches};
use super::instance::{InstanceSpec, Instances};
use super::masking::MaskSpec;
use crate::plan::{RunSpec, Stretch};
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::step_loop::TrainError;

/// The train batches of a run, by number.
pub struct TrainBatches<'a, D: ?Sized> {
    /// Those of the run's own length.
    pub full: Batches<'a, D>,
    /// Those before them, by their steps.
    pub short: Vec<(Stretch, Batches<'a, D>)>,
    /// Batches a step.
    parts: u64,
}

impl<'a, D: TokenDocuments + ?Sized> TrainBatches<'a, D> {
    /// The batches of `spec` on the train side of `corpus`.
    ///
    /// # Errors
    /// When a length gives no instance at all.
    pub fn new(spec: &RunSpec, corpus: &Corpus<'a, D>) -> Result<Self, TrainError> {
        let train = spec.train();
        let full = batches(spec, corpus, train.seq_len, train.batch_size)?;
        let mut before = train.stretches(train.steps(full.instances.len() as u64));
        before.truncate(train.seq_len_warmup.len());
        let short = before.into_iter().filter(|stretch| !stretch.steps.is_empty()).map(|stretch| {
            let batches = batches(spec, corpus, stretch.seq_len, stretch.batch_size)?;
            Ok((stretch, batches))
        });
        let short = short.collect::<Result<_, TrainError>>()?;
        Ok(Self { full, short, parts: train.gradient_accumulation_steps as u64 })
    }

    /// Batch number `index` of the run, counted from 0.
    pub fn at(&self, index: u64) -> Batch {
        let step = index / self.parts;
        let short = self.short.iter().find(|(stretch, _)| stretch.steps.contains(&step));
        short.map_or(&self.full, |(_, batches)| batches).at(index)
    }
}

fn batches<'a, D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    corpus: &Corpus<'a, D>,
    seq_len: usize,
    batch_size: usize,
) -> Result<Batches<'a, D>, TrainError> {
    let (objective, seed) = (spec.objective(), spec.train().seed);
    let instance_spec = InstanceSpec {
        nsp: objective.nsp,
        packing: objective.packing,
        negative_prob: objective.nsp_negative_prob,
        negative_documents: objective.nsp_negative_documents,
        short_seq_prob: objective.short_seq_prob,
        seq_len,
        seed,
    };
    let instances = Instances::new(corpus.train, corpus.specials, instance_spec);
    if instances.is_empty() {
        let fix = "pairs need documents of two sentences or more";
        return Err(TrainError::NoInstances { side: "train", seq_len, fix });
    }
    Ok(Batches {
        instances,
        specials: corpus.specials,
        mask: MaskSpec::of(objective),
        masking: objective.masking,
        vocab: spec.tokenizer.vocab_size,
        continues: corpus.continues,
        batch_size,
        seed,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{LengthStage, MlmMean, Nsp, ScheduleKind, TrainLength, Warmup};
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::pretraining::Pretraining;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
    use crate::trainer::recorder::tests::Kept;
    use crate::trainer::step_loop::{Outcome, Stage, train};
    use crate::types::Step;

    const STEPS: u64 = 10;

    /// Four steps at 8 tokens, two at 12, four at 24.
    fn rising(nsp: Nsp, parts: usize) -> RunSpec {
        let mut spec = tiny_spec();
        spec.objective_mut().nsp = nsp;
        // Nothing looks at how long the run is.
        let training = spec.training_mut().unwrap();
        (training.schedule.kind, training.schedule.warmup) = (ScheduleKind::Constant, Warmup::Steps(2));
        let train = &mut training.train;
        (train.length, train.gradient_accumulation_steps) = (TrainLength::Steps(STEPS), parts);
        (train.eval_every, train.checkpoint_every) = (4, 3);
        train.seq_len_warmup = [(8, 0.4), (12, 0.2)].map(|(seq_len, share)| LengthStage { seq_len, share }).to_vec();
        spec
    }

    /// A run of one length, of as many positions a step.
    fn of_length(spec: &RunSpec, seq_len: usize) -> RunSpec {
        let mut plain = spec.clone();
        let train = plain.train_mut();
        (train.batch_size, train.seq_len) = (train.positions_a_pass() / seq_len, seq_len);
        train.seq_len_warmup.clear();
        plain
    }

    fn corpus(documents: &Toy) -> Corpus<'_, Toy> {
        Corpus { train: documents, valid: documents, specials: SPECIALS, continues: &[], characters: &[] }
    }

    fn trained(spec: &RunSpec, documents: &Toy) -> (Outcome, Kept) {
        let stage = Pretraining::new(spec, &corpus(documents)).unwrap();
        let (folder, mut kept) = (tempfile::tempdir().unwrap(), Kept::default());
        (train(spec, &stage, folder.path(), &mut kept).unwrap(), kept)
    }

    /// Each step has the batches that a run of its length has there.
    #[test]
    fn a_stretch_has_the_batches_of_a_run_of_its_length() {
        let documents = Toy::random(40, 3);
        for (nsp, parts) in [(Nsp::Off, 1), (Nsp::Off, 3), (Nsp::Random, 2), (Nsp::Swap, 1)] {
            let spec = rising(nsp, parts);
            let stage = Pretraining::new(&spec, &corpus(&documents)).unwrap();
            for step in 0..STEPS {
                let seq_len = if step < 4 {
                    8
                } else if step < 6 {
                    12
                } else {
                    24
                };
                let plain = of_length(&spec, seq_len);
                let plain = Pretraining::new(&plain, &corpus(&documents)).unwrap();
                for index in step * parts as u64..(step + 1) * parts as u64 {
                    let batch = stage.batch(index);
                    assert_eq!(batch, plain.batch(index), "{nsp:?}, {parts} parts, batch {index}");
                    let sequences = &batch.tokens.sequences;
                    assert_eq!(sequences.len() * seq_len, spec.train().positions_a_pass());
                    assert!(sequences.longest() <= seq_len);
                }
            }
        }
    }

    /// The first stretch is, step for step and bit for bit, the beginning of a run of its length; evaluations are of the last one's.
    #[test]
    fn the_first_steps_are_those_of_a_short_run() {
        let documents = Toy::random(40, 3);
        for (nsp, parts, mean) in
            [(Nsp::Off, 1, MlmMean::Masked), (Nsp::Off, 2, MlmMean::Positions), (Nsp::Random, 1, MlmMean::Masked)]
        {
            let mut spec = rising(nsp, parts);
            spec.objective_mut().mlm_mean = mean;
            let (_, kept) = trained(&spec, &documents);
            let (_, short) = trained(&of_length(&spec, 8), &documents);
            let (_, full) = trained(&of_length(&spec, 24), &documents);
            assert_eq!(kept.steps[..4], short.steps[..4], "{nsp:?}");
            assert_ne!(kept.steps[4], short.steps[4]);
            let masked = crate::types::metrics::VALID_MASKED_TOKENS;
            assert_eq!(kept.facts[masked], full.facts[masked]);
            assert_ne!(kept.facts[masked], short.facts[masked]);
            let stages = kept.facts["seq_len_warmup"].as_array().unwrap();
            let told = |name: &str| stages.iter().map(|stage| stage[name].as_u64().unwrap()).collect::<Vec<_>>();
            assert_eq!((told("seq_len"), told("steps"), told("batch_size")), (vec![8, 12], vec![4, 2], vec![9, 6]));
            assert!(!full.facts.contains_key("seq_len_warmup"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Interrupted after any step, of whatever length, a run comes out the same.
        #[test]
        fn a_run_is_resumed_in_any_stretch(stop_after in 1..STEPS, is_paired: bool, parts in 1usize..3) {
            let documents = Toy::random(40, 3);
            let spec = rising(if is_paired { Nsp::Random } else { Nsp::Off }, parts);
            let (outcome, whole) = trained(&spec, &documents);
            let stage = Pretraining::new(&spec, &corpus(&documents)).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let mut first = Kept { stop_after: Some(stop_after as usize), ..Kept::default() };
            let stopped = train(&spec, &stage, folder.path(), &mut first).unwrap();
            prop_assert_eq!(stopped, Outcome::Interrupted { step: Step(stop_after) });
            let mut second = Kept::default();
            prop_assert_eq!(train(&spec, &stage, folder.path(), &mut second).unwrap(), outcome);
            prop_assert_eq!([first.steps, second.steps].concat(), whole.steps);
        }
    }

    /// A run of epochs has as many steps as one without shorter lengths, and its stretches are shares of them.
    #[test]
    fn epochs_are_counted_at_the_last_length() {
        let documents = Toy::random(40, 3);
        let mut spec = rising(Nsp::Off, 1);
        spec.train_mut().length = TrainLength::Epochs(1.5);
        let (outcome, kept) = trained(&spec, &documents);
        let (plain, _) = trained(&of_length(&spec, 24), &documents);
        let steps = |outcome: &Outcome| match outcome {
            Outcome::Finished { steps, .. } => steps.0,
            Outcome::Interrupted { .. } => panic!("nobody asked it to stop"),
        };
        assert_eq!(steps(&outcome), steps(&plain));
        let stages = kept.facts["seq_len_warmup"].as_array().unwrap();
        let made = stages.iter().map(|stage| stage["steps"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(made, (0.6 * steps(&outcome) as f64).round() as u64);
    }

    /// So short a run has no step of a length: nothing is built for it.
    #[test]
    fn a_length_without_a_step_is_left_out() {
        let documents = Toy::random(40, 3);
        let mut spec = rising(Nsp::Off, 1);
        spec.train_mut().length = TrainLength::Steps(1);
        let batches = TrainBatches::new(&spec, &corpus(&documents)).unwrap();
        let lengths = batches.short.iter().map(|(stretch, _)| (stretch.seq_len, stretch.steps.clone()));
        assert_eq!(lengths.collect::<Vec<_>>(), [(12, 0..1)], "0.4 of a step is none, and 0.6 is one");
        assert_eq!(batches.at(0).tokens.sequences.len(), 6);
    }
}
