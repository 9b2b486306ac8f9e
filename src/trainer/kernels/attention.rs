//! The attention sublayer in one operation: projections, scaled masked softmax with dropout on the probabilities, context
//! and output projection, in the frame of dropout, residual sum and LayerNorm.
//!
//! Sequences lie end to end, and each attends to itself at its own length: nothing is masked, for nothing is padded.
//! Probabilities are kept with their sign bit set where dropout dropped them, so the backward pass draws nothing.
//!
//! Shapes: R rows (tokens of the batch), L rows of one sequence, D hidden, H heads, K head width.

use std::ops::Range;
use std::sync::Arc;

use super::dropout::Mask;
use super::isa::vectorised;
use super::math::{accumulate_rows, add_bias, exp, max_of, sum_of};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::relative::Distances;
use super::residual::{FrameRows, Norm, Residual, VectorGradients};
use super::rotary::{Rotary, Turn};
use super::shards::{BatchShards, SHARDS, parallel, sum_in_order, together, weight_gradients};
use crate::trainer::sequences::Sequences;

/// The sublayer. Inputs: x `[R, D]`; weight `[H K, D]` and bias `[H K]` of query, key and value; weight `[D, H K]` and
/// bias `[D]` of the output; LayerNorm gain and offset `[D]`, where it normalises; vectors of distances `[2 P - 1, K]`, where it
/// has them.
#[derive(Debug)]
pub struct Attention {
    pub sequences: Arc<Sequences>,
    pub hidden: usize,
    pub heads: usize,
    pub head_width: usize,
    /// What turns queries and keys, if anything does.
    pub rotary: Option<Arc<Rotary>>,
    /// Whether scores have a term for the distance of their tokens.
    pub is_relative: bool,
    /// How many tokens to each side a token sees; absent: all.
    pub reach: Option<usize>,
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
    /// For each sequence `[H, L, L]`, rows a score stride apart.
    probabilities: Buffer,
    /// `[R, H K]`.
    context: Buffer,
    /// Normalised rows `[R, D]` and inverse deviations `[R]`.
    normal: Buffer,
    inverse: Buffer,
}

impl Kernel for Attention {
    const NAME: &'static str = "attention";
    type Saved = Saved;

