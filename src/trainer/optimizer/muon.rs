//! Muon: the momentum of a hidden matrix, made orthogonal (Jordan et al. 2024). All singular directions of an update then have
//! one size, where those of Adam are a few large ones.
//!
//! As in Liu et al. 2025 ("Muon is scalable for LLM training", section 2.2) an update is scaled by `0.2 sqrt(max(rows, columns))`,
//! so that its elements are as large as AdamW's and both have one learning rate and one decay:
//!
//! ```text
//! m <- momentum m + g;   w <- w (1 - lr decay) - lr 0.2 sqrt(max(rows, columns)) orthogonal(g + momentum m)
//! ```
//!
//! Embeddings, heads, biases and normalisations are no hidden matrices: they are AdamW's.

use crate::trainer::kernels::orthogonalise;
use crate::trainer::model::parameters::Parameter;

/// The root mean square of an element of AdamW's updates, as Liu et al. measured it.
const ADAM_RMS: f64 = 0.2;

/// The constants of one update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Muon {
    pub momentum: f64,
    pub lr: f64,
    /// What gradients are multiplied with.
    pub clip: f64,
    pub weight_decay: f64,
}

/// Whether a parameter is a hidden matrix: what stands between the embeddings and what predicts. The vectors of distances are a
/// table like the embeddings.
pub(super) fn is_hidden(parameter: &Parameter) -> bool {
    let is_between = parameter.name.contains(".encoder.layer.") || parameter.name.ends_with("transform.dense.weight");
    parameter.shape.len() == 2 && is_between && !parameter.name.contains("_embedding.")
}

impl Muon {
    /// Updates one matrix and its momentum.
    pub(super) fn apply(&self, parameter: &mut Parameter, gradient: &[f32], momentum: &mut [f32]) {
        let shape = [parameter.shape[0], parameter.shape[1]];
        let (beta, clip) = (self.momentum as f32, self.clip as f32);
        let mut direction: Vec<f32> = gradient
            .iter()
            .zip(momentum)
            .map(|(gradient, momentum)| {
                let gradient = gradient * clip;
                *momentum = beta * *momentum + gradient;
                gradient + beta * *momentum
            })
            .collect();
        orthogonalise(&mut direction, shape);
        let step = (self.lr * ADAM_RMS * (shape[0].max(shape[1]) as f64).sqrt()) as f32;
        let shrink = (1.0 - self.lr * self.weight_decay) as f32;
        for (value, direction) in parameter.values.iter_mut().zip(&direction) {
            *value = shrink * *value - step * direction;
        }
    }
}
