//! The sublayers of the encoder, each one function from hidden states to hidden states.
//!
//! Post-LN is `LayerNorm(x + Dropout(f(x)))` as in BERT; pre-LN is `x + Dropout(f(LayerNorm(x)))`. Dropout draws from
//! the counter-based stream of its step and site, so it depends on nothing that was drawn before.
//!
//! Shapes: R rows (tokens of the batch), B sequences, S places of the longest, D hidden, H heads, K head width.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, activation};
use rayon::prelude::*;

use super::padding::Padding;
use super::{Attention, Dense, FeedForward, LayerNorm};
use crate::plan::{Activation, ModelSpec, NormPosition};
use crate::trainer::kernels::{self, Mask, Path};
use crate::trainer::rng::{Dropout, Purpose, Stream};
use crate::trainer::sequences::Sequences;
use crate::types::Seed;

/// A forward pass that trains: where in the run dropout is drawn (the step's streams, one for each site of the network), and
/// what is kept for the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct TrainingPass {
    pub seed: Seed,
    /// The step under way, counted from 0.
    pub step: u64,
    /// Whether the backward pass computes sublayers again rather than keeping what they need.
    pub gradient_checkpointing: bool,
}

impl TrainingPass {
    /// The stream of one of the [`sites`].
    fn stream(self, site: usize) -> Stream {
        Stream::new(self.seed, Purpose::Dropout, self.step, site as u64)
    }
}

/// The places of the network where dropout is drawn; the numbers are part of the recorded results.
pub mod sites {
    /// The sum of the embeddings.
    pub const EMBEDDINGS: usize = 0;

    /// The attention probabilities of a layer.
    pub fn probabilities(layer: usize) -> usize {
        1 + 3 * layer
    }

    /// The output of a layer's attention.
    pub fn attention(layer: usize) -> usize {
        2 + 3 * layer
    }

    /// What a task's classifier reads, in a model of so many layers.
    pub fn classifier(layers: usize) -> usize {
        probabilities(layers)
    }

    /// The output of a layer's feed-forward network.
    pub fn feed_forward(layer: usize) -> usize {
        3 + 3 * layer
    }
}

/// What every sublayer of one forward pass shares.
#[derive(Clone, Copy, Debug)]
pub struct Sublayer<'a> {
    pub model: &'a ModelSpec,
    pub sequences: &'a Arc<Sequences>,
    /// Where the sublayers are composed of burn's operations.
    pub padding: Option<&'a Padding>,
    /// `None`: evaluation, nothing is dropped.
    pub training: Option<TrainingPass>,
    pub path: Path,
}

