//! The plan: what an experiment amounts to, as an ordered list of fully resolved run specifications.
//!
//! Pure: no clock, no disk, no randomness. Whatever must be looked up (the corpus) is looked up by the caller. The story:
//! [`read`] checks the cells of an experiment file, [`expand`] lists them, [`plan`] resolves each into one [`RunSpec`] a
//! replicate, whose seed is drawn by `luck`, and [`estimate()`] says what a run will cost.

mod as_file;
mod check;
mod dead;
mod estimate;
mod expand;
mod explain;
mod halving;
mod look_up;
mod luck;
mod parameters;
mod resolve;
mod run_spec;
mod sharing;
mod step;

pub use as_file::experiment_file;
pub use check::read;
pub use estimate::{Estimate, estimate, sequence_flops, training_flops};
pub use expand::{Expansion, MAX_CELLS, Tally, expand};
pub use explain::{Explanation, Layer, explain};
pub use halving::HalvingSpec;
pub use look_up::LookUp;
pub use parameters::{ParameterCount, parameter_count, parameters};
pub use resolve::{CorpusFacts, CorpusRef, ExamplesFacts, ExamplesRef};
pub use run_spec::later;
pub use run_spec::{
    Activation, Answers, Architecture, BiasInit, ClipScope, CorpusFormat, DataSpec, DecayExempt, DemoSpec, DeviceKind,
    Encoder, FinetuneSpec, Fold, HeadKind, ImportSpec, Isa, LengthStage, MaskDice, Masking, MlmMean, ModelSpec,
    NUMERICS, NormPosition, NormType, Nsp, ObjectiveSpec, OptimizerKind, OptimizerSpec, Packing, Pooling,
    PositionEmbedding, PretrainSpec, Recipe, Role, RunSpec, SPEC_SCHEMA, ScheduleKind, ScheduleSpec, Schema, SpecError,
    StageSpec, Start, Task, TaskSpec, TokenizerKind, TokenizerSpec, TrainLength, TrainSpec, Training, Warmup,
};

pub use sharing::{Savings, Trajectory, inputs_among, predecessors};
pub use step::Stretch;

use std::collections::BTreeSet;
use std::fmt;

use self::look_up::{CorporaOnly, LookedUp, Said};
use self::luck::Luck;
use crate::experiment::{Axis, Diagnostics, Experiment, Point, Replicate, Settings, Value};
use crate::types::{Seed, SpecHash};

/// Everything that an experiment runs, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of the key table.
    pub axes: Vec<PlanAxis>,
    /// In the order of the sweep: see [`expand()`].
    pub cells: Vec<Cell>,
    /// How the cells came about.
    pub tally: Tally,
    /// The index of the cell that the others are compared with.
    pub baseline: Option<usize>,
    /// How runs are stopped early, if they are.
    pub halving: Option<HalvingSpec>,
}

/// An axis as tables and figures need it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanAxis {
    pub key: &'static str,
    /// The short name: see [`Axis::label`].
    pub label: String,
    pub values: Vec<Value>,
}

/// One combination of axis values, and a run for every replicate.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Key and value for every axis that exists here, in the order of the axes: an absent axis has no value.
    pub axes: Vec<(&'static str, Value)>,
    /// `mask_ratio=0.3 nsp=off`; empty when nothing is swept.
    pub label: String,
    pub runs: Vec<PlannedRun>,
}

/// One run of a cell.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    pub replicate: Replicate,
    /// Of all its random draws.
    pub seed: Seed,
    pub spec: RunSpec,
    /// The identity of `spec`.
    pub hash: SpecHash,
    /// The planned runs among the inputs of `spec`, which may have inputs of their own; cells whose inputs are alike share
    /// them. A run of the store that is an input is not planned.
    pub inputs: Vec<PlannedRun>,
}

impl PlannedRun {
    /// The run after all that it stands on.
    pub fn with_inputs(&self) -> Vec<&Self> {
        self.inputs.iter().flat_map(Self::with_inputs).chain([self]).collect()
    }
}

impl Plan {
    /// The runs to execute: each specification once, in order of its first appearance, and after all of its inputs.
    pub fn runs(&self) -> Vec<&PlannedRun> {
        let mut seen = BTreeSet::new();
        let all = self.cells.iter().flat_map(|cell| &cell.runs).flat_map(PlannedRun::with_inputs);
        all.filter(|run| seen.insert(run.hash)).collect()
    }

    /// The value of every axis in a cell, in the order of the axes; nothing where the axis is absent.
    pub fn values<'p>(&'p self, cell: &'p Cell) -> impl Iterator<Item = (&'p PlanAxis, Option<&'p Value>)> {
        let value = |axis: &PlanAxis| cell.axes.iter().find(|(key, _)| *key == axis.key).map(|(_, value)| value);
        self.axes.iter().map(move |axis| (axis, value(axis)))
    }

    /// How many runs of the cells are the same specification as an earlier one, and need no execution of their own.
    pub fn duplicates(&self) -> usize {
        let all = self.cells.iter().flat_map(|cell| &cell.runs).flat_map(PlannedRun::with_inputs);
        all.count() - self.runs().len()
    }
}

/// Resolves every cell of `experiment` and every replicate into a [`RunSpec`].
///
/// `look_up` says what there is under a corpus's name. It is asked once for each corpus, whatever the number of cells. For
/// experiments that fine-tune see [`plan_with`].
///
/// # Errors
/// When a corpus cannot be found or read, or has fewer than two documents, at the place that names it; when `[sweep.halving]`
/// compares runs where nothing is measured.
pub fn plan<E: fmt::Display>(
    experiment: &Experiment,
    look_up: impl FnMut(&CorpusRef) -> Result<CorpusFacts, E>,
) -> Result<Plan, Diagnostics> {
    plan_with(experiment, &mut CorporaOnly(look_up))
}

