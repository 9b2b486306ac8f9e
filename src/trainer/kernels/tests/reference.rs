//! The sublayers as plain f64 loops over one number at a time, written from the definitions.

use crate::plan::{Activation, NormPosition, NormType};
use crate::trainer::rng::{Dropout, Stream};
use crate::trainer::sequences::Sequences;

/// Dropout factors of a site, by element.
#[derive(Clone, Copy)]
pub struct Factors {
    pub p: f64,
    pub stream: Option<Stream>,
}

impl Factors {
    fn of(&self, index: usize) -> f64 {
        let dropout = Dropout::new(self.p);
        match &self.stream {
            Some(stream) if !stream.keeps(index as u64, dropout) => 0.0,
            Some(_) => 65_536.0 / f64::from(65_536 - dropout.threshold),
            None => 1.0,
        }
    }
}

/// What the frame of a sublayer is told.
#[derive(Clone, Copy)]
pub struct Frame {
    pub position: Option<NormPosition>,
    pub norm_type: NormType,
    pub eps: f64,
    pub factors: Factors,
}

/// `x W^T + b` for `[rows, inputs]`.
pub fn dense(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let element = |row: &[f64], o: usize| bias[o] + (0..inputs).map(|i| row[i] * weight[o * inputs + i]).sum::<f64>();
    x.chunks(inputs).flat_map(|row| (0..outputs).map(move |o| element(row, o))).collect()
}

/// LayerNorm or RMSNorm of each row.
pub fn normalised(x: &[f64], gain: &[f64], offset: &[f64], norm_type: NormType, eps: f64) -> Vec<f64> {
    let d = gain.len();
    let normal = |row: &[f64]| {
        let mean = match norm_type {
            NormType::LayerNorm => row.iter().sum::<f64>() / d as f64,
            NormType::RmsNorm => 0.0,
        };
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        (0..d).map(|j| (row[j] - mean) / (variance + eps).sqrt() * gain[j] + offset[j]).collect::<Vec<_>>()
    };
    x.chunks(d).flat_map(normal).collect()
}

/// One activation.
pub fn activate(x: f64, function: Activation) -> f64 {
    match function {
        Activation::Gelu => x * 0.5 * libm::erfc(-x / 2f64.sqrt()),
        Activation::GeluNew => {
            0.5 * x * (1.0 + libm::tanh((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))))
        }
        Activation::Relu => x.max(0.0),
    }
}

/// A sublayer: its function in the frame of dropout, residual sum and LayerNorm, if there is one.
pub fn framed(x: &[f64], gain: &[f64], offset: &[f64], frame: Frame, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let sum = |branch: Vec<f64>| -> Vec<f64> {
        branch.iter().enumerate().map(|(i, b)| x[i] + b * frame.factors.of(i)).collect()
    };
    match frame.position {
        Some(NormPosition::Post) => normalised(&sum(f(x)), gain, offset, frame.norm_type, frame.eps),
        Some(NormPosition::Pre) => sum(f(&normalised(x, gain, offset, frame.norm_type, frame.eps))),
        None => sum(f(x)),
    }
}

/// Rows `[R, H K]` whose heads are turned by the angles of their positions: each pair is a complex number times e^(i angle).
pub fn turned(x: &[f64], positions: &[u32], [h, k]: [usize; 2], theta: f64) -> Vec<f64> {
    let mut out = x.to_vec();
    for (row, &position) in positions.iter().enumerate() {
        for (head, pair) in (0..h).flat_map(|head| (0..k / 2).map(move |pair| (head, pair))) {
            let angle = f64::from(position) / theta.powf(2.0 * pair as f64 / k as f64);
            let (a, b) = (row * h * k + head * k + pair, row * h * k + head * k + pair + k / 2);
            out[a] = x[a] * angle.cos() - x[b] * angle.sin();
            out[b] = x[a] * angle.sin() + x[b] * angle.cos();
        }
    }
    out
}

/// The context of multi-head attention, H heads of width K, where a token sees `reach` others to each side, and keys have the
/// vectors of their distances added, `[2 P - 1, K]`: `[R, H K]`.
pub fn context(
    [query, key, value]: [&[f64]; 3],
    [h, k]: [usize; 2],
    sequences: &Sequences,
    (reach, distances): (Option<usize>, Option<&[f64]>),
    factors: Factors,
) -> Vec<f64> {
    let w = h * k;
    let zero = distances.map_or(0, |table| table.len() / k / 2);
    let of_distance = |i: usize, j: usize, c: usize| distances.map_or(0.0, |table| table[(zero + i - j) * k + c]);
    let mut out = vec![0.0; sequences.rows() * w];
    for (sequence, head) in (0..sequences.len()).flat_map(|sequence| (0..h).map(move |head| (sequence, head))) {
        let length = sequences.length(sequence);
        let at = |token: usize, j: usize| (sequences.starts()[sequence] + token) * w + head * k + j;
        for i in 0..length {
            let product = |j: usize, c: usize| query[at(i, c)] * (key[at(j, c)] + of_distance(i, j, c));
            let score = |j: usize| (0..k).map(|c| product(j, c)).sum::<f64>() / (k as f64).sqrt();
            let sees = |j: usize| reach.is_none_or(|reach| i.abs_diff(j) <= reach);
            let exponentials: Vec<f64> = (0..length).map(|j| if sees(j) { score(j).exp() } else { 0.0 }).collect();
            let total: f64 = exponentials.iter().sum();
            for (j, e) in exponentials.iter().enumerate() {
                let p = e / total
                    * factors.of(sequences.first_score(sequence, head, h) + i * sequences.score_stride(sequence) + j);
                (0..k).for_each(|c| out[at(i, c)] += p * value[at(j, c)]);
            }
        }
    }
    out
}

/// The mean cross-entropy of rows `[M, V]` of logits.
pub fn mean_cross_entropy(logits: &[f64], labels: &[u32]) -> f64 {
    let v = logits.len() / labels.len();
    let loss = |(row, &label): (&[f64], &u32)| row.iter().map(|l| l.exp()).sum::<f64>().ln() - row[label as usize];
    logits.chunks(v).zip(labels).map(loss).sum::<f64>() / labels.len() as f64
}
