//! Fast kernels for burn's Flex backend: one operation per sublayer, with hand-written gradients.
//!
//! The model in [`super::model`] defines what is computed; this module computes the same on a CPU several times faster, by
//! serial matrix products and fused vector loops over fixed shards of the batch. It is used where the tensors live on Flex;
//! every other device takes the model's composed operations. Kernels and composed operations draw the same dropout and
//! agree to rounding; losses and gradients are the same bits at any number of threads.

mod attention;
mod dropout;
mod embedding;
mod feed_forward;
pub mod isa;
mod masked_loss;
mod math;
mod matrix;
mod operation;
pub mod pool;
pub mod profile;
mod recurrence;
mod residual;
mod shards;

use burn::backend::DispatchTensor;
use burn::module::Param;
use burn::tensor::{Device, Int, Tensor};

use self::operation::Between;
use super::model::lstm::BiLstm;
use super::model::sublayer::{Sublayer, sites};
use super::model::{Attention, BertForPreTraining, Embeddings, FeedForward, LayerNorm, Tokens};
use crate::plan::ModelSpec;

pub use dropout::Mask;
pub use recurrence::Packing;
pub use shards::SHARDS;

/// How the model's operations are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By the kernels of this module.
    Kernels,
    /// By burn's own operations: on every device, and the definition of correct.
    Composed,
}

impl Path {
    /// The fastest path on `device`.
    pub fn of(device: &Device) -> Self {
        if operation::runs_on(device) { Self::Kernels } else { Self::Composed }
    }
}

/// The embeddings through LayerNorm and dropout: `[R, D]`. `positions` holds a row for each position of the longest sequence.
pub fn embeddings(weights: &Embeddings, positions: Tensor<2>, tokens: &Tokens, sublayer: &Sublayer) -> Tensor<2> {
    let [words, d] = weights.word_embeddings.weight.dims();
    let kernel = embedding::Embeddings {
        sequences: tokens.sequences.clone(),
        hidden: d,
        rows: [words, positions.dims()[0], weights.token_type_embeddings.weight.dims()[0]],
        words: tokens.ids.clone(),
        positions: tokens.sequences.positions(),
        segments: tokens.segments.clone(),
        norm_eps: weights.layer_norm.is_some().then_some(sublayer.model.layer_norm_eps as f32),
        mask: sublayer.mask(sublayer.model.hidden_dropout_prob, sites::EMBEDDINGS),
    };
    let mut inputs = vec![
        value(&weights.word_embeddings.weight),
        positions.into_dispatch(),
        value(&weights.token_type_embeddings.weight),
    ];
    inputs.extend(weights.layer_norm.iter().flat_map(norm_values));
    operation::apply(kernel, inputs, Between::Keep)
}

/// The attention sublayer of layer `layer`; `None` where a projection has no bias, which the kernel does not know.
pub fn attention(hidden: &Tensor<2>, weights: &Attention, layer: usize, sublayer: &Sublayer) -> Option<Tensor<2>> {
    let ([_, d], model) = (hidden.dims(), sublayer.model);
    let kernel = attention::Attention {
        sequences: sublayer.sequences.clone(),
        hidden: d,
        heads: model.num_attention_heads,
        head_width: model.attention_head_size,
        probabilities: sublayer.mask(model.attention_probs_dropout_prob, sites::probabilities(layer)),
        residual: residual(sublayer, sites::attention(layer)),
    };
    let mut inputs = vec![hidden.clone().into_dispatch()];
    for projection in [&weights.query, &weights.key, &weights.value, &weights.output] {
        inputs.extend([value(&projection.weight), value(projection.bias.as_ref()?)]);
    }
    inputs.extend(norm_values(&weights.layer_norm));
    Some(operation::apply(kernel, inputs, between(sublayer)))
}

/// The feed-forward sublayer of layer `layer`; `None` where a projection has no bias, which the kernel does not know.
pub fn feed_forward(hidden: &Tensor<2>, weights: &FeedForward, layer: usize, sublayer: &Sublayer) -> Option<Tensor<2>> {
    let ([_, d], model) = (hidden.dims(), sublayer.model);
    let kernel = feed_forward::FeedForward {
        sequences: sublayer.sequences.clone(),
        hidden: d,
        intermediate: model.intermediate_size,
        activation: model.hidden_act,
        residual: residual(sublayer, sites::feed_forward(layer)),
    };
    let mut inputs = vec![hidden.clone().into_dispatch()];
    for projection in [&weights.intermediate, &weights.output] {
        inputs.extend([value(&projection.weight), value(projection.bias.as_ref()?)]);
    }
    inputs.extend(norm_values(&weights.layer_norm));
    Some(operation::apply(kernel, inputs, between(sublayer)))
}

