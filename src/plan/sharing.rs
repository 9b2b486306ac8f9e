//! Work that runs share: a run that only trains longer than another resumes where that one ends.
//!
//! Under a schedule that does not look ahead, the first steps of a long run are the steps of a short one, bit for bit: no
//! draw and no learning rate asks how many steps there will be. Specifications that differ in nothing but `train.steps`
//! are then one trajectory, and a sweep over the number of steps trains it once, up to its longest run.

use std::collections::{BTreeMap, BTreeSet};

use super::run_spec::{DeviceKind, RunSpec, Schema, TrainLength, Training, Warmup};
use super::{Plan, PlannedRun};
use crate::types::SpecHash;

/// What a run does step by step, whenever it ends: runs of one trajectory are beginnings of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trajectory(SpecHash);

/// What sharing saves of a plan's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Savings {
    /// Runs that resume where a shorter one ends.
    pub runs: usize,
    /// The steps that these need not make.
    pub steps: u64,
    /// Runs that cannot, although they differ from a shorter one in their number of steps alone.
    pub apart: usize,
}

impl RunSpec {
    /// The run's trajectory, and its steps; none where the end of the run is looked at before it.
    ///
    /// That is so in fine-tuning, on devices that do not promise their bits, for lengths in epochs, for schedules that fall
    /// towards the end, for a warmup that is a share of all steps or is cut short by the end, and for lengths of sequences that
    /// rise by shares of all steps.
    pub fn trajectory(&self) -> Option<(Trajectory, u64)> {
        let Training { schedule, train, .. } = &self.pretraining()?.training;
        let TrainLength::Steps(steps) = train.length else { return None };
        if train.device != DeviceKind::Flex || !train.seq_len_warmup.is_empty() {
            return None;
        }
        let warmup_is_fixed = match schedule.warmup {
            Warmup::Steps(warmup) => warmup <= steps,
            Warmup::Ratio(ratio) => ratio == 0.0,
        };
        (!schedule.kind.looks_ahead() && warmup_is_fixed).then(|| (Trajectory(self.without_length()), steps))
    }

    /// Whether a longer run may resume from this one's end.
    ///
    /// The last step is always evaluated; where no evaluation is due, a longer run does not have that one, and what it
    /// records differs.
    pub fn ends_on_an_evaluation(&self) -> bool {
        let is_evaluated = |training: &Training| matches!(training.train.length, TrainLength::Steps(n) if n.is_multiple_of(training.train.eval_every));
        self.training().is_some_and(is_evaluated)
    }

    /// The identity of the specification but for its number of steps, whichever schema it was stored under.
    fn without_length(&self) -> SpecHash {
        let mut any_length = Self { schema: Schema::Second, ..self.clone() };
        if let Some(training) = any_length.training_mut() {
            training.train.length = TrainLength::Steps(0);
        }
        any_length.hash()
    }
}

/// For each specification, its inputs as far as they are among them.
pub fn inputs_among(specs: &[&RunSpec]) -> Vec<BTreeSet<usize>> {
    if specs.iter().all(|spec| spec.inputs.is_empty()) {
        return vec![BTreeSet::new(); specs.len()];
    }
    let index: BTreeMap<SpecHash, usize> = specs.iter().enumerate().map(|(i, spec)| (spec.hash(), i)).collect();
    let of = |spec: &&RunSpec| spec.inputs.values().filter_map(|input| index.get(input).copied()).collect();
    specs.iter().map(of).collect()
}

/// For each specification, the one of the same trajectory that it resumes from: the longest of those that end before it.
pub fn predecessors(specs: &[&RunSpec]) -> Vec<Option<usize>> {
    let mut ends: BTreeMap<Trajectory, BTreeMap<u64, usize>> = BTreeMap::new();
    let trajectories: Vec<_> = specs.iter().map(|spec| spec.trajectory()).collect();
    for (i, (spec, trajectory)) in specs.iter().zip(&trajectories).enumerate() {
        if let Some((trajectory, steps)) = trajectory
            && spec.ends_on_an_evaluation()
        {
            ends.entry(*trajectory).or_default().entry(*steps).or_insert(i);
        }
    }
    let before = |&(trajectory, steps)| Some(*ends.get(&trajectory)?.range(..steps).next_back()?.1);
    trajectories.iter().map(|found| found.as_ref().and_then(before)).collect()
}

