//! Exponential, normal distribution and activation functions without branches, so that loops over them vectorise.
//!
//! Errors are measured against libm's f64 functions in the tests below: `exp` 1.2e-7 relative, the normal tail 3e-6
//! relative at ten deviations and less before, activations and their derivatives 3e-7 absolute (values beyond 1: relative
//! to x).

use super::isa::vectorised;
use crate::plan::Activation;

/// Independent sums that every reduction runs over, at every register width.
pub const LANES: usize = 16;

/// `e^x`, for x held within [-87, 88]: below that `e^-87` (1.6e-38), which is as good as nothing in every use here.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Added to a number below 2^22, this leaves its nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has trailing zeros, so that its product with a small integer is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    // Chebyshev approximation of e^r on [-ln 2 / 2, ln 2 / 2], error 2e-9.
    let mut p = 1.394_110_8e-3f32;
    for coefficient in [8.375_127e-3, 4.166_635e-2, 0.166_664_15, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, coefficient);
    }
    p * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// `(1 - Phi(|x|), e^(-x^2/2))`: the upper tail of the standard normal distribution, and its unnormalised density.
#[inline(always)]
fn normal_tail(x: f32) -> (f32, f32) {
    let density = exp(-0.5 * x * x);
    // (1 - Phi(x)) / (t e^(-x^2/2)) as a polynomial in t = 1 / (1 + 0.3 x) for x in [0, 10]; Chebyshev, error 3e-8.
    let t = 1.0 / x.abs().mul_add(0.3, 1.0);
    let mut p = 0.038_115_073f32;
    for coefficient in
        [-0.167_595_91, 0.224_740_3, -0.071_153_216, 0.138_162_5, 0.096_869_08, 0.121_268_66, 0.119_593_55]
    {
        p = p.mul_add(t, coefficient);
    }
    (p * t * density, density)
}

/// GELU and its derivative: `x Phi(x)` and `Phi(x) + x phi(x)`.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    const DENSITY_SCALE: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    let (tail, density) = normal_tail(x);
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    (x * cdf, (x * DENSITY_SCALE).mul_add(density, cdf))
}

/// The tanh approximation of GELU and its derivative: `(1 + tanh u) / 2` is the logistic function of `2 u`.
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    const SCALE: f32 = 0.797_884_6; // sqrt(2 / pi)
    const CUBIC: f32 = 0.044_715;
    let square = x * x;
    let e = exp(-2.0 * SCALE * x * square.mul_add(CUBIC, 1.0));
    let cdf = 1.0 / (1.0 + e);
    let slope = 2.0 * SCALE * square.mul_add(3.0 * CUBIC, 1.0);
    // 1 - cdf is e cdf, without cancellation.
    (x * cdf, (x * cdf * (e * cdf)).mul_add(slope, cdf))
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) }
}

/// Adds `bias` to each row of `values` and applies the activation in place; its derivatives go to `derivatives`.
///
/// # Shapes
/// - values, derivatives: `[rows, bias.len()]`
pub fn activate_rows(function: Activation, values: &mut [f32], bias: &[f32], derivatives: &mut [f32]) {
    match function {
        Activation::Gelu => gelu_rows(values, bias, derivatives),
        Activation::GeluNew => gelu_tanh_rows(values, bias, derivatives),
        Activation::Relu => relu_rows(values, bias, derivatives),
    }
}

/// Adds `bias` to each row of `inner`, whose first half is activated and gates the second: their product goes to `active`, its
/// derivatives by both halves to `derivatives`.
///
/// # Shapes
/// - inner, derivatives: `[rows, 2 F]`; bias: `[2 F]`; active: `[rows, F]`
pub fn gate_rows(function: Activation, inner: &[f32], bias: &[f32], active: &mut [f32], derivatives: &mut [f32]) {
    match function {
        Activation::Gelu => gelu_gate(inner, bias, active, derivatives),
        Activation::GeluNew => gelu_tanh_gate(inner, bias, active, derivatives),
        Activation::Relu => relu_gate(inner, bias, active, derivatives),
    }
}

