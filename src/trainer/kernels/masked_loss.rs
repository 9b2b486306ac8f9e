//! The masked-language-model loss in one operation: gather the masked rows, transform them, project them onto the
//! vocabulary, and take the mean cross-entropy.
//!
//! The vocabulary is cut into fixed ranges, each the work of one task, so that a task's slice of the projection's gradient
//! is its own and its logits are exponentiated once: the forward pass leaves `e^(logit - m)` with m the largest logit of
//! the row within the range, and the backward pass only scales them.
//!
//! Shapes: R rows of the batch, M masked rows, D hidden, V vocabulary.

use super::embedding::scatter;
use super::isa::vectorised;
use super::math::{accumulate, accumulate_rows, activate_rows, exp, max_of, multiply_by, sum_of};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::residual::{Norm, Normalisation, VectorGradients, normalise, normalise_backward};
use super::shards::{SHARDS, Shards, parallel, sum_in_order, together, weight_gradients};
use crate::plan::Activation;

/// The loss. Inputs: hidden states `[R, D]`, projection `[V, D]`, its bias `[V]` where it has one, and of the transform,
/// where there is one, weight `[D, D]`, bias `[D]`, LayerNorm gain and offset `[D]`.
#[derive(Debug)]
pub struct MaskedLoss {
    pub hidden: usize,
    pub vocabulary: usize,
    /// The masked rows of the batch and their labels, M each.
    pub rows: Vec<u32>,
    pub labels: Vec<u32>,
    pub has_bias: bool,
    pub transform: Option<Transform>,
}

/// Dense, activation and LayerNorm before the projection.
#[derive(Clone, Copy, Debug)]
pub struct Transform {
    pub activation: Activation,
    pub norm: Normalisation,
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Saved {
    chosen: Chosen,
    /// For each vocabulary range `[M, width]`: `e^(logit - m)`.
    exponentials: Buffer,
    /// For each vocabulary range `[M]`: what turns exponentials into probabilities.
    scales: Buffer,
}

/// The masked rows on their way to the projection.
#[derive(Debug)]
struct Chosen {
    /// Of the hidden states, `[M, D]`.
    hidden: Buffer,
    /// Of the transform: derivatives `[M, D]`, normalised rows `[M, D]`, inverse deviations `[M]`, output `[M, D]`. Without
    /// one they are empty, and the output is `hidden`.
    derivatives: Buffer,
    normal: Buffer,
    inverse: Buffer,
    transformed: Buffer,
}

/// What one row says within one vocabulary range.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    largest: f32,
    /// Of `e^(logit - largest)`.
    sum: f32,
    /// The label's logit; 0 where the label is in another range.
    label: f32,
}

impl Kernel for MaskedLoss {
    const NAME: &'static str = "MLM head and loss";
    type Saved = Saved;

