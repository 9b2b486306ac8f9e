//! The attention sublayer in one operation: projections, scaled masked softmax with dropout on the probabilities, context
//! and output projection, in the frame of dropout, residual sum and LayerNorm.
//!
//! Keys past a sequence's length are left out of the sums rather than masked, and rows past it get a context of zero.
//! Probabilities are kept with their sign bit set where dropout dropped them, so the backward pass draws nothing.
//!
//! Shapes: B batch, S sequence, R = B S rows, D hidden, H heads, K head width.

use super::dropout::Mask;
use super::isa::vectorised;
use super::math::{accumulate_rows, add_bias, exp, max_of, sum_of};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::residual::{FrameRows, Norm, Residual, VectorGradients};
use super::shards::{Shards, parallel, sum_in_order, together, weight_gradients};

/// The sublayer. Inputs: x `[R, D]`; weight `[H K, D]` and bias `[H K]` of query, key and value; weight `[D, H K]` and
/// bias `[D]` of the output; LayerNorm gain and offset `[D]`.
#[derive(Debug)]
pub struct Attention {
    /// Sequences and tokens in each.
    pub batch: [usize; 2],
    pub hidden: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Real tokens of each sequence.
    pub lengths: Vec<usize>,
    pub probabilities: Mask,
    pub residual: Residual,
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Saved {
    /// The normalised input of pre-LN, `[R, D]`; empty in post-LN, whose input is x.
    entered: Buffer,
    /// The three weights one below the other, `[3 H K, D]`.
    weights: Buffer,
    /// Queries, keys and values side by side, `[R, 3 H K]`.
    projected: Buffer,
    /// `[B, H, S, S]`.
    probabilities: Buffer,
    /// `[R, H K]`.
    context: Buffer,
    /// Normalised rows `[R, D]` and inverse deviations `[R]`.
    normal: Buffer,
    inverse: Buffer,
}

impl Kernel for Attention {
    type Saved = Saved;