vectorised! {
    fn gelu_gate(inner: &[f32], bias: &[f32], active: &mut [f32], derivatives: &mut [f32]) {
        map_gate(inner, bias, active, derivatives, gelu);
    }

    fn gelu_tanh_gate(inner: &[f32], bias: &[f32], active: &mut [f32], derivatives: &mut [f32]) {
        map_gate(inner, bias, active, derivatives, gelu_tanh);
    }

    fn relu_gate(inner: &[f32], bias: &[f32], active: &mut [f32], derivatives: &mut [f32]) {
        map_gate(inner, bias, active, derivatives, relu);
    }

    /// The gradients of both halves of what [`gate_rows`] read, `[rows, 2 width]`, from that of its product, `[rows, width]`.
    pub fn gate_backward(active: &[f32], derivatives: &[f32], width: usize, slopes: &mut [f32]) {
        let rows = active.chunks_exact(width).zip(derivatives.chunks_exact(2 * width));
        for ((active, derivatives), slopes) in rows.zip(slopes.chunks_exact_mut(2 * width)) {
            for (slopes, derivatives) in slopes.chunks_exact_mut(width).zip(derivatives.chunks_exact(width)) {
                for ((slope, derivative), active) in slopes.iter_mut().zip(derivatives).zip(active) {
                    *slope = active * derivative;
                }
            }
        }
    }

    fn gelu_rows(values: &mut [f32], bias: &[f32], derivatives: &mut [f32]) {
        map_rows(values, bias, derivatives, gelu);
    }

    fn gelu_tanh_rows(values: &mut [f32], bias: &[f32], derivatives: &mut [f32]) {
        map_rows(values, bias, derivatives, gelu_tanh);
    }

    fn relu_rows(values: &mut [f32], bias: &[f32], derivatives: &mut [f32]) {
        map_rows(values, bias, derivatives, relu);
    }

    /// `values[r][j] += bias[j]` for every row r.
    pub fn add_bias(values: &mut [f32], bias: &[f32]) {
        for row in values.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }

    /// `values[i] *= factors[i]`.
    pub fn multiply_by(values: &mut [f32], factors: &[f32]) {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }

    /// `sums[i] += terms[i]`.
    pub fn accumulate(sums: &mut [f32], terms: &[f32]) {
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
    }

    /// `sums[j] += values[r][j]` over every row r, in the order of the rows.
    pub fn accumulate_rows(sums: &mut [f32], values: &[f32]) {
        for row in values.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

#[inline(always)]
fn map_rows(values: &mut [f32], bias: &[f32], derivatives: &mut [f32], function: impl Fn(f32) -> (f32, f32)) {
    for (row, slopes) in values.chunks_exact_mut(bias.len()).zip(derivatives.chunks_exact_mut(bias.len())) {
        for ((value, slope), bias) in row.iter_mut().zip(slopes).zip(bias) {
            (*value, *slope) = function(*value + bias);
        }
    }
}

#[inline(always)]
fn map_gate(
    inner: &[f32],
    bias: &[f32],
    active: &mut [f32],
    derivatives: &mut [f32],
    function: impl Fn(f32) -> (f32, f32),
) {
    let width = bias.len() / 2;
    let (bias, other_bias) = bias.split_at(width);
    let rows = inner.chunks_exact(2 * width).zip(active.chunks_exact_mut(width));
    for ((inner, active), derivatives) in rows.zip(derivatives.chunks_exact_mut(2 * width)) {
        let ((inner, other), (by_inner, by_other)) = (inner.split_at(width), derivatives.split_at_mut(width));
        let inner = inner.iter().zip(bias).zip(other.iter().zip(other_bias));
        let outputs = active.iter_mut().zip(by_inner.iter_mut().zip(by_other));
        for (((inner, bias), (other, other_bias)), (active, (by_inner, by_other))) in inner.zip(outputs) {
            let ((value, slope), other) = (function(inner + bias), other + other_bias);
            *active = value * other;
            *by_inner = slope * other;
            *by_other = value;
        }
    }
}

/// The sum of `term` over two slices of one length, in [`LANES`] lanes.
#[inline(always)]
pub fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    for ((a, b), lane) in a_rest.iter().zip(b_rest).zip(&mut lanes) {
        *lane += term(*a, *b);
    }
    fold(lanes, |a, b| a + b)
}

/// The largest value of a slice; negative infinity for an empty one.
#[inline(always)]
pub fn max_of(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = larger(chunk[i], lanes[i]);
        }
    }
    for (value, lane) in rest.iter().zip(&mut lanes) {
        *lane = larger(*value, *lane);
    }
    fold(lanes, larger)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Millions of points between `from` and `to`, as f32.
    fn points(from: f64, to: f64) -> impl Iterator<Item = f32> {
        const N: u32 = 1 << 20;
        (0..=N).map(move |i| (from + (to - from) * f64::from(i) / f64::from(N)) as f32)
    }

    fn worst(points: impl Iterator<Item = f32>, error: impl Fn(f32) -> f64) -> f64 {
        points.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_its_error() {
        let relative = |x: f32| (f64::from(exp(x)) / libm::exp(f64::from(x)) - 1.0).abs();
        let error = worst(points(-87.0, 88.0).chain(points(-1.0, 1.0)), relative);
        assert!(error < 1.2e-7, "{error:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e9) < 2e-38 && exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn the_normal_tail_is_within_its_error() {
        let relative = |x: f32| {
            let exact = 0.5 * libm::erfc(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2);
            (f64::from(normal_tail(x).0) / exact - 1.0).abs()
        };
        let error = worst(points(0.0, 10.0), relative);
        assert!(error < 3e-6, "{error:e}");
    }

    /// Values and derivatives of every activation against f64 closed forms.
    #[test]
    fn activations_and_derivatives_are_within_their_error() {
        let phi = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let cdf = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let tanh = |x: f64| {
            let (c, k) = ((2.0 / std::f64::consts::PI).sqrt(), 0.044715);
            let t = libm::tanh(c * (x + k * x * x * x));
            (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * k * x * x))
        };
        let check = |name, ours: fn(f32) -> (f32, f32), exact: &dyn Fn(f64) -> (f64, f64)| {
            let error = |x: f32| {
                let ((value, slope), (exact_value, exact_slope)) = (ours(x), exact(f64::from(x)));
                let scale = f64::from(x).abs().max(1.0);
                ((f64::from(value) - exact_value).abs() / scale).max((f64::from(slope) - exact_slope).abs())
            };
            let error = worst(points(-12.0, 12.0), error);
            assert!(error < 3e-7, "{name}: {error:e}");
        };
        check("gelu", gelu, &|x| (x * cdf(x), cdf(x) + x * phi(x)));
        check("gelu_tanh", gelu_tanh, &tanh);
        check("relu", relu, &|x| if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) });
    }

    #[test]
    fn reductions_take_every_element_of_every_length() {
        for n in 0..70 {
            let values: Vec<f32> = (0..n).map(|i| ((i * 37) % 71) as f32).collect();
            assert_eq!(sum_of(&values, &values, |a, b| a + b), 2.0 * values.iter().sum::<f32>());
            assert_eq!(max_of(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
