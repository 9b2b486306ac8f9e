//! Fast kernels for burn's Flex backend: one operation per sublayer, with hand-written gradients.
//!
//! A library that knows no model: a kernel is told shapes and given arrays, and computes on a CPU several times faster than
//! burn's operations do, by serial matrix products and fused vector loops over fixed shards of the batch. It runs where the
//! tensors live on Flex; elsewhere the model composes the same of burn's operations. Kernels and composed operations draw
//! the same dropout and agree to rounding.
//!
//! The contract: losses and gradients are the same bits at any number of threads.

mod attention;
mod dropout;
mod embedding;
mod feed_forward;
pub mod isa;
mod masked_loss;
mod math;
mod matrix;
pub mod narrow;
mod operation;
mod orthogonal;
pub mod pool;
pub mod profile;
mod recurrence;
mod relative;
mod residual;
mod rotary;
mod shards;

use burn::tensor::Device;

pub use attention::Attention;
pub use dropout::Mask;
pub use embedding::Embeddings;
pub use feed_forward::FeedForward;
pub use masked_loss::{MaskedLoss, Transform};
pub use operation::{Between, apply};
pub use orthogonal::orthogonalise;
pub use recurrence::{BiLstm, Packing};
pub use residual::{Normalisation, Residual};
pub use rotary::Rotary;
pub use shards::SHARDS;

/// How a model's operations are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    /// By the kernels of this module.
    Kernels,
    /// By burn's own operations: on every device, and the definition of correct.
    Composed,
}

impl Compute {
    /// The fastest way on `device`.
    pub fn of(device: &Device) -> Self {
        if operation::runs_on(device) { Self::Kernels } else { Self::Composed }
    }
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

#[cfg(test)]
mod tests;
