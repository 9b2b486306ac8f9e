//! Pretraining as a stage: masked-language modelling, with or without next-sentence prediction, on the documents of a corpus.
//!
//! [`instance`] cuts the corpus into sequences, [`masking`] hides tokens of them, [`batch`] lays them end to end, [`lengths`] has
//! shorter ones come first, and [`evaluation`] asks the model fixed questions. [`unigrams`] counts what the text is made of. [`facts`], [`probes`], [`copying`] and [`neighbours`] say what an evaluation is to be held
//! against; [`fill_mask`] and [`memorisation`] look at a trained model.

pub mod batch;
mod copying;
pub mod evaluation;
mod facts;
pub mod fill_mask;
pub mod instance;
mod lengths;
pub mod masking;
pub mod memorisation;
mod neighbours;
mod probes;
mod unigrams;

use burn::tensor::{Device, Tensor, activation};

use self::batch::Batch;
use self::copying::Copying;
use self::evaluation::ValidSet;
use self::lengths::TrainBatches;
use super::model::parameters::{Parameter, Weights};
use super::model::start::{StartError, take_over};
use super::model::{BertForPreTraining, TrainingPass, cross_entropy};
use super::recorder::{RecordError, Recorder};
use super::step_loop::{Evaluation, Losses, Stage, StepGradients, TrainError};
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::model::int_tensor;
use crate::trainer::tokenizer::SpecialIds;

use crate::plan::{BiasInit, MlmMean, Nsp, RunSpec};
use crate::types::metrics::{self, Metric};

/// What a run trains on: both sides of a tokenized corpus.
pub struct Corpus<'a, D: ?Sized> {
    pub train: &'a D,
    pub valid: &'a D,
    pub specials: SpecialIds,
    /// Of each id, whether it continues the word of the token before it.
    pub continues: &'a [bool],
    /// Of each id, how many characters of text it stands for.
    pub characters: &'a [u8],
}

/// The stage: train instances, masked anew as the specification says, and the fixed questions of its evaluations.
pub struct Pretraining<'a, D: ?Sized> {
    spec: &'a RunSpec,
    train: &'a D,
    held_out: &'a D,
    batches: TrainBatches<'a, D>,
    valid: ValidSet,
    /// Another run's weights, to go on from.
    weights: Option<&'a [Parameter]>,
}

impl<'a, D: TokenDocuments + ?Sized> Pretraining<'a, D> {
    /// The stage of `spec` on `corpus`.
    ///
    /// # Errors
    /// When a side of the corpus gives nothing to train on or to be judged by.
    pub fn new(spec: &'a RunSpec, corpus: &Corpus<'a, D>) -> Result<Self, TrainError> {
        check_documents(spec, corpus.train.documents(), corpus.valid.documents())?;
        let batches = TrainBatches::new(spec, corpus)?;
        let valid = ValidSet::new(corpus, spec);
        if valid.masked_tokens() == 0 {
            let fix = "raise data.valid_fraction or use a larger corpus";
            return Err(TrainError::NoInstances { side: "valid", seq_len: spec.train().seq_len, fix });
        }
        Ok(Self { spec, train: corpus.train, held_out: corpus.valid, batches, valid, weights: None })
    }

    /// The stage, going on from the weights of another run: body and heads as far as that one has them.
    ///
    /// # Errors
    /// When the weights are of another model.
    pub fn starting_from(self, weights: &'a [Parameter]) -> Result<Self, StartError> {
        let device = Device::flex().autodiff();
        take_over(&mut BertForPreTraining::new(self.spec, &device).parameters(), weights, |_| true)?;
        Ok(Self { weights: Some(weights), ..self })
    }
}

