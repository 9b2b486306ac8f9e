//! Each kernel against plain f64 loops: its output, and every element of every gradient by central differences.

use std::sync::Arc;

use super::super::dropout::Mask;
use super::super::operation::Kernel;
use super::super::residual::{Normalisation, Residual};
use super::super::rotary::Rotary;
use super::super::{attention, embedding, feed_forward, masked_loss};
use super::reference::{self, Factors, Frame};
use crate::plan::{Activation, NormPosition, NormType};
use crate::trainer::rng::{Purpose, Stream};
use crate::trainer::sequences::Sequences;
use crate::types::Seed;

const EPS: f64 = 1e-5;

fn stream(site: u64) -> Stream {
    Stream::new(Seed(11), Purpose::Dropout, 4, site)
}

fn factors(p: f64, site: u64) -> Factors {
    Factors { p, stream: Some(stream(site)) }
}

fn mask(p: f64, site: u64) -> Mask {
    Mask::new(p, Some(stream(site)))
}

fn norm(norm_type: NormType) -> Normalisation {
    Normalisation { norm_type, eps: EPS as f32 }
}

/// Both ways to normalise, in turn.
fn norm_types() -> impl Iterator<Item = NormType> {
    [NormType::LayerNorm, NormType::RmsNorm].into_iter().cycle()
}

fn sequences<const B: usize>(lengths: [usize; B]) -> Arc<Sequences> {
    Arc::new(Sequences::new(lengths))
}

/// Inputs of the given lengths, drawn from a normal distribution, in f32 so that both sides read the same numbers.
fn draw(lengths: &[usize]) -> Vec<Vec<f32>> {
    let mut draws = Stream::new(Seed(2), Purpose::Init, 0, 0).draws();
    lengths.iter().map(|&n| (0..n).map(|_| 0.7 * draws.normal() as f32).collect()).collect()
}

/// Holds `kernel` to `reference`: output within 1e-5, gradients of a random weighting of the output within 1e-4 of the
/// largest.
fn check<K: Kernel>(kernel: K, inputs: Vec<Vec<f32>>, reference: impl Fn(&[Vec<f64>]) -> Vec<f64>) {
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let (output, saved) = kernel.forward(&slices);
    let mut wide: Vec<Vec<f64>> = inputs.iter().map(|v| v.iter().map(|&x| f64::from(x)).collect()).collect();
    let expected = reference(&wide);
    for (i, (x, e)) in output.iter().zip(&expected).enumerate() {
        assert!((f64::from(*x) - e).abs() < 1e-5 * e.abs().max(1.0), "{kernel:?}: output {i} is {x}, not {e}");
    }
    let weights: Vec<f32> = draw(&[output.len()]).remove(0);
    let objective =
        |inputs: &[Vec<f64>]| -> f64 { reference(inputs).iter().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum() };
    let gradients = kernel.backward(&slices, saved, &weights);
    assert_eq!(gradients.len(), inputs.len());
    for (which, gradient) in gradients.iter().enumerate() {
        let differences: Vec<f64> = (0..inputs[which].len())
            .map(|i| {
                const STEP: f64 = 1e-5;
                let original = wide[which][i];
                let mut at = |x: f64| {
                    wide[which][i] = x;
                    objective(&wide)
                };
                let difference = (at(original + STEP) - at(original - STEP)) / (2.0 * STEP);
                wide[which][i] = original;
                difference
            })
            .collect();
        let largest = differences.iter().fold(0.1, |a: f64, b| a.max(b.abs()));
        for (i, (g, e)) in gradient.iter().zip(&differences).enumerate() {
            let error = (f64::from(*g) - e).abs() / largest;
            assert!(error < 1e-4, "{kernel:?}: gradient {i} of input {which} is {g}, not {e}");
        }
    }
}