    fn shape(&self) -> Vec<usize> {
        vec![self.sequences.rows(), self.hidden]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Saved) {
        let (rows, d, w) = (self.sequences.rows(), self.hidden, self.width());
        let (norm, shards) = (self.norm(inputs), BatchShards::new(&self.sequences));
        let (entered_width, kept) = (if self.residual.is_pre() { d } else { 0 }, self.residual.kept_width(d));
        let mut saved = Saved {
            entered: Buffer::new(rows * entered_width),
            weights: concatenate([inputs[1], inputs[3], inputs[5]]),
            projected: Buffer::new(rows * 3 * w),
            probabilities: Buffer::new(self.heads * self.sequences.scores()[self.sequences.len()]),
            context: Buffer::new(rows * w),
            normal: Buffer::new(rows * kept),
            inverse: Buffer::new(rows),
        };
        let biases = concatenate([inputs[2], inputs[4], inputs[6]]);
        let mut output = Buffer::new(rows * d);
        let (weights, distances) = (&saved.weights, self.distances(inputs));
        let tasks = together!(
            shards.sequences.ranges(),
            shards.rows.split(inputs[0], d),
            shards.rows.split_mut(&mut saved.entered, entered_width),
            shards.rows.split_mut(&mut saved.projected, 3 * w),
            shards.scores.split_mut(&mut saved.probabilities, self.heads),
            shards.rows.split_mut(&mut saved.context, w),
            shards.rows.split_mut(&mut saved.normal, kept),
            shards.rows.split_mut(&mut saved.inverse, 1),
            shards.rows.split_mut(&mut output, d),
        );
        parallel(tasks, |(range, x, entered, projected, kept, context, normal, inverse, output)| {
            let mut frame = FrameRows { normal, inverse, output };
            let (first_row, rows) = (self.sequences.starts()[range.start], x.len() / d);
            let input = self.residual.enter(x, norm, &mut frame, entered);
            let mut product = MatrixMut::new(projected, rows, 3 * w);
            product.product(Matrix::new(input, rows, d), Matrix::new(weights, 3 * w, d).t(), false);
            add_bias(projected, &biases);
            self.turn(range, projected, Turn::Forth);
            let mut scratch = [self.largest_score_matrix(range), self.largest_terms(range)].map(Buffer::new);
            let (mut projected, mut kept, mut contexts) = (&*projected, kept, &mut *context);
            for sequence in range.clone() {
                let length = self.sequences.length(sequence);
                let projected = projected.split_off(..length * 3 * w).expect("invariant: a shard's rows");
                let kept = kept.split_off_mut(..self.scores_of(sequence)).expect("invariant: a shard's scores");
                let context = contexts.split_off_mut(..length * w).expect("invariant: a shard's rows");
                self.attend(sequence, (projected, distances), kept, &mut scratch, context);
            }
            let mut product = MatrixMut::new(self.residual.branch(&mut frame), rows, d);
            product.product(Matrix::new(context, rows, w), Matrix::new(inputs[7], d, w).t(), false);
            self.residual.leave(x, inputs[8], norm, first_row, &mut frame);
        });
        (output, saved)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let (rows, d, w) = (self.sequences.rows(), self.hidden, self.width());
        let (norm, shards) = (self.norm(inputs), BatchShards::new(&self.sequences));
        let mut dx = Buffer::new(rows * d);
        let mut branch = Buffer::new(rows * d);
        let mut projected = Buffer::new(rows * 3 * w);
        let (weights, distances) = (&saved.weights, self.distances(inputs));
        let of_distances = vec![0.0; distances.map_or(0, <[f32]>::len)];
        let mut sums = vec![(VectorGradients::zeros(d), vec![0.0; 3 * w], of_distances); SHARDS];
        let tasks = together!(
            shards.sequences.ranges(),
            shards.rows.split(output, d),
            shards.rows.split(&saved.normal, self.residual.kept_width(d)),
            shards.rows.split(&saved.inverse, 1),
            shards.scores.split(&saved.probabilities, self.heads),
            shards.rows.split(&saved.projected, 3 * w),
            shards.rows.split_mut(&mut dx, d),
            shards.rows.split_mut(&mut branch, d),
            shards.rows.split_mut(&mut projected, 3 * w),
            &mut sums,
        );
        parallel(tasks, |(range, output, normal, inverse, kept, forward, dx, branch, projected, sums)| {
            let (rows, frame) = (inverse.len(), (normal, inverse));
            let first_row = self.sequences.starts()[range.start];
            self.residual.leave_backward(output, frame, norm, first_row, branch, dx, &mut sums.0);
            let mut context = Buffer::new(rows * w);
            let mut product = MatrixMut::new(&mut context, rows, w);
            product.product(Matrix::new(branch, rows, d), Matrix::new(inputs[7], d, w), false);
            let scores = self.largest_score_matrix(range);
            let mut scratch = [scores, scores, self.largest_terms(range)].map(Buffer::new);
            let (mut forward, mut kept, mut contexts) = (forward, kept, &*context);
            let mut slopes = &mut *projected;
            for sequence in range.clone() {
                let (length, rows) = (self.sequences.length(sequence), "invariant: a shard's rows");
                let forward = forward.split_off(..length * 3 * w).expect(rows);
                let kept = kept.split_off(..self.scores_of(sequence)).expect("invariant: a shard's scores");
                let context = contexts.split_off(..length * w).expect(rows);
                let slopes = slopes.split_off_mut(..length * 3 * w).expect(rows);
                let distances = distances.map(|vectors| (vectors, &mut *sums.2));
                self.attend_backward(sequence, (forward, kept), (context, slopes), distances, &mut scratch);
            }
            self.turn(range, projected, Turn::Back);
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
        let mut gradients = vec![dx, query, bias(0), key, bias(1), value, bias(2), out, total(|sums| &sums.bias)];
        if self.residual.position.is_some() {
            gradients.extend([total(|sums| &sums.gain), total(|sums| &sums.offset)]);
        }
        gradients.extend(distances.map(|_| sum_in_order(sums.iter().map(|sums| &sums.2))));
        gradients
    }
}

impl Attention {
    /// The width of all heads together, `H K`.
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Norm<'a> {
        let [gain, offset] = if self.residual.position.is_some() { [inputs[9], inputs[10]] } else { [&[][..]; 2] };
        Norm { gain, offset, how: self.residual.norm }
    }

    /// The vectors of distances, where there are some.
    fn distances<'a>(&self, inputs: &[&'a [f32]]) -> Option<&'a [f32]> {
        self.is_relative.then(|| inputs[inputs.len() - 1])
    }

    /// Turns the queries and keys of some sequences, or their gradients back.
    fn turn(&self, sequences: &Range<usize>, projected: &mut [f32], turn: Turn) {
        let Some(rotary) = &self.rotary else { return };
        let (stride, mut rest) = (3 * self.width(), projected);
        for sequence in sequences.clone() {
            let rows = rest.split_off_mut(..self.sequences.length(sequence) * stride);
            rotary.turn(rows.expect("invariant: a shard's rows"), 2 * self.heads, stride, turn);
        }
    }

    /// What scores are multiplied with, `1 / sqrt(K)`.
    fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }

    /// Scores of all heads of a sequence.
    fn scores_of(&self, sequence: usize) -> usize {
        self.heads * self.sequences.length(sequence) * self.sequences.score_stride(sequence)
    }

    /// Scores of one head of the longest of some sequences.
    fn largest_score_matrix(&self, sequences: &Range<usize>) -> usize {
        sequences.clone().map(|b| self.sequences.length(b) * self.sequences.score_stride(b)).max().unwrap_or(0)
    }

    /// Terms of the scores of one head of some sequences by distance, at most; 0 where there are none.
    fn largest_terms(&self, sequences: &Range<usize>) -> usize {
        let terms = |b| Distances::new(self.sequences.length(b), self.reach).terms();
        if self.is_relative { sequences.clone().map(terms).max().unwrap_or(0) } else { 0 }
    }

    /// The context of one sequence.
    ///
    /// # Shapes
    /// - projected: `[L, 3 H K]`; distances: `[2 P - 1, K]`; kept (the probabilities): `[H, L, L]`; dropped: scratch `[L, L]`;
    ///   terms: scratch `[L, N]`; context: `[L, H K]`
    fn attend(
        &self,
        sequence: usize,
        (projected, distances): (&[f32], Option<&[f32]>),
        kept: &mut [f32],
        [dropped, terms]: &mut [Buffer; 2],
        context: &mut [f32],
    ) {
        let (k, w, reach) = (self.head_width, self.width(), self.reach.unwrap_or(usize::MAX));
        let (length, s) = (self.sequences.length(sequence), self.sequences.score_stride(sequence));
        for (head, kept) in kept.chunks_mut((length * s).max(1)).enumerate() {
            let part = |i: usize| Matrix::strided(&projected[i * w + head * k..], length, k, 3 * w);
            MatrixMut::strided(kept, length, length, s).product(part(0), part(1).t(), false);
            if let Some(vectors) = distances {
                Distances::new(length, self.reach).add(kept, s, part(0), vectors, terms);
            }
            let first = self.sequences.first_score(sequence, head, self.heads) as u64;
            softmax(kept, [length, s, reach], self.scale(), &self.probabilities, first, dropped);
            let mut context = MatrixMut::strided(&mut context[head * k..], length, k, w);
            context.product(Matrix::strided(dropped, length, length, s), part(2), false);
        }
    }

    /// The gradient of [`attend`](Self::attend), from that of the context to that of the projections, and added to that of the
    /// vectors of distances.
    fn attend_backward(
        &self,
        sequence: usize,
        (forward, kept): (&[f32], &[f32]),
        (context, projected): (&[f32], &mut [f32]),
        mut distances: Option<(&[f32], &mut [f32])>,
        [dropped, scores, terms]: &mut [Buffer; 3],
    ) {
        let (k, w) = (self.head_width, self.width());
        let (length, s) = (self.sequences.length(sequence), self.sequences.score_stride(sequence));
        for (head, kept) in kept.chunks((length * s).max(1)).enumerate() {
            let part = |i: usize| Matrix::strided(&forward[i * w + head * k..], length, k, 3 * w);
            let slopes = Matrix::strided(&context[head * k..], length, k, w);
            MatrixMut::strided(scores, length, length, s).product(slopes, part(2).t(), false);
            softmax_backward(kept, [length, s], self.scale(), self.probabilities.scale(), dropped, scores);
            let of_scores = Matrix::strided(scores, length, length, s);
            let mut write = |i: usize, a, b| {
                MatrixMut::strided(&mut projected[i * w + head * k..], length, k, 3 * w).product(a, b, false);
            };
            write(0, of_scores, part(1));
            write(1, of_scores.t(), part(0));
            write(2, Matrix::strided(dropped, length, length, s).t(), slopes);
            if let Some((vectors, sums)) = &mut distances {
                let mut query = MatrixMut::strided(&mut projected[head * k..], length, k, 3 * w);
                let seen = Distances::new(length, self.reach);
                seen.add_backward((scores, s), (part(0), vectors), (&mut query, sums), terms);
            }
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
    /// dropout to `dropped`. `size` is the length of a row, the stride between
    /// rows, and how many tokens to each side have a probability at all; element i of row r is element
    /// `first + r stride + i` of the dropout stream.
    fn softmax(
        scores: &mut [f32], size: [usize; 3], scale: f32, mask: &Mask, first: u64, dropped: &mut [f32],
    ) {
        let [length, stride, reach] = size;
        let mut index = first;
        let rows = scores.chunks_mut(stride).zip(dropped.chunks_mut(stride)).take(length);
        for (r, (row, dropped)) in rows.enumerate() {
            let seen = r.saturating_sub(reach)..length.min(r.saturating_add(reach).saturating_add(1));
            mask.fill(index, &mut dropped[..length]);
            for unseen in [0..seen.start, seen.end..length] {
                row[unseen.clone()].fill(0.0);
                dropped[unseen].fill(0.0);
            }
            let (row, dropped) = (&mut row[seen.clone()], &mut dropped[seen]);
            let largest = max_of(row);
            for value in row.iter_mut() {
                *value = exp((*value - largest) * scale);
            }
            let inverse = 1.0 / sum_of(row, row, |a, _| a);
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