impl Plan {
    /// What sharing saves of the runs that are `missing`; all others are there to resume from.
    pub fn savings(&self, missing: impl Fn(&PlannedRun) -> bool) -> Savings {
        let runs = self.runs();
        let length = |run: &PlannedRun| run.spec.training().map(|training| training.train.length);
        let steps = |run: &PlannedRun| match length(run) {
            Some(TrainLength::Steps(steps)) => steps,
            Some(TrainLength::Epochs(_)) | None => 0,
        };
        if runs.windows(2).all(|pair| length(pair[0]) == length(pair[1])) {
            return Savings::default();
        }
        let specs: Vec<&RunSpec> = runs.iter().map(|run| &run.spec).collect();
        let mut savings = Savings::default();
        let mut alike: BTreeMap<SpecHash, Vec<u64>> = BTreeMap::new();
        for run in &runs {
            alike.entry(run.spec.without_length()).or_default().push(steps(run));
        }
        for (run, before) in runs.iter().zip(predecessors(&specs)).filter(|(run, _)| missing(run)) {
            match before {
                Some(before) => {
                    savings.runs += 1;
                    savings.steps += steps(runs[before]);
                }
                None => {
                    let shorter = alike[&run.spec.without_length()].iter().any(|length| *length < steps(run));
                    savings.apart += usize::from(shorter);
                }
            }
        }
        savings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{file, planned, spec};

    fn steps_of(spec: &RunSpec) -> u64 {
        spec.trajectory().map_or(0, |(_, steps)| steps)
    }

    #[test]
    fn what_looks_at_its_end_has_no_trajectory() {
        let has = |rest: &str| spec(rest).trajectory().is_some();
        assert!(has("schedule.kind = \"constant\"\nschedule.warmup_steps = 0"));
        assert!(has("schedule.kind = \"noam\"\nschedule.warmup_steps = 10\ntrain.steps = 10"));
        assert!(has("schedule.kind = \"constant\"\nschedule.warmup_ratio = 0.0"));
        assert!(!has("schedule.kind = \"constant\"\nschedule.warmup_ratio = 0.1"));
        assert!(!has("schedule.kind = \"linear\"\nschedule.warmup_steps = 10"));
        assert!(!has("schedule.kind = \"cosine\"\nschedule.warmup_steps = 10"));
        assert!(!has("schedule.kind = \"constant\"\nschedule.warmup_steps = 0\ntrain.epochs = 1.0"));
    }

    #[test]
    fn a_trajectory_is_all_but_the_number_of_steps() {
        let base = "schedule.kind = \"constant\"\nschedule.warmup_steps = 5\n";
        let trajectory = |rest: &str| spec(&format!("{base}{rest}")).trajectory().unwrap().0;
        assert_eq!(trajectory("train.steps = 100"), trajectory("train.steps = 900"));
        assert_ne!(trajectory("train.steps = 100"), trajectory("train.steps = 100\noptimizer.lr = 0.1"));
        assert_ne!(trajectory("train.steps = 100"), trajectory("train.steps = 100\ntrain.seed = 1"));
    }

    /// Against the plain count: the longest run of each group of alike specs is all that is trained.
    #[test]
    fn executed_steps_are_those_of_the_longest_run_of_each_group() {
        for lengths in [vec![20, 40, 60], vec![60, 20, 40], vec![20, 35, 60], vec![35, 20]] {
            let rest = format!(
                "[schedule]\nkind = \"constant\"\nwarmup_steps = 5\n[train]\neval_every = 10\n\
                 [sweep.grid]\n\"train.steps\" = {lengths:?}\n\"objective.mask_ratio\" = [0.15, 0.3]\n\
                 [sweep.replicates]\nseeds = 2\n"
            );
            let plan = planned(&file(&rest), &[]);
            let runs = plan.runs();
            let alone: u64 = runs.iter().map(|run| steps_of(&run.spec)).sum();
            let mut expected = 0;
            for (ratio, seed) in [(0.15, 0), (0.15, 1), (0.3, 0), (0.3, 1)] {
                let is_alike = |run: &&&PlannedRun| {
                    run.spec.pretraining().unwrap().objective.mask_ratio == ratio && run.replicate.number == seed
                };
                let group: Vec<u64> = runs.iter().filter(is_alike).map(|run| steps_of(&run.spec)).collect();
                assert!(!group.is_empty());
                let useable = |end: &u64| group.iter().filter(|s| *s < end && *s % 10 == 0).max().copied();
                expected += group.iter().map(|end| end - useable(end).unwrap_or(0)).sum::<u64>();
            }
            let savings = plan.savings(|_| true);
            assert_eq!(alone - savings.steps, expected, "{lengths:?}");
        }
    }
}