impl<D: TokenDocuments + ?Sized> Stage for Pretraining<'_, D> {
    type Model = BertForPreTraining;
    type Batch = Batch;

    fn instances(&self) -> usize {
        self.batches.full.instances.len()
    }

    fn start(&self, device: &Device) -> BertForPreTraining {
        let model = BertForPreTraining::new(self.spec, device);
        if let Some(weights) = self.weights {
            let mut own = model.parameters();
            take_over(&mut own, weights, |_| true).expect("invariant: the weights were tried");
            return model.with_parameters(&own, device);
        }
        match self.spec.model.mlm_bias_init {
            BiasInit::Zeros => model,
            BiasInit::Unigram => {
                let (first, vocab) = (self.batches.full.specials.first_ordinary, self.spec.tokenizer.vocab_size);
                let bias = unigrams::log_shares(&unigrams::counts(self.train, vocab), first);
                model.with_mlm_bias(&bias, device)
            }
        }
    }

    fn describe(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        facts::record(self.spec, &self.batches, &self.valid, recorder)?;
        probes::record(self.spec, &self.batches.full, &self.valid, recorder)
    }

    fn floors(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        let copying = Copying::on(self.held_out, self.batches.full.specials, self.spec.tokenizer.vocab_size);
        copying.record(recorder)?;
        let (questions, vocab) = (self.valid.masked(), self.spec.tokenizer.vocab_size);
        neighbours::record(self.train, questions, vocab, copying.accuracy_shown, recorder)
    }

    fn batch(&self, index: u64) -> Batch {
        self.batches.at(index)
    }

    fn forward_backward(
        &self,
        model: &BertForPreTraining,
        batch: &Batch,
        index: u64,
        device: &Device,
    ) -> StepGradients {
        let (losses, gradients) = forward_backward(model, self.spec, batch, index, device);
        let tokens = batch.real_tokens();
        StepGradients {
            losses,
            gradients,
            tokens,
            positions: tokens as f64 / batch.real_token_share(model.bert.compute),
        }
    }

    fn evaluate(&self, model: &BertForPreTraining, _is_last: bool, device: &Device) -> Evaluation {
        let found = self.valid.evaluate(model, self.spec, device);
        let value = |wanted: &Metric| found.iter().find(|(metric, _)| *metric == wanted).map(|&(_, value)| value);
        let loss = value(&metrics::VALID_MLM_LOSS).unwrap_or(f64::NAN);
        let nsp = value(&metrics::VALID_NSP_LOSS).unwrap_or(0.0);
        let watched = self.spec.objective().mlm_weight * loss + self.spec.objective().nsp_weight * nsp;
        Evaluation { metrics: found, facts: Vec::new(), criterion: (&metrics::VALID_MLM_LOSS, loss), watched }
    }
}

/// The losses of `batch` and their gradients, with the dropout of forward pass `t`.
pub fn forward_backward(
    model: &BertForPreTraining,
    spec: &RunSpec,
    batch: &Batch,
    t: u64,
    device: &Device,
) -> (Losses, Vec<Parameter>) {
    let (seed, gradient_checkpointing) = (spec.train().seed, spec.train().gradient_checkpointing);
    let pass = TrainingPass { seed, step: t, gradient_checkpointing };
    let hidden = model.bert.encode(&batch.tokens, &spec.model, Some(pass));
    let (rows, labels) = (int_tensor(&batch.rows, device), int_tensor(&batch.labels, device));
    let mlm = model.mlm_loss(hidden.clone(), rows, labels, &spec.model);
    let nsp = model.nsp_logits(hidden, &batch.tokens.sequences).map(|logits| {
        let logits = if spec.objective().nsp_double_softmax { activation::softmax(logits, 1) } else { logits };
        // A plain sum of few numbers: burn's sums over very many depend on the thread count.
        cross_entropy(logits, int_tensor(&batch.nsp_labels, device)).sum() / batch.nsp_labels.len() as f64
    });
    let total = match &nsp {
        Some(nsp) => {
            weighted(mlm.clone(), mlm_weight(spec, batch)) + weighted(nsp.clone(), spec.objective().nsp_weight)
        }
        None => weighted(mlm.clone(), mlm_weight(spec, batch)),
    };
    let gradients = model.gradients(total.backward());
    let scalar = |tensor: Tensor<1>| f64::from(tensor.into_scalar::<f32>());
    let parts = [(&metrics::TRAIN_MLM_LOSS, Some(mlm)), (&metrics::TRAIN_NSP_LOSS, nsp)];
    let parts = parts.into_iter().filter_map(|(metric, loss)| Some((metric, scalar(loss?)))).collect();
    let losses = Losses { total: scalar(total), parts };
    (losses, gradients)
}

