//! The feed-forward sublayer in one operation: two projections with an activation between, or a gated one
//! (Shazeer 2020, "GLU variants improve Transformer"), in the frame of dropout, residual sum and LayerNorm.
//!
//! Shapes: R rows (tokens of the batch), D hidden, F intermediate, W what the first projection gives: F, or 2 F with a gate.

use std::sync::Arc;

use super::math::{accumulate_rows, activate_rows, gate_backward, gate_rows, multiply_by};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::residual::{FrameRows, Norm, Residual, VectorGradients};
use super::shards::{BatchShards, parallel, sum_in_order, together, transposed, weight_gradients};
use crate::plan::Activation;
use crate::trainer::sequences::Sequences;

/// The sublayer. Inputs: x `[R, D]`, weight `[W, D]` and bias `[W]`, weight `[D, F]` and bias `[D]`, LayerNorm gain and
/// offset `[D]`.
#[derive(Debug)]
pub struct FeedForward {
    pub sequences: Arc<Sequences>,
    pub hidden: usize,
    pub intermediate: usize,
    pub activation: Activation,
    /// Whether the first half of the first projection, activated, is multiplied with its second half.
    pub is_gated: bool,
    pub residual: Residual,
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Saved {
    /// The normalised input of pre-LN, `[R, D]`; empty in post-LN, whose input is x.
    entered: Buffer,
    /// What the second projection reads, `[R, F]`.
    active: Buffer,
    /// Its derivatives by what the first one gave, `[R, W]`.
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
        let (rows, d, f, w) = (self.sequences.rows(), self.hidden, self.intermediate, self.inner_width());
        let entered_width = if self.residual.is_pre() { d } else { 0 };
        let mut saved = Saved {
            entered: Buffer::new(rows * entered_width),
            active: Buffer::new(rows * f),
            derivatives: Buffer::new(rows * w),
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
            shards.split_mut(&mut saved.derivatives, w),
            shards.split_mut(&mut saved.normal, d),
            shards.split_mut(&mut saved.inverse, 1),
            shards.split_mut(&mut output, d),
        );
        parallel(tasks, |(range, x, entered, active, derivatives, normal, inverse, output)| {
            let mut frame = FrameRows { normal, inverse, output };
            let rows = range.len();
            let input = self.residual.enter(x, norm, &mut frame, entered);
            let (input, inner) = (Matrix::new(input, rows, d), Matrix::new(inner, w, d).t());
            if self.is_gated {
                let mut halves = Buffer::new(rows * w);
                MatrixMut::new(&mut halves, rows, w).product(input, inner, false);
                gate_rows(self.activation, &halves, inner_bias, active, derivatives);
            } else {
                MatrixMut::new(active, rows, f).product(input, inner, false);
                activate_rows(self.activation, active, inner_bias, derivatives);
            }
            let mut product = MatrixMut::new(self.residual.branch(&mut frame), rows, d);
            product.product(Matrix::new(active, rows, f), Matrix::new(&outer, f, d), false);
            self.residual.leave(x, outer_bias, norm, range.start, &mut frame);
        });
        (output, saved)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let (&[x, inner, _, outer, _, _, _], norm) = (inputs.as_array().expect("invariant: seven"), self.norm(inputs));
        let (rows, d, f, w) = (self.sequences.rows(), self.hidden, self.intermediate, self.inner_width());
        let shards = BatchShards::new(&self.sequences).rows;
        let mut dx = Buffer::new(rows * d);
        let mut branch = Buffer::new(rows * d);
        let mut inner_slopes = Buffer::new(rows * w);
        let mut sums = vec![(VectorGradients::zeros(d), vec![0.0; w]); shards.ranges().len()];
        let tasks = together!(
            shards.ranges(),
            shards.split(output, d),
            shards.split(&saved.normal, d),
            shards.split(&saved.inverse, 1),
            shards.split(&saved.derivatives, w),
            shards.split_mut(&mut dx, d),
            shards.split_mut(&mut branch, d),
            shards.split_mut(&mut inner_slopes, w),
            &mut sums,
        );
        parallel(tasks, |(range, output, normal, inverse, derivatives, dx, branch, slopes, sums)| {
            let (rows, kept) = (range.len(), (normal, inverse));
            self.residual.leave_backward(output, kept, norm, range.start, branch, dx, &mut sums.0);
            let (branch, outer) = (Matrix::new(branch, rows, d), Matrix::new(outer, d, f));
            if self.is_gated {
                let mut active = Buffer::new(rows * f);
                MatrixMut::new(&mut active, rows, f).product(branch, outer, false);
                gate_backward(&active, derivatives, f, slopes);
            } else {
                MatrixMut::new(slopes, rows, f).product(branch, outer, false);
                multiply_by(slopes, derivatives);
            }
            accumulate_rows(&mut sums.1, slopes);
            let (slopes, weight) = (Matrix::new(slopes, rows, w), Matrix::new(inner, w, d));
            self.residual.enter_backward(kept, norm, dx, &mut sums.0, |input, accumulate| {
                MatrixMut::new(input, rows, d).product(slopes, weight, accumulate);
            });
        });
        let mut gradients = [Buffer::new(w * d), Buffer::new(d * f)];
        let [d_inner, d_outer] = &mut gradients;
        let entered = if self.residual.is_pre() { &*saved.entered } else { x };
        weight_gradients([
            (&mut **d_inner, Matrix::new(&inner_slopes, rows, w), Matrix::new(entered, rows, d)),
            (&mut **d_outer, Matrix::new(&branch, rows, d), Matrix::new(&saved.active, rows, f)),
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
    /// What the first projection gives for a row.
    fn inner_width(&self) -> usize {
        if self.is_gated { 2 * self.intermediate } else { self.intermediate }
    }

    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Norm<'a> {
        Norm { gain: inputs[5], offset: inputs[6], how: self.residual.norm }
    }
}
