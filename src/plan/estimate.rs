//! What a run will cost: parameters, positions, floating-point operations and disk.
//!
//! Operations are counted as in Hoffmann et al. 2022 ("Training compute-optimal large language models", appendix F):
//! matrix products only, 2 m n k operations for an m x k by k x n product, and a backward pass costs two forward passes.
//! A forward pass over one sequence is
//!
//! ```text
//! layers x (8 T D A + 4 T^2 A + 4 T D F)     projections, scores and mixing, feed-forward (6 T D F with a gate)
//! + layers x 2 T (2 T - 1) A                 queries and distances, where positions are relative
//! + 2 M D V (+ 2 M D D with the transform)   the MLM head, on the M masked rows only
//! + 2 D D + 4 D                              pooler and classifier, with NSP
//! + 2 D D + 2 D C                            pooler and classifier of C classes, in place of these heads
//! + T (16 H (D + H) + 4 H C)                 bidirectional LSTM of width H and its tags; 2 T D C without it
//! ```
//!
//! for T tokens, D hidden, A heads x head size, F feed-forward, V vocabulary, M = mask_ratio x the ordinary tokens of a
//! full sequence. Embedding look-ups, norms, softmax, biases and the optimizer are left out.

use super::parameters::{ParameterCount, parameter_count};
use super::run_spec::{Answers, Architecture, HeadKind, RunSpec, StageSpec, TrainSpec};
use super::step::Stretch;

/// The cost of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub parameters: ParameterCount,
    /// Optimizer steps; unknown for a run of epochs, whose length hangs on the corpus, and none where nothing is trained.
    pub steps: Option<u64>,
    /// Positions through the model in training: steps x sequences x their full length, padding included. Real tokens, which
    /// `train/tokens` counts, are fewer.
    pub positions: Option<u64>,
    /// Floating-point operations of training, forward and backward.
    pub flops: Option<f64>,
    /// One checkpoint: weights and both moments of AdamW, 4 bytes each.
    pub checkpoint_bytes: u64,
    /// All checkpoints that a finished run keeps: the newest and the best.
    pub disk_bytes: u64,
}

/// Estimates the cost of a run.
pub fn estimate(spec: &RunSpec) -> Estimate {
    let parameters = parameter_count(spec);
    let train = spec.training().map(|training| &training.train);
    let planned = train.and_then(|train| Some((train, train.planned_steps()?)));
    let checkpoint_bytes = 3 * 4 * parameters.total();
    let keep_checkpoints = train.map_or(0, |train| train.keep_checkpoints as u64);
    Estimate {
        parameters,
        steps: planned.map(|(_, steps)| steps),
        positions: planned.map(|(train, steps)| steps * train.positions_a_step()),
        flops: planned.map(|(_, steps)| training_flops(spec, steps)),
        checkpoint_bytes,
        disk_bytes: checkpoint_bytes * (keep_checkpoints + 1),
    }
}

/// Operations of the first `steps` training steps of `spec`, forward and backward; none where nothing is trained.
pub fn training_flops(spec: &RunSpec, steps: u64) -> f64 {
    let Some(train) = spec.training().map(|training| &training.train) else { return 0.0 };
    // A run that was stopped had stretches by the steps that it was to make.
    let all = train.planned_steps().unwrap_or(steps).max(steps);
    let cost = |stretch: Stretch| {
        let made = stretch.steps.end.min(steps).saturating_sub(stretch.steps.start);
        flops_a_step(spec, train, &stretch) * made as f64
    };
    train.stretches(all).into_iter().map(cost).sum()
}

/// Operations of a forward pass over one sequence of the run's own length, as an evaluation makes it.
pub fn sequence_flops(spec: &RunSpec) -> f64 {
    spec.training().map_or(0.0, |training| forward_flops(spec, training.train.seq_len))
}

/// Operations of one training step, forward and backward; their mean where sequences are of several lengths.
pub(super) fn step_flops(spec: &RunSpec, train: &TrainSpec) -> f64 {
    train.shares().map(|(stretch, share)| share * flops_a_step(spec, train, &stretch)).sum()
}

fn flops_a_step(spec: &RunSpec, train: &TrainSpec, stretch: &Stretch) -> f64 {
    let sequences = stretch.batch_size as u64 * train.gradient_accumulation_steps as u64;
    3.0 * forward_flops(spec, stretch.seq_len) * sequences as f64
}

/// Operations of a forward pass over one full sequence.
fn forward_flops(spec: &RunSpec, seq_len: usize) -> f64 {
    match spec.model.architecture {
        Architecture::Bert => encoder_flops(spec, seq_len) + head_flops(spec, seq_len),
    }
}

fn encoder_flops(spec: &RunSpec, seq_len: usize) -> f64 {
    let model = &spec.model;
    let (t, d) = (seq_len as f64, model.hidden_size as f64);
    let a = (model.num_attention_heads * model.attention_head_size) as f64;
    let (f, inner) = (model.intermediate_size as f64, model.inner_size() as f64);
    let distances = if model.distances().is_some() { 2.0 * t * (2.0 * t - 1.0) * a } else { 0.0 };
    let layer = 8.0 * t * d * a + 4.0 * t * t * a + distances + 2.0 * t * d * (f + inner);
    spec.encoder_layers() as f64 * layer
}