/// What the mean MLM loss of the masked tokens counts in the sum.
fn mlm_weight(spec: &RunSpec, batch: &Batch) -> f64 {
    match spec.objective().mlm_mean {
        MlmMean::Masked => spec.objective().mlm_weight,
        MlmMean::Positions => {
            spec.objective().mlm_weight * batch.rows.len() as f64 / spec.train().positions_a_pass() as f64
        }
    }
}

fn weighted(loss: Tensor<1>, weight: f64) -> Tensor<1> {
    if weight == 1.0 { loss } else { loss * weight }
}

/// Whether the documents suffice for what `spec` does with them.
pub fn check_documents(spec: &RunSpec, train: usize, valid: usize) -> Result<(), TrainError> {
    if spec.objective().nsp == Nsp::Random {
        for (side, documents) in [("train", train), ("valid", valid)] {
            if documents < 2 {
                return Err(TrainError::TooFewDocuments { side, documents });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
    use crate::trainer::pretraining::masking::Shown;

    /// Weights of next to nothing leave the bias of the MLM projection alone to answer: the frequencies of the train text, or, from
    /// zeros, every token as likely as another.
    #[test]
    fn a_model_that_knows_nothing_starts_at_its_bias() {
        let [train, valid] = [3, 4].map(|seed| Toy::random(20, seed));
        let corpus = Corpus { train: &train, valid: &valid, specials: SPECIALS, continues: &[], characters: &[] };
        let device = Device::flex();
        let first_loss = |mlm_bias_init| {
            let mut spec = tiny_spec();
            (spec.model.initializer_range, spec.model.mlm_bias_init) = (1e-9, mlm_bias_init);
            let stage = Pretraining::new(&spec, &corpus).unwrap();
            let found = stage.evaluate(&stage.start(&device), false, &device).metrics;
            let labels = stage.valid.masked().iter().flat_map(|batch| batch.labels.iter().zip(&batch.shown));
            let asked = labels.filter(|(_, shown)| **shown == Shown::Mask).map(|(&label, _)| label as usize);
            let loss = found.iter().find(|(metric, _)| **metric == metrics::MLM_LOSS_MASK).unwrap().1;
            (loss, asked.collect::<Vec<_>>(), spec.tokenizer.vocab_size)
        };
        let (loss, asked, vocab) = first_loss(BiasInit::Zeros);
        assert!((loss - (vocab as f64).ln()).abs() < 1e-5, "{loss}");
        let (loss, _, _) = first_loss(BiasInit::Unigram);
        let tokens = train.0.iter().flatten().flatten().collect::<Vec<_>>();
        let share = |id: usize| {
            let occurs = tokens.iter().filter(|&&&token| token as usize == id).count();
            (occurs + 1) as f64 / (tokens.len() + vocab - SPECIALS.first_ordinary as usize) as f64
        };
        let special = SPECIALS.first_ordinary as f64 / (tokens.len() + vocab - SPECIALS.first_ordinary as usize) as f64;
        let expected = asked.iter().map(|&id| (1.0 + special).ln() - share(id).ln()).sum::<f64>() / asked.len() as f64;
        assert!((loss - expected).abs() < 1e-5, "{loss}, not {expected}");
        assert!(loss < (vocab as f64).ln() - 0.1, "frequencies are worth something");
    }
}