#[test]
fn feed_forward_and_its_gradients() {
    let (sequences, d, f) = (sequences([5, 2, 8]), 6, 9);
    for ((position, activation, is_gated, p), norm_type) in [
        (NormPosition::Post, Activation::Gelu, false, 0.1),
        (NormPosition::Pre, Activation::GeluNew, false, 0.5),
        (NormPosition::Post, Activation::Relu, false, 0.0),
        (NormPosition::Pre, Activation::Gelu, true, 0.1),
        (NormPosition::Post, Activation::GeluNew, true, 0.0),
        (NormPosition::Pre, Activation::Relu, true, 0.0),
    ]
    .into_iter()
    .flat_map(|case| norm_types().take(2).map(move |norm_type| (case, norm_type)))
    {
        let w = if is_gated { 2 * f } else { f };
        let position = Some(position);
        let frame = Frame { position, norm_type, eps: EPS, factors: factors(p, 3) };
        let kernel = feed_forward::FeedForward {
            sequences: sequences.clone(),
            hidden: d,
            intermediate: f,
            activation,
            is_gated,
            residual: Residual { position, norm: norm(norm_type), mask: mask(p, 3) },
        };
        check(kernel, draw(&[sequences.rows() * d, w * d, w, d * f, d, d, d]), |v| {
            reference::framed(&v[0], &v[5], &v[6], frame, |x| {
                let inner = reference::dense(x, &v[1], &v[2]);
                let active = |row: &[f64]| -> Vec<f64> {
                    let gate = |j: usize| if is_gated { row[f + j] } else { 1.0 };
                    (0..f).map(|j| reference::activate(row[j], activation) * gate(j)).collect()
                };
                let inner: Vec<f64> = inner.chunks(w).flat_map(active).collect();
                reference::dense(&inner, &v[3], &v[4])
            })
        });
    }
}

#[test]
fn attention_and_its_gradients() {
    // A head width other than D / H, and lengths that are no multiples of the draws of a block.
    for ((position, p, h, k, theta, reach, positions, lengths), norm_type) in [
        (Some(NormPosition::Post), 0.2, 2, 3, None, None, None, vec![5, 3, 9]),
        (Some(NormPosition::Pre), 0.0, 3, 4, None, None, None, vec![5, 5]),
        (Some(NormPosition::Post), 0.5, 1, 5, None, None, None, vec![1, 4]),
        (Some(NormPosition::Pre), 0.2, 2, 4, Some(100.0), None, None, vec![5, 3, 9]),
        (Some(NormPosition::Post), 0.2, 2, 3, None, Some(2), None, vec![5, 1, 9]),
        (Some(NormPosition::Pre), 0.0, 2, 2, Some(10.0), Some(1), None, vec![7, 2]),
        (Some(NormPosition::Pre), 0.0, 1, 2, None, Some(0), None, vec![4]),
        (Some(NormPosition::Post), 0.2, 2, 4, Some(100.0), None, None, vec![3, 6]),
        (None, 0.2, 2, 3, None, None, None, vec![5, 9, 1]),
        (None, 0.0, 2, 4, Some(100.0), Some(2), None, vec![6, 3]),
        (Some(NormPosition::Post), 0.2, 2, 3, None, None, Some(9), vec![5, 3, 9]),
        (Some(NormPosition::Pre), 0.0, 3, 2, None, None, Some(20), vec![1, 7]),
        (Some(NormPosition::Post), 0.3, 2, 2, None, Some(2), Some(8), vec![8, 2, 3]),
        (None, 0.0, 1, 3, None, Some(0), Some(5), vec![4]),
    ]
    .into_iter()
    .zip(norm_types())
    {
        let (sequences, d, w) = (Arc::new(Sequences::new(lengths)), 6, h * k);
        let frame = Frame { position, norm_type, eps: EPS, factors: factors(p, 2) };
        let kernel = attention::Attention {
            sequences: sequences.clone(),
            hidden: d,
            heads: h,
            head_width: k,
            rotary: theta.map(|theta| Arc::new(Rotary::new(sequences.longest(), k, theta))),
            is_relative: positions.is_some(),
            reach,
            probabilities: mask(p, 1),
            residual: Residual { position, norm: norm(norm_type), mask: mask(p, 2) },
        };
        let mut lengths = vec![sequences.rows() * d, w * d, w, w * d, w, w * d, w, d * w, d];
        lengths.extend(position.iter().flat_map(|_| [d, d]));
        lengths.extend(positions.map(|positions| (2 * positions - 1) * k));
        check(kernel, draw(&lengths), |v| {
            let distances = positions.and(v.last()).map(Vec::as_slice);
            let [gain, offset] = if position.is_some() { [&*v[9], &*v[10]] } else { [&[][..]; 2] };
            reference::framed(&v[0], gain, offset, frame, |x| {
                let project = |i: usize| reference::dense(x, &v[i], &v[i + 1]);
                let positions = sequences.positions();
                let turned = |x: Vec<f64>| match theta {
                    Some(theta) => reference::turned(&x, &positions, [h, k], theta),
                    None => x,
                };
                let (query, key, value) = (turned(project(1)), turned(project(3)), project(5));
                let projections = [&*query, &*key, &*value];
                let context = reference::context(projections, [h, k], &sequences, (reach, distances), factors(p, 1));
                reference::dense(&context, &v[7], &v[8])
            })
        });
    }
}

