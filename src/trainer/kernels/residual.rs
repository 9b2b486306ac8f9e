//! What surrounds every sublayer: dropout, the residual sum and the normalisation, and their gradients.
//!
//! Post-LN is `LayerNorm(x + Dropout(f(x)))`, pre-LN is `x + Dropout(f(LayerNorm(x)))`, and without a norm it is
//! `x + Dropout(f(x))`. Rows are handled in strips that stay in the first-level cache, so the passes of a strip cost one trip
//! to memory.
//!
//! Normalised rows `(r - mean) / deviation` and the inverse deviations are what the backward pass needs and keeps.

use super::dropout::Mask;
use super::isa::vectorised;
use super::math::{accumulate, sum_of};
use super::pool::Buffer;
use crate::plan::{NormPosition, NormType};

/// Rows whose dropout factors are drawn together.
const STRIP: usize = 8;

/// How rows are normalised: RMSNorm is LayerNorm that takes the mean of a row for 0.
#[derive(Clone, Copy, Debug)]
pub struct Normalisation {
    pub norm_type: NormType,
    pub eps: f32,
}

impl Normalisation {
    fn centres(self) -> bool {
        self.norm_type == NormType::LayerNorm
    }
}

/// A normalisation with its gain and its offset.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    pub gain: &'a [f32],
    pub offset: &'a [f32],
    pub how: Normalisation,
}

/// Sums that a shard collects for the gradients of its vectors.
#[derive(Clone, Debug)]
pub struct VectorGradients {
    pub gain: Vec<f32>,
    pub offset: Vec<f32>,
    /// Of the bias of the sublayer's last projection.
    pub bias: Vec<f32>,
}

impl VectorGradients {
    /// No sums yet, for rows of `width`.
    pub fn zeros(width: usize) -> Self {
        Self { gain: vec![0.0; width], offset: vec![0.0; width], bias: vec![0.0; width] }
    }
}

/// The frame of one sublayer.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// Absent: nothing is normalised, and the norm's vectors are empty.
    pub position: Option<NormPosition>,
    pub norm: Normalisation,
    pub mask: Mask,
}

/// One shard's rows in the frame, forward.
#[derive(Debug)]
pub struct FrameRows<'a> {
    /// Normalised rows, `[rows, D]`.
    pub normal: &'a mut [f32],
    /// Inverse standard deviations, `[rows]`.
    pub inverse: &'a mut [f32],
    /// The sublayer's output, `[rows, D]`.
    pub output: &'a mut [f32],
}

impl Residual {
    /// Whether the sublayer's function reads a normalised input rather than the residual stream itself.
    pub fn is_pre(&self) -> bool {
        self.position == Some(NormPosition::Pre)
    }

    /// Whether the residual sum is normalised.
    fn is_post(&self) -> bool {
        self.position == Some(NormPosition::Post)
    }

    /// The width of the normalised rows that the frame keeps, of rows of `width`: 0 where there are none.
    pub fn kept_width(&self, width: usize) -> usize {
        if self.position.is_some() { width } else { 0 }
    }

    /// The input of the function: `x` itself in post-LN; `LayerNorm(x)`, written to `entered`, in pre-LN.
    pub fn enter<'a>(&self, x: &'a [f32], norm: Norm, rows: &mut FrameRows, entered: &'a mut [f32]) -> &'a [f32] {
        if !self.is_pre() {
            return x;
        }
        rows.normal.copy_from_slice(x);
        normalise(rows.normal, rows.inverse, norm, entered);
        entered
    }

    /// Where the function writes its last product: the frame finishes it in place.
    pub fn branch<'a>(&self, rows: &'a mut FrameRows) -> &'a mut [f32] {
        if self.is_post() { rows.normal } else { rows.output }
    }

    /// Adds the bias, drops, adds `x`, and in post-LN normalises. `first_row` is the shard's first row in the batch.
    pub fn leave(&self, x: &[f32], bias: &[f32], norm: Norm, first_row: usize, rows: &mut FrameRows) {
        let width = bias.len();
        let mut factors = vec![0.0; STRIP * width];
        let strips = self.branch(rows).chunks_mut(STRIP * width).zip(x.chunks(STRIP * width));
        for (i, (branch, x)) in strips.enumerate() {
            let factors = &mut factors[..branch.len()];
            self.mask.fill(((first_row + i * STRIP) * width) as u64, factors);
            add_residual(branch, bias, factors, x);
        }
        if self.is_post() {
            normalise(rows.normal, rows.inverse, norm, rows.output);
        }
    }

    /// The gradient of [`leave`](Self::leave): of the branch to `branch`, of the residual input to `input`.
    #[allow(clippy::too_many_arguments, reason = "one shard's slices of everything that the frame touched")]
    pub fn leave_backward(
        &self,
        output: &[f32],
        (normal, inverse): (&[f32], &[f32]),
        norm: Norm,
        first_row: usize,
        branch: &mut [f32],
        input: &mut [f32],
        sums: &mut VectorGradients,
    ) {
        let width = sums.bias.len();
        if self.is_post() {
            normalise_backward(output, (normal, inverse), norm, input, sums);
        } else {
            input.copy_from_slice(output);
        }
        let mut factors = vec![0.0; STRIP * width];
        for (i, (branch, input)) in branch.chunks_mut(STRIP * width).zip(input.chunks(STRIP * width)).enumerate() {
            let factors = &mut factors[..branch.len()];
            self.mask.fill(((first_row + i * STRIP) * width) as u64, factors);
            drop_backward(input, factors, branch, &mut sums.bias);
        }
    }

    /// The gradient of [`enter`](Self::enter), added to `x`. `product` writes the gradient of the function's input to its
    /// slice, or adds it to what is there.
    pub fn enter_backward(
        &self,
        (normal, inverse): (&[f32], &[f32]),
        norm: Norm,
        x: &mut [f32],
        sums: &mut VectorGradients,
        product: impl FnOnce(&mut [f32], bool),
    ) {
        if !self.is_pre() {
            return product(x, true);
        }
        let mut input = Buffer::new(x.len());
        product(&mut input, false);
        let mut strip = vec![0.0; STRIP * norm.gain.len()];
        let width = strip.len();
        let strips = input.chunks(width).zip(normal.chunks(width)).zip(inverse.chunks(STRIP)).zip(x.chunks_mut(width));
        for (((input, normal), inverse), x) in strips {
            let strip = &mut strip[..input.len()];
            normalise_backward(input, (normal, inverse), norm, strip, sums);
            accumulate(x, strip);
        }
    }
}

