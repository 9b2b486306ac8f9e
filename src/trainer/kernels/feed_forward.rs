//! The feed-forward sublayer in one operation: two projections with an activation between, in the frame of dropout,
//! residual sum and LayerNorm.
//!
//! Shapes: R rows (tokens of the batch), D hidden, F intermediate.

use std::sync::Arc;

use super::math::{accumulate_rows, activate_rows, multiply_by};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::residual::{FrameRows, Norm, Residual, VectorGradients};
use super::shards::{BatchShards, parallel, sum_in_order, together, transposed, weight_gradients};
use crate::plan::Activation;
use crate::trainer::sequences::Sequences;

/// The sublayer. Inputs: x `[R, D]`, weight `[F, D]` and bias `[F]`, weight `[D, F]` and bias `[D]`, LayerNorm gain and
/// offset `[D]`.
#[derive(Debug)]
pub struct FeedForward {
    pub sequences: Arc<Sequences>,
    pub hidden: usize,
    pub intermediate: usize,
    pub activation: Activation,
    pub residual: Residual,
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Saved {
    /// The normalised input of pre-LN, `[R, D]`; empty in post-LN, whose input is x.
    entered: Buffer,
    /// The activations and their derivatives, `[R, F]`.
    active: Buffer,
    derivatives: Buffer,
    /// Normalised rows `[R, D]` and inverse deviations `[R]`.
    normal: Buffer,
    inverse: Buffer,
}

impl Kernel for FeedForward {
    const NAME: &'static str = "feed-forward";
    type Saved = Saved;

    fn shape(&self) -> Vec<usize> {
        vec![self.sequences.rows(), self.hidden]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Saved) {
        let (&[x, inner, inner_bias, outer, outer_bias, _, _], norm) =
            (inputs.as_array().expect("invariant: seven"), self.norm(inputs));
        let (rows, d, f) = (self.sequences.rows(), self.hidden, self.intermediate);
        let entered_width = if self.residual.is_pre() { d } else { 0 };
        let mut saved = Saved {
            entered: Buffer::new(rows * entered_width),
            active: Buffer::new(rows * f),
            derivatives: Buffer::new(rows * f),
            normal: Buffer::new(rows * d),
            inverse: Buffer::new(rows),
        };
        let mut output = Buffer::new(rows * d);
        let outer = transposed(outer, d, f);
        let shards = BatchShards::new(&self.sequences).rows;
        let tasks = together!(
            shards.ranges(),
            shards.split(x, d),
            shards.split_mut(&mut saved.entered, entered_width),
            shards.split_mut(&mut saved.active, f),
            shards.split_mut(&mut saved.derivatives, f),
            shards.split_mut(&mut saved.normal, d),
            shards.split_mut(&mut saved.inverse, 1),
            shards.split_mut(&mut output, d),
        );
        parallel(tasks, |(range, x, entered, active, derivatives, normal, inverse, output)| {
            let mut frame = FrameRows { normal, inverse, output };
            let rows = range.len();
            let input = self.residual.enter(x, norm, &mut frame, entered);
            let mut product = MatrixMut::new(active, rows, f);
            product.product(Matrix::new(input, rows, d), Matrix::new(inner, f, d).t(), false);
            activate_rows(self.activation, active, inner_bias, derivatives);
            let mut product = MatrixMut::new(self.residual.branch(&mut frame), rows, d);
            product.product(Matrix::new(active, rows, f), Matrix::new(&outer, f, d), false);
            self.residual.leave(x, outer_bias, norm, range.start, &mut frame);
        });
        (output, saved)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let (&[x, inner, _, outer, _, _, _], norm) = (inputs.as_array().expect("invariant: seven"), self.norm(inputs));
        let (rows, d, f) = (self.sequences.rows(), self.hidden, self.intermediate);
        let shards = BatchShards::new(&self.sequences).rows;
        let mut dx = Buffer::new(rows * d);
        let mut branch = Buffer::new(rows * d);
        let mut active = Buffer::new(rows * f);
        let mut sums = vec![(VectorGradients::zeros(d), vec![0.0; f]); shards.ranges().len()];
        let tasks = together!(
            shards.ranges(),
            shards.split(output, d),
            shards.split(&saved.normal, d),
            shards.split(&saved.inverse, 1),
            shards.split(&saved.derivatives, f),
            shards.split_mut(&mut dx, d),
            shards.split_mut(&mut branch, d),
            shards.split_mut(&mut active, f),
            &mut sums,
        );
        parallel(tasks, |(range, output, normal, inverse, derivatives, dx, branch, active, sums)| {
            let (rows, kept) = (range.len(), (normal, inverse));
            self.residual.leave_backward(output, kept, norm, range.start, branch, dx, &mut sums.0);
            let mut product = MatrixMut::new(active, rows, f);
            product.product(Matrix::new(branch, rows, d), Matrix::new(outer, d, f), false);
            multiply_by(active, derivatives);
            accumulate_rows(&mut sums.1, active);
            let (active, weight) = (Matrix::new(active, rows, f), Matrix::new(inner, f, d));
            self.residual.enter_backward(kept, norm, dx, &mut sums.0, |input, accumulate| {
                MatrixMut::new(input, rows, d).product(active, weight, accumulate);
            });
        });
        let mut gradients = [Buffer::new(f * d), Buffer::new(d * f)];
        let [d_inner, d_outer] = &mut gradients;
        let entered = if self.residual.is_pre() { &*saved.entered } else { x };
        let wide = |values| Matrix::new(values, rows, f);
        weight_gradients([
            (&mut **d_inner, wide(&active), Matrix::new(entered, rows, d)),
            (&mut **d_outer, Matrix::new(&branch, rows, d), wide(&saved.active)),
        ]);
        let [d_inner, d_outer] = gradients;
        let total = |part: fn(&(VectorGradients, Vec<f32>)) -> &Vec<f32>| sum_in_order(sums.iter().map(part));
        vec![
            dx,
            d_inner,
            total(|sums| &sums.1),
            d_outer,
            total(|sums| &sums.0.bias),
            total(|sums| &sums.0.gain),
            total(|sums| &sums.0.offset),
        ]
    }
}

impl FeedForward {
    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Norm<'a> {
        Norm { gain: inputs[5], offset: inputs[6], eps: self.residual.eps }
    }
}
