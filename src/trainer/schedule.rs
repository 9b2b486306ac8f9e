//! Learning-rate schedules: pure functions of the step.
//!
//! A schedule gives the factor that scales the optimizer's peak learning rate. Each has a linear warmup of `w` steps and,
//! where it looks ahead, ends after `n` steps. Step `t` is the update about to be made, counted from 0, so the first
//! update of a warmup has factor `1 / w`, not 0.

use crate::plan::{ScheduleKind, ScheduleSpec, Warmup};

/// A schedule with its lengths resolved to steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    warmup: u64,
    steps: u64,
}

impl Schedule {
    /// The schedule of `spec` over `steps` updates.
    pub fn new(spec: &ScheduleSpec, steps: u64) -> Self {
        let warmup = match spec.warmup {
            Warmup::Steps(warmup) => warmup,
            Warmup::Ratio(ratio) => (ratio * steps as f64).round() as u64,
        };
        Self { kind: spec.kind, warmup: warmup.min(steps), steps }
    }

    /// The factor at update `t` (from 0), in [0, 1].
    ///
    /// With `u = t + 1` and the share `x = (u - w) / (n - w)` of what follows the warmup:
    /// - warmup, `u < w`: `u / w`
    /// - constant: 1
    /// - linear: `1 - x`, as `transformers.get_linear_schedule_with_warmup`
    /// - cosine: `(1 + cos(pi x)) / 2` (Loshchilov & Hutter 2017, without restarts)
    /// - noam: `sqrt(w / u)` (Vaswani et al. 2017, section 5.3, scaled so that its peak is 1)
    pub fn factor(&self, t: u64) -> f64 {
        let (u, w, n) = ((t + 1) as f64, self.warmup as f64, self.steps as f64);
        if u < w {
            return u / w;
        }
        let x = if n > w { ((u - w) / (n - w)).min(1.0) } else { 0.0 };
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => 1.0 - x,
            ScheduleKind::Cosine => (1.0 + libm::cos(std::f64::consts::PI * x)) / 2.0,
            ScheduleKind::Noam => (w.max(1.0) / u).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ScheduleKind; 4] =
        [ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::Noam];

    fn schedule(kind: ScheduleKind, warmup: u64, steps: u64) -> Schedule {
        Schedule::new(&ScheduleSpec { kind, warmup: Warmup::Steps(warmup) }, steps)
    }

    /// Closed forms at the first step, around the end of the warmup, in the middle and at the end.
    #[test]
    fn factors_match_their_formulas() {
        let check = |kind, expected: [f64; 6]| {
            let schedule = schedule(kind, 10, 110);
            for (t, expected) in [0, 8, 9, 10, 59, 109].into_iter().zip(expected) {
                let factor = schedule.factor(t);
                assert!((factor - expected).abs() < 1e-12, "{kind:?} at {t}: {factor}, not {expected}");
            }
        };
        check(ScheduleKind::Constant, [0.1, 0.9, 1.0, 1.0, 1.0, 1.0]);
        check(ScheduleKind::Linear, [0.1, 0.9, 1.0, 0.99, 0.5, 0.0]);
        let after_one = (1.0 + (std::f64::consts::PI * 0.01).cos()) / 2.0;
        check(ScheduleKind::Cosine, [0.1, 0.9, 1.0, after_one, 0.5, 0.0]);
        check(
            ScheduleKind::Noam,
            [0.1, 0.9, 1.0, (10f64 / 11.0).sqrt(), (10f64 / 60.0).sqrt(), (10f64 / 110.0).sqrt()],
        );
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
        let spec = ScheduleSpec { kind: ScheduleKind::Linear, warmup: Warmup::Ratio(0.1) };
        assert_eq!(Schedule::new(&spec, 110), schedule(ScheduleKind::Linear, 11, 110));
    }
}
