//! AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2) and clipping by the global norm.
//!
//! State and update live on the host, in one pass over each parameter. Chunks of fixed size decide the order of every
//! sum, never the number of threads, so the bits do not depend on it.

use rayon::prelude::*;

use super::model::parameters::Parameter;
use crate::plan::OptimizerSpec;

/// Elements a task handles; part of the determinism contract, since it shapes the order of sums.
const CHUNK: usize = 1 << 14;

/// The optimizer's state: first and second moments of every parameter, in the order of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    spec: OptimizerSpec,
    /// Updates made so far.
    updates: u64,
    pub(super) moments: Vec<Moments>,
}

/// Running means of a parameter's gradient and of its square.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl AdamW {
    /// The state before the first update.
    pub fn new(spec: &OptimizerSpec, parameters: &[Parameter]) -> Self {
        let zeros = |p: &Parameter| Moments { first: vec![0.0; p.values.len()], second: vec![0.0; p.values.len()] };
        Self { spec: spec.clone(), updates: 0, moments: parameters.iter().map(zeros).collect() }
    }

    /// The state after `updates` updates, as a checkpoint holds it.
    pub fn resume(spec: &OptimizerSpec, updates: u64, moments: Vec<Moments>) -> Self {
        Self { spec: spec.clone(), updates, moments }
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Makes one update of `parameters` at learning rate `lr`; returns the gradients' global L2 norm before clipping.
    pub fn step(&mut self, parameters: &mut [Parameter], gradients: &[Parameter], lr: f64) -> f64 {
        let norm = global_norm(gradients);
        let clip = match self.spec.clip_norm {
            Some(limit) if norm > limit => limit / norm,
            _ => 1.0,
        };
        self.updates += 1;
        for ((parameter, gradient), moments) in parameters.iter_mut().zip(gradients).zip(&mut self.moments) {
            let update = Update::new(&self.spec, self.updates, lr, clip, parameter.decays());
            parameter
                .values
                .par_chunks_mut(CHUNK)
                .zip(gradient.values.par_chunks(CHUNK))
                .zip(moments.first.par_chunks_mut(CHUNK).zip(moments.second.par_chunks_mut(CHUNK)))
                .for_each(|((values, gradients), (first, second))| update.apply(values, gradients, first, second));
        }
        norm
    }
}

/// The constants of one update.
#[derive(Clone, Copy)]
struct Update {
    clip: f32,
    betas: [f32; 2],
    /// `1 - beta`, rounded once from the exact difference.
    complements: [f32; 2],
    step_size: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    second_correction: f32,
    eps: f32,
    /// `1 - lr * weight_decay`.
    shrink: f32,
}

impl Update {
    fn new(spec: &OptimizerSpec, t: u64, lr: f64, clip: f64, decays: bool) -> Self {
        let [beta1, beta2] = spec.betas;
        let correction = |beta: f64| 1.0 - libm::pow(beta, t as f64);
        Self {
            clip: clip as f32,
            betas: [beta1 as f32, beta2 as f32],
            complements: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            step_size: (lr / correction(beta1)) as f32,
            second_correction: (1.0 / correction(beta2).sqrt()) as f32,
            eps: spec.eps as f32,
            shrink: if decays { (1.0 - lr * spec.weight_decay) as f32 } else { 1.0 },
        }
    }

    fn apply(&self, values: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        for (((value, gradient), m), v) in values.iter_mut().zip(gradients).zip(first).zip(second) {
            let gradient = gradient * self.clip;
            *m = self.betas[0] * *m + self.complements[0] * gradient;
            *v = self.betas[1] * *v + self.complements[1] * gradient * gradient;
            *value = self.shrink * *value - self.step_size * *m / (v.sqrt() * self.second_correction + self.eps);
        }
    }
}

/// The L2 norm over all gradients together, in f64, summed chunk by chunk in the order of the list.
pub fn global_norm(gradients: &[Parameter]) -> f64 {
    let squares = |chunk: &[f32]| chunk.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    let total: f64 = gradients
        .iter()
        .flat_map(|gradient| gradient.values.par_chunks(CHUNK).map(squares).collect::<Vec<f64>>())
        .sum();
    total.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::OptimizerKind;

    fn spec(clip_norm: Option<f64>) -> OptimizerSpec {
        OptimizerSpec {
            kind: OptimizerKind::Adamw,
            lr: 0.1,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm,
        }
    }

    fn parameter(shape: &[usize], values: &[f32]) -> Parameter {
        Parameter { name: "w".into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    /// The paper's algorithm in f64, one number at a time.
    fn reference(spec: &OptimizerSpec, start: f64, gradients: &[f64], lr: f64, decay: f64) -> f64 {
        let (mut x, mut m, mut v) = (start, 0.0, 0.0);
        for (t, g) in (1..).zip(gradients) {
            m = spec.betas[0] * m + (1.0 - spec.betas[0]) * g;
            v = spec.betas[1] * v + (1.0 - spec.betas[1]) * g * g;
            let m_hat = m / (1.0 - spec.betas[0].powi(t));
            let v_hat = v / (1.0 - spec.betas[1].powi(t));
            x -= lr * (m_hat / (v_hat.sqrt() + spec.eps) + decay * x);
        }
        x
    }

    #[test]
    fn updates_follow_the_paper_and_spare_vectors_from_decay() {
        let spec = spec(None);
        let gradients = [0.3, -0.2, 0.9, 0.0, -1.5];
        let mut parameters = vec![parameter(&[1, 1], &[0.7]), parameter(&[1], &[0.7])];
        let mut optimizer = AdamW::new(&spec, &parameters);
        for g in gradients {
            let gradient = [parameter(&[1, 1], &[g as f32]), parameter(&[1], &[g as f32])];
            optimizer.step(&mut parameters, &gradient, 0.1);
        }
        for (parameter, decay) in parameters.iter().zip([0.01, 0.0]) {
            let expected = reference(&spec, 0.7, &gradients, 0.1, decay);
            assert!((f64::from(parameter.values[0]) - expected).abs() < 1e-5, "{parameter:?}, not {expected}");
        }
    }

    #[test]
    fn clipping_scales_all_gradients_by_one_global_norm() {
        let gradients = [parameter(&[2], &[3.0, 0.0]), parameter(&[1], &[4.0])];
        assert_eq!(global_norm(&gradients), 5.0);
        let mut parameters = vec![parameter(&[2], &[0.0, 0.0]), parameter(&[1], &[0.0])];
        let mut optimizer = AdamW::new(&spec(Some(1.0)), &parameters);
        assert_eq!(optimizer.step(&mut parameters, &gradients, 0.1), 5.0);
        let first: Vec<f32> = optimizer.moments.iter().flat_map(|m| m.first.clone()).collect();
        for (m, expected) in first.iter().zip([0.06, 0.0, 0.08]) {
            assert!((m - expected).abs() < 1e-7, "{m}, not {expected}");
        }
    }

    /// Fixed chunks, not threads, decide the order of sums.
    #[test]
    fn bits_do_not_depend_on_threads() {
        let values: Vec<f32> = (0..100_000).map(|i| ((i * 7919) % 1013) as f32 / 997.0 - 0.5).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut parameters = vec![parameter(&[100, 1000], &values)];
                let mut optimizer = AdamW::new(&spec(Some(1.0)), &parameters);
                let norm = optimizer.step(&mut parameters, &[parameter(&[100, 1000], &values)], 0.1);
                (norm.to_bits(), crate::trainer::model::parameters::digest(&parameters))
            })
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }
}