    fn shape(&self) -> Vec<usize> {
        vec![1]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Saved) {
        let (m, d) = (self.rows.len(), self.hidden);
        let chosen = self.transform(inputs);
        let mut exponentials = Buffer::new(m * self.vocabulary);
        let mut scales = Buffer::new(SHARDS * m);
        let ranges = Shards::new(self.vocabulary);
        let mut parts = vec![Part::default(); SHARDS * m];
        let input = Matrix::new(chosen.projected(), m, d);
        let tasks = together!(
            ranges.ranges(),
            ranges.split(inputs[1], d),
            ranges.split_mut(&mut exponentials, m),
            parts.chunks_mut(m.max(1)),
        );
        parallel(tasks, |(range, weight, logits, parts)| {
            let width = range.len();
            MatrixMut::new(logits, m, width).product(input, Matrix::new(weight, width, d).t(), false);
            let bias = if self.has_bias { &inputs[2][range.clone()] } else { &[] };
            exponentiate(logits, bias, range.start, &self.labels, width, parts);
        });
        let mut total = 0.0;
        for row in 0..m {
            let parts = || parts.iter().skip(row).step_by(m);
            let largest = parts().fold(f32::NEG_INFINITY, |a, part| a.max(part.largest));
            let sum: f32 = parts().map(|part| part.sum * exp(part.largest - largest)).sum();
            let label: f32 = parts().map(|part| part.label).sum();
            for (i, part) in parts().enumerate() {
                scales[i * m + row] = exp(part.largest - largest) / sum;
            }
            total += libm::log(f64::from(sum)) + f64::from(largest) - f64::from(label);
        }
        (Buffer::copy_of(&[(total / m.max(1) as f64) as f32]), Saved { chosen, exponentials, scales })
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let (m, d, v) = (self.rows.len(), self.hidden, self.vocabulary);
        let ranges = Shards::new(v);
        let weight = output[0] / m.max(1) as f32;
        let mut projection = Buffer::new(v * d);
        let mut bias = Buffer::zeros(if self.has_bias { v } else { 0 });
        let mut slopes = Buffer::new(SHARDS * m * d);
        let Saved { chosen, mut exponentials, scales } = saved;
        let input = Matrix::new(chosen.projected(), m, d);
        let tasks = together!(
            ranges.ranges(),
            ranges.split(inputs[1], d),
            ranges.split_mut(&mut exponentials, m),
            scales.chunks(m.max(1)),
            ranges.split_mut(&mut projection, d),
            ranges.split_mut(&mut bias, usize::from(self.has_bias)),
            slopes.chunks_mut((m * d).max(1)),
        );
        parallel(tasks, |(range, table, logits, scales, projection, bias, slopes)| {
            let width = range.len();
            logit_gradients(logits, scales, weight, range.start, &self.labels, width);
            if self.has_bias && width > 0 {
                accumulate_rows(bias, logits);
            }
            let logits = Matrix::new(logits, m, width);
            MatrixMut::new(projection, width, d).product(logits.t(), input, false);
            MatrixMut::new(slopes, m, d).product(logits, Matrix::new(table, width, d), false);
        });
        let (first, rest) = slopes.split_at_mut(m * d);
        for part in rest.chunks((m * d).max(1)) {
            accumulate(first, part);
        }
        let (slopes, transform) = self.transform_backward(inputs, &chosen, first);
        let hidden = scatter(&slopes, d, inputs[0].len() / d, &self.rows);
        let mut gradients = vec![hidden, projection];
        gradients.extend(self.has_bias.then_some(bias));
        gradients.extend(transform);
        gradients
    }
}

impl Chosen {
    /// The rows that are projected onto the vocabulary.
    fn projected(&self) -> &[f32] {
        if self.transformed.is_empty() { &self.hidden } else { &self.transformed }
    }
}