fn head_flops(spec: &RunSpec, seq_len: usize) -> f64 {
    let (t, d, v) = (seq_len as f64, spec.model.hidden_size as f64, spec.tokenizer.vocab_size as f64);
    match &spec.stage {
        StageSpec::Pretrain(stage) => {
            let has_pair = spec.has_nsp_head();
            let special_tokens = if has_pair { 3.0 } else { 2.0 };
            let masked = (stage.objective.mask_ratio * (t - special_tokens)).round();
            let transform = if spec.model.mlm_head_transform { 2.0 * masked * d * d } else { 0.0 };
            let pair = if has_pair { 2.0 * d * d + 4.0 * d } else { 0.0 };
            2.0 * masked * d * v + transform + pair
        }
        StageSpec::Finetune(stage) => {
            let (h, labels) = (stage.task.lstm_hidden_size as f64, stage.task.labels.len() as f64);
            match (stage.task.task.answers(), stage.task.head) {
                (Answers::Class, _) => 2.0 * d * d + 2.0 * d * labels,
                (Answers::Tags, HeadKind::BilstmCrf) => t * (16.0 * h * (d + h) + 4.0 * h * labels),
                (Answers::Tags, HeadKind::Linear | HeadKind::Crf) => 2.0 * t * d * labels,
            }
        }
        // Nothing is asked of it.
        StageSpec::Import(_) => 0.0,
    }
}

impl TrainSpec {
    /// Train instances that an evaluation of pretraining asks about beside the held-out ones: a fourth as many.
    pub fn eval_train_instances(&self) -> usize {
        self.eval_instances.div_ceil(4)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::parameters::parameters;
    use crate::plan::run_spec::{Nsp, PositionEmbedding};
    use crate::plan::tests::spec;

    /// The same count from the list of parameters: every matrix is multiplied with so many rows.
    fn flops_by_matrix(spec: &RunSpec) -> f64 {
        let (stage, model) = (spec.pretraining().expect("pretraining"), &spec.model);
        let t = stage.training.train.seq_len;
        let special = if stage.objective.nsp == Nsp::Off { 2 } else { 3 };
        let masked = (stage.objective.mask_ratio * (t - special) as f64).round() as usize;
        let mut sum = 0;
        for (name, shape) in parameters(spec) {
            let rows = match shape[..] {
                [_, _] if name.ends_with("distance_embedding.weight") => 0,
                [_, _] if name.starts_with("bert.encoder") => t,
                [_, _] if name.starts_with("cls.predictions") => masked,
                [_, _] if name == "bert.embeddings.word_embeddings.weight" && model.tie_word_embeddings => masked,
                [_, _] if name.starts_with("bert.pooler") || name.starts_with("cls.seq_relationship") => 1,
                _ => 0,
            };
            sum += 2 * rows * shape.iter().product::<usize>();
        }
        // For each layer and head: scores are T x A_h times A_h x T, the mixing is T x T times T x A_h.
        let scores_and_mixing = 2 * (2 * t * t * model.attention_head_size) * model.num_attention_heads;
        // Each query meets a vector for every distance to a token of the sequence, before it and after.
        let distances = if model.position_embedding_type == PositionEmbedding::RelativeKey { t + t - 1 } else { 0 };
        let terms = 2 * (t * distances * model.attention_head_size) * model.num_attention_heads;
        (sum + model.num_hidden_layers * (scores_and_mixing + terms)) as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_closed_form_counts_every_matrix(
            layers in 1usize..5, heads in 1usize..5, width in 1usize..9, feed_forward in 1usize..100,
            length in 8usize..300, ratio in 0.01f64..0.9, is_tied: bool, has_transform: bool, has_pair: bool,
            is_gated: bool, is_relative: bool,
        ) {
            let rest = format!(
                "[model]\nhidden_size = {}\nnum_hidden_layers = {layers}\nnum_attention_heads = {heads}\n\
                 attention_head_size = {}\nintermediate_size = {feed_forward}\ntie_word_embeddings = {is_tied}\n\
                 mlm_head_transform = {has_transform}\nis_gated_act = {is_gated}\nposition_embedding_type = \"{}\"\n[objective]\nmask_ratio = {ratio}\nnsp = \"{}\"\n\
                 [train]\nseq_len = {length}\n",
                heads * width, width + 1, if is_relative { "relative_key" } else { "absolute" }, if has_pair { "random" } else { "off" },
            );
            let spec = spec(&rest);
            prop_assert_eq!(forward_flops(&spec, length), flops_by_matrix(&spec));
        }
    }

    #[test]
    fn a_run_of_known_size_costs_this() {
        let spec = spec(
            "model.preset = \"aiffel-1m\"\ntokenizer.vocab_size = 8007\nobjective.nsp = \"swap\"\n[train]\nsteps = 2000\nbatch_size = 64\n",
        );
        let cost = estimate(&spec);
        assert_eq!((cost.steps, cost.positions), (Some(2000), Some(2000 * 64 * 128)));
        assert_eq!(cost.checkpoint_bytes, 12 * 1_052_256);
        assert_eq!(cost.disk_bytes, 3 * cost.checkpoint_bytes);
        assert_eq!(cost.flops, Some(3.0 * flops_by_matrix(&spec) * 128_000.0));
    }

    #[test]
    fn epochs_need_the_length_of_the_corpus() {
        let unknown = estimate(&spec("train.epochs = 1.5\ntrain.batch_size = 10"));
        assert_eq!((unknown.steps, unknown.positions, unknown.flops), (None, None, None));
    }
}
