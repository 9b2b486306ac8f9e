//! The optimizers: AdamW, Adam with L2, LAMB and Muon, and the clipping of gradients before them.
//!
//! State and update live on the host, in one pass (LAMB: two) over each parameter. Chunks of fixed size decide the order
//! of every sum, never the number of threads, so the bits do not depend on it. What is done to one number is in
//! [`update`].

mod muon;
mod update;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::model::parameters::Parameter;
use crate::plan::{ClipScope, DecayExempt, OptimizerKind, OptimizerSpec};
use muon::Muon;
use update::Update;

/// Elements a task handles; part of the determinism contract, since it shapes the order of sums.
const CHUNK: usize = 1 << 14;

/// The optimizer's state: first and second moments of every parameter, in the order of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    spec: OptimizerSpec,
    /// Updates made so far.
    updates: u64,
    pub(super) moments: Vec<Moments>,
}

/// The optimizer of a model that was not trained here.
pub const NO_OPTIMIZER: OptimizerSpec = OptimizerSpec {
    kind: OptimizerKind::Adamw,
    lr: 0.0,
    betas: [0.0; 2],
    eps: 0.0,
    weight_decay: 0.0,
    decay_exempt: DecayExempt::Nothing,
    clip_norm: None,
    clip_scope: ClipScope::Global,
    momentum: 0.0,
};

/// Running means of a parameter's gradient and of its square.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Optimizer {
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
        self.step_after(0, parameters, gradients, |_| lr)
    }

    /// [`step`](Self::step), with the first `frozen` parameters left as they are, and for each of the others by name a rate of
    /// its own.
    pub fn step_after(
        &mut self,
        frozen: usize,
        parameters: &mut [Parameter],
        gradients: &[Parameter],
        rate: impl Fn(&str) -> f64 + Sync,
    ) -> f64 {
        let (parameters, gradients) = (&mut parameters[frozen..], &gradients[frozen..]);
        let norm = global_norm(gradients);
        self.updates += 1;
        let is_muon = self.spec.kind == OptimizerKind::Muon;
        let all = parameters.iter_mut().zip(gradients).zip(&mut self.moments[frozen..]);
        let (hidden, others): (Vec<_>, Vec<_>) =
            all.partition(|((parameter, _), _)| is_muon && muon::is_hidden(parameter));
        let scale_of = |gradient: &Parameter| match self.spec.clip_scope {
            ClipScope::Global => clip(self.spec.clip_norm, norm),
            ClipScope::PerTensor => clip(self.spec.clip_norm, global_norm(std::slice::from_ref(gradient))),
        };
        hidden.into_par_iter().for_each(|((parameter, gradient), moments)| {
            let is_decayed = decays(parameter, self.spec.decay_exempt);
            let weight_decay = if is_decayed { self.spec.weight_decay } else { 0.0 };
            let (momentum, lr) = (self.spec.momentum, rate(&parameter.name));
            let muon = Muon { momentum, lr, clip: scale_of(gradient), weight_decay };
            muon.apply(parameter, &gradient.values, &mut moments.first);
        });
        for ((parameter, gradient), moments) in others {
            let scale = scale_of(gradient);
            let is_decayed = decays(parameter, self.spec.decay_exempt);
            let update = Update::new(&self.spec, self.updates, rate(&parameter.name), scale, is_decayed);
            if self.spec.kind == OptimizerKind::Lamb {
                lamb(&update, is_decayed, &mut parameter.values, &gradient.values, moments);
            } else {
                chunks(&mut parameter.values, &gradient.values, moments)
                    .for_each(|((values, gradients), (first, second))| update.apply(values, gradients, first, second));
            }
        }
        norm
    }
}

/// What gradients of this norm are multiplied with.
fn clip(limit: Option<f64>, norm: f64) -> f64 {
    match limit {
        Some(limit) if norm > limit => limit / norm,
        _ => 1.0,
    }
}

/// Whether weight decay applies to a parameter, and with LAMB the trust ratio.
fn decays(parameter: &Parameter, exempt: DecayExempt) -> bool {
    match exempt {
        DecayExempt::BiasAndNorm => parameter.decays(),
        DecayExempt::Bias => !parameter.name.ends_with(".bias"),
        DecayExempt::Nothing => true,
    }
}

/// LAMB's update of one parameter: Adam's direction with decay, as long as the parameter itself (You et al. 2020,
/// algorithm 2, with phi(z) = z). What is exempt from decay is also exempt from the trust ratio, as in Google's code.
fn lamb(update: &Update, adapts: bool, values: &mut [f32], gradients: &[f32], moments: &mut Moments) {
    let squares: Vec<[f64; 2]> = chunks(values, gradients, moments)
        .map(|((values, gradients), (first, second))| {
            update.advance(gradients, first, second);
            update.squares(values, first, second)
        })
        .collect();
    let norm = |which: usize| squares.iter().map(|chunk| chunk[which]).sum::<f64>().sqrt();
    let (weights, direction) = (norm(0), norm(1));
    let ratio = if adapts && weights > 0.0 && direction > 0.0 { weights / direction } else { 1.0 };
    chunks(values, gradients, moments)
        .for_each(|((values, _), (first, second))| update.apply_direction(values, first, second, ratio));
}

type Chunk<'a> = ((&'a mut [f32], &'a [f32]), (&'a mut [f32], &'a mut [f32]));

/// Values, gradients and moments side by side, in chunks of fixed size.
fn chunks<'a>(
    values: &'a mut [f32],
    gradients: &'a [f32],
    moments: &'a mut Moments,
) -> impl IndexedParallelIterator<Item = Chunk<'a>> {
    let moments = moments.first.par_chunks_mut(CHUNK).zip(moments.second.par_chunks_mut(CHUNK));
    values.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK)).zip(moments)
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
