//! What all sublayers of one forward pass share, and the dropout that is drawn on the way.
//!
//! Dropout draws from the counter-based stream of its step and site, so it depends on nothing that was drawn before; kernels
//! and composed operations read the same decisions.

use std::cell::OnceCell;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::padding::Padding;
use crate::plan::{ModelSpec, PositionEmbedding};
use crate::trainer::kernels::{Between, Compute, Mask, Normalisation, Residual, Rotary};
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

    /// Zeroes elements with probability `p` and scales up the rest, in the row-major order of the elements.
    pub fn dropout(self, tensor: Tensor<2>, p: f64, site: usize) -> Tensor<2> {
        let dropout = Dropout::new(p);
        if !dropout.is_active() {
            return tensor;
        }
        let factors = dropout_mask(tensor.shape().num_elements(), dropout, self.stream(site));
        times(tensor, factors)
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
#[derive(Debug)]
pub struct ForwardPass<'a> {
    pub compute: Compute,
    pub model: &'a ModelSpec,
    pub sequences: &'a Arc<Sequences>,
    /// `None`: evaluation, nothing is dropped.
    training: Option<TrainingPass>,
    /// Made when composed attention first asks for it.
    padding: OnceCell<Padding>,
    /// Made when attention first asks for it.
    rotary: OnceCell<Option<Arc<Rotary>>>,
}

/// How the model normalises, in the form that the kernels read.
pub fn normalisation(model: &ModelSpec) -> Normalisation {
    Normalisation { norm_type: model.norm_type, eps: model.layer_norm_eps as f32 }
}

impl<'a> ForwardPass<'a> {
    /// A pass over `sequences`; `training` is `None` for evaluation.
    pub fn new(
        compute: Compute,
        model: &'a ModelSpec,
        sequences: &'a Arc<Sequences>,
        training: Option<TrainingPass>,
    ) -> Self {
        Self { compute, model, sequences, training, padding: OnceCell::new(), rotary: OnceCell::new() }
    }

    /// The places of the batch when its sequences are padded to the longest.
    pub fn padding(&self, device: &Device) -> &Padding {
        self.padding.get_or_init(|| Padding::new(self.sequences, device))
    }

    /// What turns queries and keys by their positions, where positions are rotary.
    pub fn rotary(&self) -> Option<&Arc<Rotary>> {
        let model = self.model;
        let make = || {
            let is_rotary = model.position_embedding_type == PositionEmbedding::Rotary;
            let new = || Rotary::new(self.sequences.longest(), model.attention_head_size, model.rope_theta);
            is_rotary.then(|| Arc::new(new()))
        };
        self.rotary.get_or_init(make).as_ref()
    }

    /// Zeroes elements with probability `p` and scales up the rest, in the row-major order of the elements.
    pub fn dropout(&self, tensor: Tensor<2>, p: f64, site: usize) -> Tensor<2> {
        match self.training {
            Some(training) => training.dropout(tensor, p, site),
            None => tensor,
        }
    }

    /// Dropout on attention probabilities `[B, H, S, S]`, in the order of the scores of [`Sequences`].
    pub fn dropout_of_probabilities(&self, probabilities: Tensor<4>, padding: &Padding, layer: usize) -> Tensor<4> {
        let dropout = Dropout::new(self.model.attention_probs_dropout_prob);
        let Some(training) = self.training.filter(|_| dropout.is_active()) else { return probabilities };
        let heads = self.model.num_attention_heads;
        let n = heads * self.sequences.scores()[self.sequences.len()];
        let factors = dropout_mask(n, dropout, training.stream(sites::probabilities(layer)));
        times(probabilities, padding.spread_scores(&factors, heads))
    }

    /// The dropout of a site in the form that the kernels read.
    pub fn mask(&self, p: f64, site: usize) -> Mask {
        Mask::new(p, self.training.map(|pass| pass.stream(site)))
    }

    /// The frame of the sublayer whose dropout is drawn at `site`, in the form that the kernels read.
    pub fn residual(&self, site: usize, has_norm: bool) -> Residual {
        let model = self.model;
        let mask = self.mask(model.hidden_dropout_prob, site);
        let position = has_norm.then_some(model.norm_position);
        Residual { position, norm: normalisation(model), mask }
    }

    /// What becomes of what a sublayer's kernel computes on the way.
    pub fn between(&self) -> Between {
        let recompute = self.training.is_some_and(|training| training.gradient_checkpointing);
        if recompute { Between::Recompute } else { Between::Keep }
    }
}

/// The elements of `tensor`, each times its factor.
fn times<const N: usize>(tensor: Tensor<N>, factors: Vec<f32>) -> Tensor<N> {
    let factors = Tensor::<N>::from_data(TensorData::new(factors, tensor.dims()), &tensor.device());
    tensor * factors
}

/// For each of `n` elements 0 or the scale of a kept element: the decisions of [`Stream::keeps`], eight to a block.
fn dropout_mask(n: usize, dropout: Dropout, stream: Stream) -> Vec<f32> {
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