impl MaskedLoss {
    /// The inputs of the transform: weight, bias and LayerNorm.
    fn transform_inputs<'a>(&self, inputs: &[&'a [f32]], how: Normalisation) -> (&'a [f32], &'a [f32], Norm<'a>) {
        let first = 2 + usize::from(self.has_bias);
        let norm = Norm { gain: inputs[first + 2], offset: inputs[first + 3], how };
        (inputs[first], inputs[first + 1], norm)
    }

    /// Gathers the masked rows and transforms them.
    fn transform(&self, inputs: &[&[f32]]) -> Chosen {
        let (m, d) = (self.rows.len(), self.hidden);
        let transformed = if self.transform.is_some() { m * d } else { 0 };
        let mut chosen = Chosen {
            hidden: Buffer::new(m * d),
            derivatives: Buffer::new(transformed),
            normal: Buffer::new(transformed),
            inverse: Buffer::new(if self.transform.is_some() { m } else { 0 }),
            transformed: Buffer::new(transformed),
        };
        for (row, place) in self.rows.iter().zip(chosen.hidden.chunks_exact_mut(d)) {
            let start = *row as usize * d;
            place.copy_from_slice(&inputs[0][start..start + d]);
        }
        let Some(Transform { activation, norm }) = self.transform else { return chosen };
        let (weight, bias, norm) = self.transform_inputs(inputs, norm);
        let shards = Shards::new(m);
        let tasks = together!(
            shards.split(&chosen.hidden, d),
            shards.split_mut(&mut chosen.derivatives, d),
            shards.split_mut(&mut chosen.normal, d),
            shards.split_mut(&mut chosen.inverse, 1),
            shards.split_mut(&mut chosen.transformed, d),
        );
        parallel(tasks, |(hidden, derivatives, normal, inverse, transformed)| {
            let rows = inverse.len();
            let mut product = MatrixMut::new(normal, rows, d);
            product.product(Matrix::new(hidden, rows, d), Matrix::new(weight, d, d).t(), false);
            activate_rows(activation, normal, bias, derivatives);
            normalise(normal, inverse, norm, transformed);
        });
        chosen
    }

    /// From the gradient of the projected rows, that of the chosen rows and those of the transform's parameters.
    fn transform_backward(&self, inputs: &[&[f32]], chosen: &Chosen, slopes: &[f32]) -> (Buffer, Vec<Buffer>) {
        let (m, d) = (self.rows.len(), self.hidden);
        let Some(Transform { norm, .. }) = self.transform else { return (Buffer::copy_of(slopes), Vec::new()) };
        let (weight, _, norm) = self.transform_inputs(inputs, norm);
        let shards = Shards::new(m);
        let mut inner = Buffer::new(m * d);
        let mut hidden = Buffer::new(m * d);
        let mut sums = vec![VectorGradients::zeros(d); SHARDS];
        let tasks = together!(
            shards.split(slopes, d),
            shards.split(&chosen.derivatives, d),
            shards.split(&chosen.normal, d),
            shards.split(&chosen.inverse, 1),
            shards.split_mut(&mut inner, d),
            shards.split_mut(&mut hidden, d),
            &mut sums,
        );
        parallel(tasks, |(slopes, derivatives, normal, inverse, inner, hidden, sums)| {
            let rows = inverse.len();
            normalise_backward(slopes, (normal, inverse), norm, inner, sums);
            multiply_by(inner, derivatives);
            accumulate_rows(&mut sums.bias, inner);
            let mut product = MatrixMut::new(hidden, rows, d);
            product.product(Matrix::new(inner, rows, d), Matrix::new(weight, d, d), false);
        });
        let mut gradient = Buffer::new(d * d);
        weight_gradients([(&mut *gradient, Matrix::new(&inner, m, d), Matrix::new(&chosen.hidden, m, d))]);
        let total = |part: fn(&VectorGradients) -> &Vec<f32>| sum_in_order(sums.iter().map(part));
        let gradients = vec![gradient, total(|sums| &sums.bias), total(|sums| &sums.gain), total(|sums| &sums.offset)];
        (hidden, gradients)
    }
}

vectorised! {
    /// Adds the bias (unless it is empty) to each row of logits and replaces them by `e^(logit - largest)`.
    fn exponentiate(logits: &mut [f32], bias: &[f32], first: usize, labels: &[u32], width: usize, parts: &mut [Part]) {
        for ((row, label), part) in logits.chunks_exact_mut(width.max(1)).zip(labels).zip(parts.iter_mut()) {
            for (logit, bias) in row.iter_mut().zip(bias) {
                *logit += bias;
            }
            part.label = (*label as usize).checked_sub(first).and_then(|i| row.get(i)).copied().unwrap_or(0.0);
            let largest = max_of(row);
            for logit in row.iter_mut() {
                *logit = exp(*logit - largest);
            }
            part.largest = largest;
            part.sum = sum_of(row, row, |a, _| a);
        }
        if width == 0 {
            parts.fill(Part { largest: f32::NEG_INFINITY, sum: 0.0, label: 0.0 });
        }
    }

    /// From exponentials, in place, the gradients of the logits: `weight * (probability - [is the label])`.
    fn logit_gradients(
        logits: &mut [f32], scales: &[f32], weight: f32, first: usize, labels: &[u32], width: usize,
    ) {
        for ((row, label), scale) in logits.chunks_exact_mut(width.max(1)).zip(labels).zip(scales) {
            let scale = scale * weight;
            for logit in row.iter_mut() {
                *logit *= scale;
            }
            if let Some(logit) = (*label as usize).checked_sub(first).and_then(|i| row.get_mut(i)) {
                *logit -= weight;
            }
        }
    }
}
