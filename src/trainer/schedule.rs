//! Learning-rate schedules: pure functions of the step, and one that listens to the valid loss.
//!
//! A schedule gives the factor that scales the optimizer's peak learning rate. Each has a linear warmup of `w` steps and,
//! where it looks ahead, ends after `n` steps. Step `t` is the update about to be made, counted from 0, so the first
//! update of a warmup has factor `1 / w`, not 0. `plateau` alone has a state, [`Plateau`], which is part of a checkpoint.

use crate::plan::{ModelSpec, ScheduleKind, ScheduleSpec, Warmup};

/// A schedule with its lengths resolved to steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    warmup: u64,
    /// Steps of the fall at the end of `wsd`.
    decay: u64,
    steps: u64,
    hidden_size: usize,
}

impl Schedule {
    /// The schedule of `spec` over `steps` updates.
    pub fn new(spec: &ScheduleSpec, model: &ModelSpec, steps: u64) -> Self {
        let share = |ratio: f64| ((ratio * steps as f64).round() as u64).min(steps);
        let warmup = match spec.warmup {
            Warmup::Steps(warmup) => warmup.min(steps),
            Warmup::Ratio(ratio) => share(ratio),
        };
        Self { kind: spec.kind, warmup, decay: share(spec.decay_ratio), steps, hidden_size: model.hidden_size }
    }

    /// The factor at update `t` (from 0), in [0, 1].
    ///
    /// With `u = t + 1`, the share `x = (u - w) / (n - w)` of what follows the warmup, and `d` steps of decay:
    /// - warmup, `u < w`: `u / w`
    /// - constant: 1
    /// - linear: `1 - x`, as `transformers.get_linear_schedule_with_warmup`
    /// - cosine: `(1 + cos(pi x)) / 2` (Loshchilov & Hutter 2017, without restarts)
    /// - noam: `sqrt(w / u)` (Vaswani et al. 2017, section 5.3, scaled so that its peak is 1)
    /// - wsd: `min(1, (n - u) / d)` (warmup, stable, decay: Hu et al. 2024, "MiniCPM", with a linear decay)
    /// - one_cycle: cosines from 1 / 25 to 1 at `t = w - 1` and on to 1 / 250,000 at the last step (Smith & Topin 2019,
    ///   "Super-convergence", with the shape and the ends of PyTorch's `OneCycleLR`)
    /// - plateau: 1, times [`Plateau::scale`]
    /// - constant_then_noam: 1 while `t < w`, then `min(t^-0.5, t w^-1.5) / sqrt(hidden_size)`: what long8v/torch_study
    ///   calls `WarmupConstantSchedule`, as it was coded. It is no warmup, and the rate falls at once at step `w`.
    pub fn factor(&self, t: u64) -> f64 {
        let (u, w, n) = ((t + 1) as f64, self.warmup as f64, self.steps as f64);
        if self.kind == ScheduleKind::ConstantThenNoam {
            return self.constant_then_noam(t as f64);
        }
        if self.kind == ScheduleKind::OneCycle {
            return self.one_cycle(t as f64);
        }
        if u < w {
            return u / w;
        }
        let x = if n > w { ((u - w) / (n - w)).min(1.0) } else { 0.0 };
        match self.kind {
            ScheduleKind::Constant
            | ScheduleKind::Plateau
            | ScheduleKind::ConstantThenNoam
            | ScheduleKind::OneCycle => 1.0,
            ScheduleKind::Linear => 1.0 - x,
            ScheduleKind::Cosine => (1.0 + libm::cos(std::f64::consts::PI * x)) / 2.0,
            ScheduleKind::Noam => (w.max(1.0) / u).sqrt(),
            ScheduleKind::Wsd if self.decay > 0 => ((n - u).max(0.0) / self.decay as f64).min(1.0),
            ScheduleKind::Wsd => 1.0,
        }
    }