#[test]
fn embeddings_and_their_gradients() {
    let (sequences, d, rows) = (sequences([4, 1, 6]), 5, [11, 6, 2]);
    let (n, positions) = (sequences.rows(), sequences.positions());
    let words: Vec<u32> = (0..n).map(|i| (i * i % rows[0]) as u32).collect();
    let segments: Vec<u32> = (0..n).map(|i| (i % 4 / 2) as u32).collect();
    for norm_type in [Some(NormType::LayerNorm), Some(NormType::RmsNorm), None] {
        let (w, g) = (words.clone(), segments.clone());
        let kernel = embedding::Embeddings {
            sequences: sequences.clone(),
            hidden: d,
            rows,
            words: w,
            positions: positions.clone(),
            segments: g,
            norm: norm_type.map(norm),
            mask: mask(0.3, 0),
        };
        let mut lengths = rows.map(|rows| rows * d).to_vec();
        lengths.extend(norm_type.iter().flat_map(|_| [d, d]));
        check(kernel, draw(&lengths), |v| {
            let element = |i: usize| {
                let (token, j) = (i / d, i % d);
                v[0][words[token] as usize * d + j]
                    + v[1][positions[token] as usize * d + j]
                    + v[2][segments[token] as usize * d + j]
            };
            let sum: Vec<f64> = (0..n * d).map(element).collect();
            let zeros = vec![0.0; sum.len()];
            let frame = Frame {
                position: Some(NormPosition::Pre),
                norm_type: NormType::LayerNorm,
                eps: EPS,
                factors: factors(0.3, 0),
            };
            let normed = match norm_type {
                Some(norm_type) => reference::normalised(&sum, &v[3], &v[4], norm_type, EPS),
                None => sum,
            };
            // A residual sum with nothing is dropout alone.
            reference::framed(&zeros, &vec![1.0; d], &vec![0.0; d], frame, |_| normed.clone())
        });
    }
}

#[test]
fn the_masked_loss_and_its_gradients() {
    let (rows_in_batch, d, v) = (12, 5, 21);
    for ((has_bias, transform, rows), norm_type) in [
        (true, Some(Activation::Gelu), vec![0, 3, 4, 11]),
        (false, None, vec![7, 7, 2]),
        (true, None, vec![5]),
        (false, Some(Activation::Relu), vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (false, Some(Activation::Relu), vec![1, 2, 6]),
    ]
    .into_iter()
    .zip(norm_types())
    {
        let labels: Vec<u32> = rows.iter().map(|r| (r * 5 + 2) % v as u32).collect();
        let kernel = masked_loss::MaskedLoss {
            hidden: d,
            vocabulary: v,
            rows: rows.clone(),
            labels: labels.clone(),
            has_bias,
            transform: transform.map(|activation| masked_loss::Transform { activation, norm: norm(norm_type) }),
        };
        let mut lengths = vec![rows_in_batch * d, v * d];
        lengths.extend(has_bias.then_some(v));
        lengths.extend(transform.iter().flat_map(|_| [d * d, d, d, d]));
        check(kernel, draw(&lengths), |inputs| {
            let mut chosen: Vec<f64> =
                rows.iter().flat_map(|&r| inputs[0][r as usize * d..(r as usize + 1) * d].to_vec()).collect();
            let mut rest = &inputs[2..];
            let none = vec![0.0; v];
            let bias = if has_bias { &rest[0] } else { &none };
            rest = &rest[usize::from(has_bias)..];
            if let Some(activation) = transform {
                let inner = reference::dense(&chosen, &rest[0], &rest[1]);
                let inner: Vec<f64> = inner.iter().map(|&x| reference::activate(x, activation)).collect();
                chosen = reference::normalised(&inner, &rest[2], &rest[3], norm_type, EPS);
            }
            vec![reference::mean_cross_entropy(&reference::dense(&chosen, &inputs[1], bias), &labels)]
        });
    }
}