/// A bidirectional LSTM over the rows that `packings` go through, forth and back: `[R, D]` to `[R, 2 H]`. `None` where there
/// is no such row.
pub fn bi_lstm(hidden: &Tensor<2>, weights: &BiLstm, packings: [Packing; 2]) -> Option<Tensor<2>> {
    let [inputs, width] = [hidden.dims()[1], weights.weight_hh_l0.dims()[1]];
    if packings[0].groups.is_empty() {
        return None;
    }
    let kernel = recurrence::BiLstm { inputs, width, packings };
    let inputs = vec![
        hidden.clone().into_dispatch(),
        value(&weights.weight_ih_l0),
        value(&weights.weight_hh_l0),
        value(&weights.bias_ih_l0),
        value(&weights.bias_hh_l0),
        value(&weights.weight_ih_l0_reverse),
        value(&weights.weight_hh_l0_reverse),
        value(&weights.bias_ih_l0_reverse),
        value(&weights.bias_hh_l0_reverse),
    ];
    Some(operation::apply(kernel, inputs, Between::Keep))
}

/// The mean cross-entropy in nats of the masked `rows` against their `labels`: `[1]`, and 0 where nothing is masked.
/// `None` where the transform has no bias, which the kernel does not know.
pub fn masked_loss(
    pretraining: &BertForPreTraining,
    hidden: &Tensor<2>,
    rows: &Tensor<1, Int>,
    labels: &Tensor<1, Int>,
    model: &ModelSpec,
) -> Option<Tensor<1>> {
    let BertForPreTraining { bert, mlm, .. } = pretraining;
    let projection = &mlm.decoder.as_ref().unwrap_or(&bert.embeddings.word_embeddings).weight;
    let [vocabulary, d] = projection.dims();
    let eps = model.layer_norm_eps as f32;
    let kernel = masked_loss::MaskedLoss {
        hidden: d,
        vocabulary,
        rows: integers(rows.clone()),
        labels: integers(labels.clone()),
        has_bias: mlm.bias.is_some(),
        transform: mlm.transform.is_some().then_some(masked_loss::Transform { activation: model.hidden_act, eps }),
    };
    let mut inputs = vec![hidden.clone().into_dispatch(), value(projection)];
    inputs.extend(mlm.bias.as_ref().map(value));
    if let Some(transform) = &mlm.transform {
        inputs.extend([value(&transform.dense.weight), value(transform.dense.bias.as_ref()?)]);
        inputs.extend(norm_values(&transform.layer_norm));
    }
    // Its backward pass comes first of all: computing it again would save nothing.
    Some(operation::apply(kernel, inputs, Between::Keep))
}

/// What a cross-entropy needs of a row of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponentials {
    pub largest: f32,
    /// Of `e^(logit - largest)`: exponentials and sums over blocks in f32, and these added up in f64.
    pub sum: f64,
}

isa::vectorised! {
    /// The exponentials of a row of logits, summed.
    pub fn exponentials(row: &[f32]) -> Exponentials {
        /// Logits whose exponentials are added up in f32.
        const BLOCK: usize = 256;
        let largest = math::max_of(row);
        let mut values = [0.0; BLOCK];
        let mut sum = 0.0;
        for block in row.chunks(BLOCK) {
            let values = &mut values[..block.len()];
            for (value, logit) in values.iter_mut().zip(block) {
                *value = math::exp(*logit - largest);
            }
            sum += f64::from(math::sum_of(values, values, |a, _| a));
        }
        Exponentials { largest, sum }
    }
}

/// Multiplies square matrices, one pair a thread: what the peak of a machine is measured with.
#[derive(Debug)]
pub struct Squares {
    side: usize,
    factors: Vec<f32>,
    products: Vec<Vec<f32>>,
}

impl Squares {
    /// A pair of factors for all threads, and a product for each.
    pub fn new(side: usize) -> Self {
        let n = side * side;
        Self { side, factors: vec![0.5; n], products: vec![vec![0.0; n]; rayon::current_num_threads()] }
    }

    /// Computes each product once; returns the floating-point operations.
    pub fn multiply(&mut self) -> f64 {
        let (side, factor) = (self.side, matrix::Matrix::new(&self.factors, self.side, self.side));
        shards::parallel(&mut self.products, |product| {
            matrix::MatrixMut::new(product, side, side).product(factor, factor.t(), false);
        });
        2.0 * (side as f64).powi(3) * self.products.len() as f64
    }
}

fn between(sublayer: &Sublayer) -> Between {
    let recompute = sublayer.training.is_some_and(|training| training.gradient_checkpointing);
    if recompute { Between::Recompute } else { Between::Keep }
}

/// The frame of the sublayer whose dropout is drawn at `site`.
fn residual(sublayer: &Sublayer, site: usize) -> residual::Residual {
    let model = sublayer.model;
    let mask = sublayer.mask(model.hidden_dropout_prob, site);
    residual::Residual { position: model.norm_position, eps: model.layer_norm_eps as f32, mask }
}

fn value<const D: usize>(parameter: &Param<Tensor<D>>) -> DispatchTensor {
    parameter.val().into_dispatch()
}

fn norm_values(norm: &LayerNorm) -> [DispatchTensor; 2] {
    [value(&norm.weight), value(&norm.bias)]
}

/// The elements of an integer tensor that counts something.
fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Vec<u32> {
    tensor.into_data().iter::<i64>().map(|i| u32::try_from(i).expect("invariant: an id is not negative")).collect()
}

#[cfg(test)]
mod tests;