    fn one_cycle(&self, t: f64) -> f64 {
        const FIRST: f64 = 1.0 / 25.0;
        const LAST: f64 = FIRST / 1e4;
        let (peak, end) = (self.warmup as f64 - 1.0, self.steps as f64 - 1.0);
        let between = |from: f64, to: f64, x: f64| to + (from - to) * (1.0 + libm::cos(std::f64::consts::PI * x)) / 2.0;
        if t < peak {
            return between(FIRST, 1.0, t / peak);
        }
        let peak = peak.max(0.0);
        if end > peak { between(1.0, LAST, ((t - peak) / (end - peak)).min(1.0)) } else { 1.0 }
    }

    fn constant_then_noam(&self, t: f64) -> f64 {
        let w = self.warmup as f64;
        if t < w {
            return 1.0;
        }
        let (t, w) = (t.max(1.0), w.max(1.0));
        (1.0 / t.sqrt()).min(t / (w * w.sqrt())) / (self.hidden_size as f64).sqrt()
    }
}

/// The state of `plateau`: PyTorch's `ReduceLROnPlateau(mode="min", threshold_mode="rel")`, without cooldown and least
/// rate, asked at every evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// The product of the reductions so far.
    pub scale: f64,
    /// The lowest loss so far; infinite before the first.
    pub best: f64,
    /// Evaluations since the last improvement or reduction.
    pub waited: u64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { scale: 1.0, best: f64::INFINITY, waited: 0 }
    }
}

impl Plateau {
    /// PyTorch's `eps`: a smaller change of the learning rate is not made.
    const LEAST_CHANGE: f64 = 1e-8;