/// [`plan`] with all that a plan may ask for.
///
/// # Errors
/// Those of [`plan`], and when labelled examples cannot be had.
pub fn plan_with(experiment: &Experiment, look_up: &mut dyn LookUp) -> Result<Plan, Diagnostics> {
    let (expansion, _) = expand(experiment);
    let mut resolver = resolve::Resolver::default();
    let mut known = LookedUp::new(look_up);
    let mut cells = Vec::new();
    for point in &expansion.points {
        let settings = experiment.settings(point);
        let Ok(runs) = runs_of(experiment, &settings, &mut known, &mut resolver) else { continue };
        cells.push(Cell { axes: cell_axes(experiment, point), label: cell_label(experiment, point), runs });
    }
    let halving = HalvingSpec::of(experiment);
    let mut problems = known.problems;
    problems.extend(halving.as_ref().and_then(|halving| halving::check(experiment, halving, &cells)));
    if !problems.is_empty() {
        return Err(Diagnostics::new(experiment.source.clone(), problems));
    }
    let axes = experiment.axes.iter().map(PlanAxis::of).collect();
    let baseline = baseline_index(experiment, &cells);
    Ok(Plan { axes, cells, tally: expansion.tally, baseline, halving })
}

/// The keys that name a stored run to start from.
const FINETUNE_RUN: &str = "finetune.run";
const TRAIN_RUN: &str = "train.run";

/// The runs of a cell, one for each replicate.
fn runs_of(
    experiment: &Experiment,
    settings: &Settings<'_>,
    known: &mut LookedUp<'_>,
    resolver: &mut resolve::Resolver,
) -> Result<Vec<PlannedRun>, Said> {
    let planned =
        |replicate, (spec, hash): (RunSpec, _), inputs| PlannedRun { replicate, seed: spec.seed(), spec, hash, inputs };
    let replicates = || experiment.replicates.iter().copied();
    let examples = known.examples(settings);
    if let Some(stored) = known.run(settings, FINETUNE_RUN) {
        let (stored, examples) = (stored?, examples.transpose()?.ok_or(Said)?);
        known.say(resolve::blame_length(settings, "finetune.", FINETUNE_RUN, &stored));
        known.say(resolve::blame_tokenizer(settings, FINETUNE_RUN, &stored));
        let before = stored.hash();
        let mut run = |replicate| {
            let tuned = resolver.finetune(settings, &examples, &stored, before, Luck::of(replicate));
            planned(replicate, tuned, Vec::new())
        };
        return Ok(replicates().map(&mut run).collect());
    }
    let (corpus, dictionary, start) =
        (known.corpus(settings), known.dictionary(settings), known.run(settings, TRAIN_RUN));
    let (examples, corpus, dictionary) = (examples.transpose()?, corpus?, dictionary.transpose()?);
    let start = start.transpose()?;
    if let Some(stored) = &start {
        known.say(resolve::blame_stage(settings, stored));
        known.say(resolve::blame_length(settings, "", TRAIN_RUN, stored));
        if Task::of(settings).is_some() {
            known.say(resolve::blame_length(settings, "finetune.", TRAIN_RUN, stored));
        }
        known.say(resolve::blame_tokenizer(settings, TRAIN_RUN, stored));
    }
    let run = |replicate| {
        let luck = Luck::of(replicate);
        let (spec, hash) = match &start {
            Some(stored) => resolver.pretrain_further(settings, &corpus, stored, luck),
            None => resolver.spec(settings, &corpus, dictionary, luck),
        };
        known.say(resolve::blame_budget(settings, &spec));
        let Some(examples) = &examples else { return planned(replicate, (spec, hash), Vec::new()) };
        let is_pretrained = settings.text("finetune.start") == Some("pretrained");
        let luck = if is_pretrained { Luck::Given(spec.seed()) } else { luck };
        let tuned = resolver.finetune(settings, examples, &spec, hash, luck);
        let before = planned(replicate, (spec, hash), Vec::new());
        let starts_from_it = tuned.0.inputs.values().any(|input| *input == hash);
        planned(replicate, tuned, starts_from_it.then_some(before).into_iter().collect())
    };
    Ok(replicates().map(run).collect())
}

impl PlanAxis {
    fn of(axis: &Axis) -> Self {
        let values = axis.values.iter().map(|setting| setting.value.clone()).collect();
        Self { key: axis.key.name, label: axis.label.clone(), values }
    }
}

fn cell_axes(experiment: &Experiment, point: &Point) -> Vec<(&'static str, Value)> {
    experiment.values(point).map(|(axis, setting)| (axis.key.name, setting.value.clone())).collect()
}

fn cell_label(experiment: &Experiment, point: &Point) -> String {
    let part = |(axis, setting): (&Axis, &crate::experiment::Setting)| format!("{}={}", axis.label, setting.value);
    experiment.values(point).map(part).collect::<Vec<_>>().join(" ")
}

fn baseline_index(experiment: &Experiment, cells: &[Cell]) -> Option<usize> {
    let baseline = experiment.baseline.as_ref()?;
    let wanted: Vec<(&str, Value)> = baseline.iter().map(|(key, setting)| (key.name, setting.value.clone())).collect();
    cells.iter().position(|cell| cell.axes == wanted)
}

#[cfg(test)]
mod tests;