impl Sublayer<'_> {
    /// Multi-head self-attention of layer `layer` through dropout, residual and LayerNorm.
    ///
    /// # Shapes
    /// - hidden, output: `[R, D]`
    pub fn attention(&self, hidden: Tensor<2>, weights: &Attention, layer: usize) -> Tensor<2> {
        if self.path == Path::Kernels
            && let Some(output) = kernels::attention(&hidden, weights, layer, self)
        {
            return output;
        }
        let padding = match self.padding {
            Some(padding) => padding.clone(),
            None => Padding::new(self.sequences, &hidden.device()),
        };
        self.residual(hidden, &weights.layer_norm, sites::attention(layer), |x| {
            let [b, s] = padding.shape();
            let (h, k) = (self.model.num_attention_heads, self.model.attention_head_size);
            // [R, H K] -> [B, S, H K] -> [B, H, S, K]
            let heads =
                |projection: &Dense| padding.pad(dense(x.clone(), projection)).reshape([b, s, h, k]).swap_dims(1, 2);
            let (query, key, value) = (heads(&weights.query), heads(&weights.key), heads(&weights.value));
            // [B, H, S, S]
            let scores = padding.mask(query.matmul(key.transpose()) / (k as f64).sqrt());
            let probabilities = self.drop_probabilities(activation::softmax(scores, 3), &padding, layer);
            let context = probabilities.matmul(value).swap_dims(1, 2).reshape([b, s, h * k]);
            dense(padding.unpad(context), &weights.output)
        })
    }

    /// The two-layer feed-forward network of layer `layer` through dropout, residual and LayerNorm.
    ///
    /// # Shapes
    /// - hidden, output: `[R, D]`
    pub fn feed_forward(&self, hidden: Tensor<2>, weights: &FeedForward, layer: usize) -> Tensor<2> {
        if self.path == Path::Kernels
            && let Some(output) = kernels::feed_forward(&hidden, weights, layer, self)
        {
            return output;
        }
        self.residual(hidden, &weights.layer_norm, sites::feed_forward(layer), |x| {
            let inner = activate(dense(x, &weights.intermediate), self.model.hidden_act);
            dense(inner, &weights.output)
        })
    }

    /// Dropout on the embeddings.
    pub fn embedding_dropout(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.drop(hidden, self.model.hidden_dropout_prob, sites::EMBEDDINGS)
    }

    /// The dropout of a site in the form that the kernels read.
    pub fn mask(&self, p: f64, site: usize) -> Mask {
        Mask::new(p, self.training.map(|pass| pass.stream(site)))
    }

    /// Wraps `function` in dropout (at `site`), the residual sum and the layer normalisation.
    fn residual(
        &self,
        hidden: Tensor<2>,
        norm: &LayerNorm,
        site: usize,
        function: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let eps = self.model.layer_norm_eps;
        let branch = |x: Tensor<2>| self.drop(function(x), self.model.hidden_dropout_prob, site);
        match self.model.norm_position {
            NormPosition::Post => layer_norm(hidden.clone() + branch(hidden), norm, eps),
            NormPosition::Pre => hidden.clone() + branch(layer_norm(hidden, norm, eps)),
        }
    }

    /// Zeroes elements with probability `p` and scales up the rest, in the row-major order of the elements.
    fn drop(&self, tensor: Tensor<2>, p: f64, site: usize) -> Tensor<2> {
        let n = tensor.shape().num_elements();
        match self.draw(n, p, site) {
            Some(mask) => times(tensor, mask),
            None => tensor,
        }
    }

    /// Dropout on attention probabilities `[B, H, S, S]`, in the order of the scores of [`Sequences`].
    fn drop_probabilities(&self, probabilities: Tensor<4>, padding: &Padding, layer: usize) -> Tensor<4> {
        let heads = self.model.num_attention_heads;
        let n = heads * self.sequences.scores()[self.sequences.len()];
        match self.draw(n, self.model.attention_probs_dropout_prob, sites::probabilities(layer)) {
            Some(mask) => times(probabilities, padding.spread_scores(&mask, heads)),
            None => probabilities,
        }
    }

    /// The factors of the first `n` elements of a site; `None` where nothing is dropped.
    fn draw(&self, n: usize, p: f64, site: usize) -> Option<Vec<f32>> {
        let dropout = Dropout::new(p);
        let pass = self.training.filter(|_| dropout.is_active())?;
        Some(dropout_mask(n, dropout, pass.stream(site)))
    }
}

/// The elements of `tensor`, each times its factor.
fn times<const N: usize>(tensor: Tensor<N>, factors: Vec<f32>) -> Tensor<N> {
    let factors = Tensor::<N>::from_data(TensorData::new(factors, tensor.dims()), &tensor.device());
    tensor * factors
}

/// `x W^T + b` on the last axis.
pub fn dense(x: Tensor<2>, weights: &Dense) -> Tensor<2> {
    let product = x.matmul(weights.weight.val().transpose());
    match &weights.bias {
        Some(bias) => product + bias.val().unsqueeze::<2>(),
        None => product,
    }
}

/// Layer normalisation of the last axis (Ba, Kiros & Hinton 2016): biased variance, `eps` inside the root.
pub fn layer_norm<const N: usize>(x: Tensor<N>, norm: &LayerNorm, eps: f64) -> Tensor<N> {
    let centred = x.clone() - x.mean_dim(N - 1);
    let variance = centred.clone().square().mean_dim(N - 1);
    centred / (variance + eps).sqrt() * norm.weight.val().unsqueeze::<N>() + norm.bias.val().unsqueeze::<N>()
}

/// The activation function, element by element.
pub fn activate<const N: usize>(x: Tensor<N>, function: Activation) -> Tensor<N> {
    match function {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluNew => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
    }
}

/// For each of `n` elements 0 or the scale of a kept element: the decisions of [`Stream::keeps`], eight to a block.
pub fn dropout_mask(n: usize, dropout: Dropout, stream: Stream) -> Vec<f32> {
    const CHUNK: usize = 8 * 1024;
    let mut mask = vec![0.0; n];
    mask.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let first_block = (chunk * CHUNK / 8) as u64;
        for (block, eight) in (first_block..).zip(values.chunks_mut(8)) {
            let words = stream.block(block);
            for (i, value) in eight.iter_mut().enumerate() {
                if dropout.keeps((words[i / 2] >> (16 * (i % 2))) as u16) {
                    *value = dropout.scale;
                }
            }
        }
    });
    mask
}