    /// Takes the valid `loss` of an evaluation into account; `peak` is the learning rate that the scale applies to. Of a
    /// schedule of another kind nothing changes.
    pub fn observe(&mut self, spec: &ScheduleSpec, peak: f64, loss: f64) {
        if spec.kind != ScheduleKind::Plateau {
            return;
        }
        if loss < self.best * (1.0 - spec.plateau_threshold) {
            (self.best, self.waited) = (loss, 0);
        } else {
            self.waited += 1;
        }
        if self.waited > spec.plateau_patience {
            self.waited = 0;
            let reduced = self.scale * spec.plateau_factor;
            if peak * (self.scale - reduced) > Self::LEAST_CHANGE {
                self.scale = reduced;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::tests::tiny_spec;

    const KINDS: [ScheduleKind; 8] = [
        ScheduleKind::OneCycle,
        ScheduleKind::Constant,
        ScheduleKind::Linear,
        ScheduleKind::Cosine,
        ScheduleKind::Noam,
        ScheduleKind::Wsd,
        ScheduleKind::Plateau,
        ScheduleKind::ConstantThenNoam,
    ];

    fn spec(kind: ScheduleKind, warmup: Warmup) -> ScheduleSpec {
        ScheduleSpec { kind, warmup, ..tiny_spec().schedule().clone() }
    }

    fn schedule(kind: ScheduleKind, warmup: u64, steps: u64) -> Schedule {
        let model = ModelSpec { hidden_size: 256, ..tiny_spec().model };
        Schedule::new(&spec(kind, Warmup::Steps(warmup)), &model, steps)
    }

    /// Closed forms at the first two steps, around the end of the warmup, in the middle, before the end and at it.
    #[test]
    fn factors_match_their_formulas() {
        let check = |kind, expected: [f64; 8]| {
            let schedule = schedule(kind, 10, 110);
            for (t, expected) in [0, 1, 8, 9, 10, 59, 103, 109].into_iter().zip(expected) {
                let factor = schedule.factor(t);
                assert!((factor - expected).abs() < 1e-12, "{kind:?} at {t}: {factor}, not {expected}");
            }
        };
        check(ScheduleKind::Constant, [0.1, 0.2, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0]);
        check(ScheduleKind::Plateau, [0.1, 0.2, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0]);
        check(ScheduleKind::Linear, [0.1, 0.2, 0.9, 1.0, 0.99, 0.5, 0.06, 0.0]);
        let cosine = |x: f64| (1.0 + (std::f64::consts::PI * x).cos()) / 2.0;
        check(ScheduleKind::Cosine, [0.1, 0.2, 0.9, 1.0, cosine(0.01), 0.5, cosine(0.94), 0.0]);
        let noam = |u: f64| (10.0 / u).sqrt();
        check(ScheduleKind::Noam, [0.1, 0.2, 0.9, 1.0, noam(11.0), noam(60.0), noam(104.0), noam(110.0)]);
        // A tenth of 110 steps is the decay: 11 steps from 100 on.
        check(ScheduleKind::Wsd, [0.1, 0.2, 0.9, 1.0, 1.0, 1.0, 6.0 / 11.0, 0.0]);
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=110, pct_start=10/110).
        let up = |x: f64| 0.04 + 0.96 * (1.0 - (std::f64::consts::PI * x).cos()) / 2.0;
        let down = |t: f64| 4e-6 + (1.0 - 4e-6) * (1.0 + (std::f64::consts::PI * (t - 9.0) / 100.0).cos()) / 2.0;
        let cycle = [0.04, up(1.0 / 9.0), up(8.0 / 9.0), 1.0, down(10.0), down(59.0), down(103.0), 4e-6];
        check(ScheduleKind::OneCycle, cycle);
        let late = |t: f64| t.powf(-0.5) / 16.0;
        check(ScheduleKind::ConstantThenNoam, [1.0, 1.0, 1.0, 1.0, late(10.0), late(59.0), late(103.0), late(109.0)]);
    }

    /// The figure that the original shows without knowing: 5e-4 for a hundred steps, then 3.1e-6.
    #[test]
    fn constant_then_noam_falls_160_fold_when_its_warmup_ends() {
        let schedule = schedule(ScheduleKind::ConstantThenNoam, 100, 2000);
        assert_eq!(schedule.factor(99), 1.0);
        assert!((schedule.factor(100) - 1.0 / 160.0).abs() < 1e-12);
    }

    #[test]
    fn factors_stay_in_bounds_and_only_rise_in_the_warmup() {
        for kind in KINDS {
            for (warmup, steps) in [(0, 1), (0, 50), (1, 1), (7, 50), (50, 50)] {
                let schedule = schedule(kind, warmup, steps);
                for t in 0..steps {
                    let factor = schedule.factor(t);
                    assert!((0.0..=1.0).contains(&factor), "{kind:?} w {warmup} n {steps} t {t}: {factor}");
                    if t + 1 < steps && t + 1 >= warmup {
                        assert!(schedule.factor(t + 1) <= factor + 1e-15);
                    }
                }
            }
        }
    }

    #[test]
    fn a_warmup_ratio_is_a_share_of_all_steps() {
        let of_ratio = Schedule::new(&spec(ScheduleKind::Linear, Warmup::Ratio(0.1)), &tiny_spec().model, 110);
        let of_steps = Schedule::new(&spec(ScheduleKind::Linear, Warmup::Steps(11)), &tiny_spec().model, 110);
        assert_eq!(of_ratio, of_steps);
    }

    /// The reductions that `torch.optim.lr_scheduler.ReduceLROnPlateau` (torch 2.9) makes of the same losses, which
    /// `tests/peers/plateau.py` prints.
    #[test]
    fn plateau_reduces_where_pytorch_does() {
        let run = |patience, threshold, losses: &[f64]| {
            let (plateau_factor, warmup) = (0.1, Warmup::Steps(0));
            let spec = ScheduleSpec {
                plateau_factor,
                plateau_patience: patience,
                plateau_threshold: threshold,
                ..spec(ScheduleKind::Plateau, warmup)
            };
            let mut plateau = Plateau::default();
            let scales = losses.iter().map(|&loss| {
                plateau.observe(&spec, 5e-4, loss);
                -plateau.scale.log10().round() as i32
            });
            scales.collect::<Vec<_>>()
        };
        let losses = [3.0, 2.0, 2.5, 1.9999, 2.0, 2.1, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(run(1, 1e-4, &losses), [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4]);
        assert_eq!(run(0, 0.0, &losses), [0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 5]);
        assert_eq!(run(2, 0.3, &losses), [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn plateau_is_no_business_of_other_schedules() {
        let mut plateau = Plateau::default();
        (0..50).for_each(|_| plateau.observe(&spec(ScheduleKind::Linear, Warmup::Steps(0)), 1e-3, 1.0));
        assert_eq!(plateau, Plateau::default());
    }
}