    fn shape(&self) -> Vec<usize> {
        vec![self.batch[0], self.batch[1], self.hidden]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Saved) {
        let ([b, s], d, w) = (self.batch, self.hidden, self.width());
        let (rows, norm, shards) = (b * s, self.norm(inputs), Shards::new(b));
        let entered_width = if self.residual.is_pre() { s * d } else { 0 };
        let mut saved = Saved {
            entered: Buffer::new(b * entered_width),
            weights: concatenate([inputs[1], inputs[3], inputs[5]]),
            projected: Buffer::new(rows * 3 * w),
            probabilities: Buffer::new(b * self.heads * s * s),
            context: Buffer::new(rows * w),
            normal: Buffer::new(rows * d),
            inverse: Buffer::new(rows),
        };
        let biases = concatenate([inputs[2], inputs[4], inputs[6]]);
        let mut output = Buffer::new(rows * d);
        let weights = &saved.weights;
        let tasks = together!(
            shards.ranges(),
            shards.split(inputs[0], s * d),
            shards.split_mut(&mut saved.entered, entered_width),
            shards.split_mut(&mut saved.projected, s * 3 * w),
            shards.split_mut(&mut saved.probabilities, self.heads * s * s),
            shards.split_mut(&mut saved.context, s * w),
            shards.split_mut(&mut saved.normal, s * d),
            shards.split_mut(&mut saved.inverse, s),
            shards.split_mut(&mut output, s * d),
        );
        parallel(tasks, |(range, x, entered, projected, kept, context, normal, inverse, output)| {
            let mut frame = FrameRows { normal, inverse, output };
            let rows = range.len() * s;
            let input = self.residual.enter(x, norm, &mut frame, entered);
            let mut product = MatrixMut::new(projected, rows, 3 * w);
            product.product(Matrix::new(input, rows, d), Matrix::new(weights, 3 * w, d).t(), false);
            add_bias(projected, &biases);
            let mut dropped = Buffer::new(s * s);
            let sequences = projected.chunks(s * 3 * w).zip(kept.chunks_mut(self.heads * s * s));
            for ((sequence, (projected, kept)), context) in range.clone().zip(sequences).zip(context.chunks_mut(s * w))
            {
                self.attend(sequence, projected, kept, &mut dropped, context);
            }
            let mut product = MatrixMut::new(self.residual.branch(&mut frame), rows, d);
            product.product(Matrix::new(context, rows, w), Matrix::new(inputs[7], d, w).t(), false);
            self.residual.leave(x, inputs[8], norm, range.start * s, &mut frame);
        });
        (output, saved)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let ([b, s], d, w) = (self.batch, self.hidden, self.width());
        let (rows, norm, shards) = (b * s, self.norm(inputs), Shards::new(b));
        let mut dx = Buffer::new(rows * d);
        let mut branch = Buffer::new(rows * d);
        let mut projected = Buffer::new(rows * 3 * w);
        let mut sums = vec![(VectorGradients::zeros(d), vec![0.0; 3 * w]); shards.ranges().len()];
        let weights = &saved.weights;
        let tasks = together!(
            shards.ranges(),
            shards.split(output, s * d),
            shards.split(&saved.normal, s * d),
            shards.split(&saved.inverse, s),
            shards.split(&saved.probabilities, self.heads * s * s),
            shards.split(&saved.projected, s * 3 * w),
            shards.split_mut(&mut dx, s * d),
            shards.split_mut(&mut branch, s * d),
            shards.split_mut(&mut projected, s * 3 * w),
            &mut sums,
        );
        parallel(tasks, |(range, output, normal, inverse, kept, forward, dx, branch, projected, sums)| {
            let (rows, frame) = (range.len() * s, (normal, inverse));
            self.residual.leave_backward(output, frame, norm, range.start * s, branch, dx, &mut sums.0);
            let mut context = Buffer::new(rows * w);
            let mut product = MatrixMut::new(&mut context, rows, w);
            product.product(Matrix::new(branch, rows, d), Matrix::new(inputs[7], d, w), false);
            let mut scratch = [Buffer::new(s * s), Buffer::new(s * s)];
            let sequences = forward.chunks(s * 3 * w).zip(kept.chunks(self.heads * s * s));
            let gradients = context.chunks(s * w).zip(projected.chunks_mut(s * 3 * w));
            for ((sequence, forward), gradients) in range.clone().zip(sequences).zip(gradients) {
                self.attend_backward(sequence, forward, gradients, &mut scratch);
            }
            accumulate_rows(&mut sums.1, projected);
            let (projected, weights) = (Matrix::new(projected, rows, 3 * w), Matrix::new(weights, 3 * w, d));
            self.residual.enter_backward(frame, norm, dx, &mut sums.0, |input, accumulate| {
                MatrixMut::new(input, rows, d).product(projected, weights, accumulate);
            });
        });
        let entered = Matrix::new(if self.residual.is_pre() { &saved.entered } else { inputs[0] }, rows, d);
        let mut gradients: [Buffer; 4] = std::array::from_fn(|_| Buffer::new(w * d));
        let [query, key, value, out] = &mut gradients;
        let part = |i: usize| Matrix::new(&projected, rows, 3 * w).columns(i * w, w);
        weight_gradients([
            (&mut **query, part(0), entered),
            (&mut **key, part(1), entered),
            (&mut **value, part(2), entered),
            (&mut **out, Matrix::new(&branch, rows, d), Matrix::new(&saved.context, rows, w)),
        ]);
        let biases = sum_in_order(sums.iter().map(|sums| &sums.1));
        let bias = |i: usize| Buffer::copy_of(&biases[i * w..(i + 1) * w]);
        let total = |part: fn(&VectorGradients) -> &Vec<f32>| sum_in_order(sums.iter().map(|sums| part(&sums.0)));
        let [query, key, value, out] = gradients;
        vec![
            dx,
            query,
            bias(0),
            key,
            bias(1),
            value,
            bias(2),
            out,
            total(|sums| &sums.bias),
            total(|sums| &sums.gain),
            total(|sums| &sums.offset),
        ]
    }
}

impl Attention {
    /// The width of all heads together, `H K`.
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Norm<'a> {
        Norm { gain: inputs[9], offset: inputs[10], eps: self.residual.eps }
    }

