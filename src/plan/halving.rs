//! Early stopping, as a sweep declares it: at which steps cells are compared, and what share of them survives.

use super::Cell;
use super::run_spec::{StageSpec, TrainLength};
use crate::experiment::{Diagnostic, Experiment, Setting, Value, keys, problem};
use crate::types::MetricName;
use crate::types::metrics::Goal;

/// `[sweep.halving]`: asynchronous successive halving. No run's specification knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalvingSpec {
    /// The step of the first rung.
    pub min_steps: u64,
    /// eta: each rung is at eta times the steps of the one before, and 1/eta of its cells survive.
    pub reduction_factor: u64,
    /// What cells are compared by.
    pub metric: MetricName,
    pub maximize: bool,
}

impl HalvingSpec {
    /// What the experiment declares, if it does.
    pub(super) fn of(experiment: &Experiment) -> Option<Self> {
        let number = |name: &str| {
            let given = experiment.given.get(name).map(|setting| setting.value.clone());
            match given.or_else(|| keys::find(name)?.default_value())? {
                Value::Integer(value) => u64::try_from(value).ok(),
                _ => None,
            }
        };
        Some(Self {
            min_steps: number(MIN_STEPS)?,
            reduction_factor: number(FACTOR)?,
            metric: experiment.metric.clone(),
            maximize: experiment.goal == Goal::Maximize,
        })
    }

    /// The step of rung `rung`, counted from 0; beyond all steps where there are not so many.
    pub fn rung_step(&self, rung: usize) -> u64 {
        let power = u32::try_from(rung).ok().and_then(|rung| self.reduction_factor.checked_pow(rung));
        power.and_then(|power| self.min_steps.checked_mul(power)).unwrap_or(u64::MAX)
    }

    /// The rung after `rungs` of them for a run of `steps` steps; none when its end comes first.
    pub fn next_rung(&self, rungs: usize, steps: u64) -> Option<u64> {
        Some(self.rung_step(rungs)).filter(|step| *step < steps)
    }
}

const MIN_STEPS: &str = "sweep.halving.min_steps";
const FACTOR: &str = "sweep.halving.reduction_factor";

/// What is wrong with the rungs for these cells: a rung must be an evaluation, and must come before the end of some run.
pub(super) fn check(experiment: &Experiment, halving: &HalvingSpec, cells: &[Cell]) -> Option<Diagnostic> {
    let specs = cells.iter().flat_map(|cell| cell.runs.first()).map(|run| &run.spec);
    let setting: &Setting = experiment.given.get(MIN_STEPS)?;
    let at = |problem: Diagnostic| problem.at(setting.place.clone().unwrap_or((0..0).into()), "the first rung");
    let first = halving.min_steps;
    let mut longest = 0;
    for spec in specs {
        let StageSpec::Pretrain(stage) = &spec.stage else {
            let problem = Diagnostic::error(
                &problem::HALVING_NOT_POSSIBLE,
                "`[sweep.halving]` stops pretraining early, and does not go with `[finetune]` yet",
            );
            return Some(at(problem).help("search without `[finetune]` first, then fine-tune the best cells"));
        };
        let train = &stage.training.train;
        let TrainLength::Steps(steps) = train.length else {
            let problem = Diagnostic::error(
                &problem::HALVING_NOT_POSSIBLE,
                "`[sweep.halving]` counts in steps, and runs of this sweep are in epochs",
            );
            return Some(at(problem).help("give `train.steps` in place of `train.epochs`"));
        };
        longest = longest.max(steps);
        let every = train.eval_every;
        if !first.is_multiple_of(every) {
            let message = format!(
                "`{MIN_STEPS}` {first} is no multiple of `train.eval_every` {every}: nothing is measured there"
            );
            let (below, above) = (first / every * every, first.div_ceil(every) * every);
            let near = if below == 0 { format!("{above}") } else { format!("{below} or {above}") };
            return Some(
                at(Diagnostic::error(&problem::BAD_RUNG, message)).help(format!("the nearest that are: {near}")),
            );
        }
    }
    if halving.next_rung(0, longest).is_some() {
        return None;
    }
    let message = format!("no run is stopped at step {first}: the longest has {longest} steps");
    let help = format!("a first rung after a tenth of the steps is usual: {}", (longest / 10).max(1));
    Some(at(Diagnostic::error(&problem::BAD_RUNG, message)).help(help))
}