/// Normalises the rows of `values` in place and writes `normal * gain + offset` to `output`.
///
/// # Shapes
/// - values, output: `[rows, D]`; inverse: `[rows]`
pub fn normalise(values: &mut [f32], inverse: &mut [f32], norm: Norm, output: &mut [f32]) {
    normalise_rows(values, inverse, norm.gain, norm.offset, norm.how.eps, norm.how.centres(), output);
}

/// The gradient of [`normalise`]: of its input to `input`; those of gain and offset are added to their sums.
pub fn normalise_backward(
    output: &[f32],
    (normal, inverse): (&[f32], &[f32]),
    norm: Norm,
    input: &mut [f32],
    sums: &mut VectorGradients,
) {
    let (gain_sum, offset_sum) = (&mut sums.gain, &mut sums.offset);
    normalise_rows_backward(output, normal, inverse, norm.gain, norm.how.centres(), input, gain_sum, offset_sum);
}

vectorised! {
    fn normalise_rows(
        values: &mut [f32], inverse: &mut [f32], gain: &[f32], offset: &[f32], eps: f32, centres: bool,
        output: &mut [f32],
    ) {
        let width = gain.len();
        let rows = values.chunks_exact_mut(width).zip(output.chunks_exact_mut(width)).zip(inverse);
        for ((row, output), inverse) in rows {
            let mean = if centres { sum_of(row, row, |a, _| a) / width as f32 } else { 0.0 };
            let variance = sum_of(row, row, |a, _| (a - mean) * (a - mean)) / width as f32;
            *inverse = 1.0 / (variance + eps).sqrt();
            for (((value, output), gain), offset) in row.iter_mut().zip(output).zip(gain).zip(offset) {
                *value = (*value - mean) * *inverse;
                *output = value.mul_add(*gain, *offset);
            }
        }
    }

    fn normalise_rows_backward(
        output: &[f32], normal: &[f32], inverse: &[f32], gain: &[f32], centres: bool,
        input: &mut [f32], gain_sum: &mut [f32], offset_sum: &mut [f32],
    ) {
        let width = gain.len();
        let rows = output.chunks_exact(width).zip(normal.chunks_exact(width)).zip(inverse);
        for (((output, normal), inverse), input) in rows.zip(input.chunks_exact_mut(width)) {
            for ((slope, output), gain) in input.iter_mut().zip(output).zip(gain) {
                *slope = output * gain;
            }
            let sums = gain_sum.iter_mut().zip(offset_sum.iter_mut());
            for ((output, normal), (gain, offset)) in output.iter().zip(normal).zip(sums) {
                *gain = output.mul_add(*normal, *gain);
                *offset += output;
            }
            let mean = if centres { sum_of(input, input, |a, _| a) / width as f32 } else { 0.0 };
            let projection = sum_of(input, normal, |a, b| a * b) / width as f32;
            for (slope, normal) in input.iter_mut().zip(normal) {
                *slope = inverse * normal.mul_add(-projection, *slope - mean);
            }
        }
    }

    /// `branch = x + (branch + bias) * factors`.
    fn add_residual(branch: &mut [f32], bias: &[f32], factors: &[f32], x: &[f32]) {
        let width = bias.len();
        let rows = branch.chunks_exact_mut(width).zip(factors.chunks_exact(width)).zip(x.chunks_exact(width));
        for ((branch, factors), x) in rows {
            for (((value, bias), factor), x) in branch.iter_mut().zip(bias).zip(factors).zip(x) {
                *value = (*value + bias).mul_add(*factor, *x);
            }
        }
    }

    /// `branch = input * factors`, whose sum over rows is added to `bias`.
    fn drop_backward(input: &[f32], factors: &[f32], branch: &mut [f32], bias: &mut [f32]) {
        let width = bias.len();
        let rows = branch.chunks_exact_mut(width).zip(factors.chunks_exact(width)).zip(input.chunks_exact(width));
        for ((branch, factors), input) in rows {
            for (((slope, bias), factor), input) in branch.iter_mut().zip(bias.iter_mut()).zip(factors).zip(input) {
                *slope = input * factor;
                *bias += *slope;
            }
        }
    }
}