    /// What scores are multiplied with, `1 / sqrt(K)`.
    fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }

    /// The context of one sequence.
    ///
    /// # Shapes
    /// - projected: `[S, 3 H K]`; kept (the probabilities): `[H, S, S]`; dropped: scratch `[S, S]`; context: `[S, H K]`
    fn attend(&self, sequence: usize, projected: &[f32], kept: &mut [f32], dropped: &mut [f32], context: &mut [f32]) {
        let (s, k, w) = (self.batch[1], self.head_width, self.width());
        let length = self.lengths[sequence];
        context[length * w..].fill(0.0);
        for (head, kept) in kept.chunks_mut(s * s).enumerate() {
            let part = |i: usize| Matrix::strided(&projected[i * w + head * k..], length, k, 3 * w);
            MatrixMut::strided(kept, length, length, s).product(part(0), part(1).t(), false);
            let first = ((sequence * self.heads + head) * s * s) as u64;
            softmax(kept, [length, s], self.scale(), &self.probabilities, first, dropped);
            let mut context = MatrixMut::strided(&mut context[head * k..], length, k, w);
            context.product(Matrix::strided(dropped, length, length, s), part(2), false);
        }
    }

    /// The gradient of [`attend`](Self::attend), from that of the context to that of the projections.
    fn attend_backward(
        &self,
        sequence: usize,
        (forward, kept): (&[f32], &[f32]),
        (context, projected): (&[f32], &mut [f32]),
        [dropped, scores]: &mut [Buffer; 2],
    ) {
        let (s, k, w) = (self.batch[1], self.head_width, self.width());
        let length = self.lengths[sequence];
        projected[length * 3 * w..].fill(0.0);
        for (head, kept) in kept.chunks(s * s).enumerate() {
            let part = |i: usize| Matrix::strided(&forward[i * w + head * k..], length, k, 3 * w);
            let slopes = Matrix::strided(&context[head * k..], length, k, w);
            MatrixMut::strided(scores, length, length, s).product(slopes, part(2).t(), false);
            softmax_backward(kept, [length, s], self.scale(), self.probabilities.scale(), dropped, scores);
            let dropped = Matrix::strided(dropped, length, length, s);
            let scores = Matrix::strided(scores, length, length, s);
            let mut write = |i: usize, a, b| {
                MatrixMut::strided(&mut projected[i * w + head * k..], length, k, 3 * w).product(a, b, false);
            };
            write(0, scores, part(1));
            write(1, scores.t(), part(0));
            write(2, dropped.t(), slopes);
        }
    }
}

/// Weights one below the other.
fn concatenate(parts: [&[f32]; 3]) -> Buffer {
    let mut whole = Buffer::new(parts.iter().map(|part| part.len()).sum());
    let mut rest = &mut *whole;
    for part in parts {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    whole
}

vectorised! {
    /// Turns scores in place into probabilities, negative where dropout drops them, and writes what is left of them after
    /// dropout to `dropped`. `size` is the length of a row and the
    /// stride between rows; element i of row r is element `first + r stride + i` of the dropout stream.
    fn softmax(
        scores: &mut [f32], size: [usize; 2], scale: f32, mask: &Mask, first: u64, dropped: &mut [f32],
    ) {
        let [length, stride] = size;
        let mut index = first;
        for (row, dropped) in scores.chunks_mut(stride).zip(dropped.chunks_mut(stride)).take(length) {
            let (row, dropped) = (&mut row[..length], &mut dropped[..length]);
            let largest = max_of(row);
            for value in row.iter_mut() {
                *value = exp((*value - largest) * scale);
            }
            let inverse = 1.0 / sum_of(row, row, |a, _| a);
            mask.fill(index, dropped);
            index += stride as u64;
            for (value, dropped) in row.iter_mut().zip(dropped) {
                let (probability, factor) = (*value * inverse, *dropped);
                *dropped = probability * factor;
                *value = if factor == 0.0 { -probability } else { probability };
            }
        }
    }

    /// From the gradients of dropped probabilities in `scores`, those of the scores in place; `dropped` is what [`softmax`]
    /// wrote there.
    fn softmax_backward(
        kept: &[f32], size: [usize; 2], scale: f32, keep_scale: f32, dropped: &mut [f32], scores: &mut [f32],
    ) {
        let [length, stride] = size;
        let rows = kept.chunks(stride).zip(dropped.chunks_mut(stride)).zip(scores.chunks_mut(stride));
        for ((kept, dropped), scores) in rows.take(length) {
            let (kept, dropped, scores) = (&kept[..length], &mut dropped[..length], &mut scores[..length]);
            for (dropped, kept) in dropped.iter_mut().zip(kept) {
                *dropped = if kept.is_sign_negative() { 0.0 } else { kept * keep_scale };
            }
            let projection = sum_of(dropped, scores, |a, b| a * b);
            for ((slope, dropped), kept) in scores.iter_mut().zip(dropped).zip(kept) {
                *slope = scale * dropped.mul_add(*slope, -(kept.abs() * projection));
            }
        }
    }
}
