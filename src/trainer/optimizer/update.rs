//! What one update does to one number: the constants of the step, resolved once, and the formulas.
//!
//! With the clipped gradient `g`, the moments `m` and `v` and their bias-corrected values `m'` and `v'`:
//! - adamw: `w (1 - lr decay) - lr m' / (sqrt(v') + eps)` (Loshchilov & Hutter 2019, algorithm 2)
//! - adam: `g` becomes `g + decay w` before the moments see it, as `torch.optim.Adam` does with `weight_decay`; then as
//!   adamw without decay (Kingma & Ba 2015)
//! - lamb: `w - lr r u` with `u = m' / (sqrt(v') + eps) + decay w` and the trust ratio `r = |w| / |u|` of the parameter

use crate::plan::{OptimizerKind, OptimizerSpec};

/// The constants of one update of one parameter.
#[derive(Clone, Copy)]
pub(super) struct Update {
    clip: f32,
    betas: [f32; 2],
    /// `1 - beta`, rounded once from the exact difference.
    complements: [f32; 2],
    lr: f64,
    /// `1 / (1 - beta1^t)`.
    first_correction: f64,
    step_size: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    second_correction: f32,
    eps: f32,
    /// adamw: `1 - lr * weight_decay`.
    shrink: f32,
    /// adam: what a weight adds to its gradient; lamb: to its direction.
    decay: f32,
}

impl Update {
    /// Update `t`, counted from 1.
    pub(super) fn new(spec: &OptimizerSpec, t: u64, lr: f64, clip: f64, decays: bool) -> Self {
        let [beta1, beta2] = spec.betas;
        let correction = |beta: f64| 1.0 - libm::pow(beta, t as f64);
        let decay = if decays { spec.weight_decay } else { 0.0 };
        let is_decoupled = matches!(spec.kind, OptimizerKind::Adamw | OptimizerKind::Muon);
        Self {
            clip: clip as f32,
            betas: [beta1 as f32, beta2 as f32],
            complements: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            lr,
            first_correction: 1.0 / correction(beta1),
            step_size: (lr / correction(beta1)) as f32,
            second_correction: (1.0 / correction(beta2).sqrt()) as f32,
            eps: spec.eps as f32,
            shrink: if is_decoupled { (1.0 - lr * decay) as f32 } else { 1.0 },
            decay: if is_decoupled { 0.0 } else { decay as f32 },
        }
    }

    /// The whole update, for adamw and adam.
    pub(super) fn apply(&self, values: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        for (((value, gradient), m), v) in values.iter_mut().zip(gradients).zip(first).zip(second) {
            let mut gradient = gradient * self.clip;
            if self.decay != 0.0 {
                gradient += self.decay * *value;
            }
            *m = self.betas[0] * *m + self.complements[0] * gradient;
            *v = self.betas[1] * *v + self.complements[1] * gradient * gradient;
            *value = self.shrink * *value - self.step_size * *m / (v.sqrt() * self.second_correction + self.eps);
        }
    }

    /// Takes gradients into the moments, for lamb.
    pub(super) fn advance(&self, gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        for ((gradient, m), v) in gradients.iter().zip(first).zip(second) {
            let gradient = gradient * self.clip;
            *m = self.betas[0] * *m + self.complements[0] * gradient;
            *v = self.betas[1] * *v + self.complements[1] * gradient * gradient;
        }
    }

    /// The sums of the squares of the weights and of their directions, for lamb.
    pub(super) fn squares(&self, values: &[f32], first: &[f32], second: &[f32]) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for ((&value, &m), &v) in values.iter().zip(first).zip(second) {
            sums[0] += f64::from(value).powi(2);
            sums[1] += f64::from(self.direction(value, m, v)).powi(2);
        }
        sums
    }

    /// Moves each weight along its direction, for lamb.
    pub(super) fn apply_direction(&self, values: &mut [f32], first: &[f32], second: &[f32], ratio: f64) {
        let step = (self.lr * ratio) as f32;
        for ((value, &m), &v) in values.iter_mut().zip(first).zip(second) {
            *value -= step * self.direction(*value, m, v);
        }
    }

    fn direction(&self, value: f32, m: f32, v: f32) -> f32 {
        m * self.first_correction as f32 / (v.sqrt() * self.second_correction + self.eps) + self.decay * value
    }
}
