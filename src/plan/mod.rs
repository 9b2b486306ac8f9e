//! The plan: what an experiment amounts to, as an ordered list of fully resolved run specifications.
//!
//! Pure: no clock, no disk, no randomness. Whatever must be looked up (the corpus) is looked up by the caller. The story:
//! [`read`] checks the cells of an experiment file, [`expand`] lists them, [`plan`] resolves each into one [`RunSpec`] a
//! seed, [`estimate()`] says what a run will cost.

mod canonical;
mod check;
mod dead;
mod estimate;
mod expand;
mod explain;
mod finetune_spec;
mod halving;
mod parameters;
mod resolve;
mod run_spec;
mod sharing;

pub use canonical::SpecError;
pub use check::read;
pub use estimate::{Estimate, Measured, estimate};
pub use expand::{Expansion, MAX_CELLS, Tally, expand};
pub use explain::{Explanation, Layer, explain};
pub use finetune_spec::{Encoder, FinetuneSpec, HeadKind, Start, Task};
pub use halving::HalvingSpec;
pub use parameters::{ParameterCount, parameter_count, parameters};
pub use resolve::{CorpusFacts, CorpusRef, ExamplesFacts, ExamplesRef};
pub use run_spec::{
    Activation, ClipScope, CorpusFormat, DataSpec, DecayExempt, DemoSpec, DeviceKind, Isa, MaskDice, Masking, MlmMean,
    ModelSpec, NUMERICS, NormPosition, Nsp, ObjectiveSpec, OptimizerKind, OptimizerSpec, PositionEmbedding, RunSpec,
    SPEC_SCHEMA, ScheduleKind, ScheduleSpec, Stage, TokenizerKind, TokenizerSpec, TrainLength, TrainSpec, Warmup,
};

pub use sharing::{Savings, Trajectory, predecessors, stages_before};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::experiment::{Axis, Diagnostics, Experiment, Point, Value};
use crate::types::{ContentHash, Seed, SpecHash};

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

/// One combination of axis values, and a run for every seed.
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
    pub seed: Seed,
    pub spec: RunSpec,
    /// The identity of `spec`.
    pub hash: SpecHash,
    /// The stage whose weights it starts from; cells whose stages before are alike share it.
    pub before: Option<Box<PlannedRun>>,
}

impl PlannedRun {
    /// The run after all that it stands on.
    pub fn stages(&self) -> impl Iterator<Item = &Self> {
        self.before.as_deref().into_iter().chain([self])
    }
}

/// What a plan asks of the outside.
pub trait LookUp {
    /// What there is under a corpus's name.
    ///
    /// # Errors
    /// When there is no such corpus, or it cannot be read.
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String>;

    /// The hash of the dictionary of this name.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String>;

    /// The specification of a stored run that fine-tuning is to start from.
    ///
    /// # Errors
    /// When there is no such run, it is not finished, or it was fine-tuned itself.
    fn run(&mut self, name: &str) -> Result<RunSpec, String>;

    /// What labelled examples there are.
    ///
    /// # Errors
    /// When a file cannot be found or read, or is none of its task's format.
    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String>;
}

/// Knows corpora alone.
struct CorporaOnly<F>(F);

impl<E: fmt::Display, F: FnMut(&CorpusRef) -> Result<CorpusFacts, E>> LookUp for CorporaOnly<F> {
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
        (self.0)(corpus).map_err(|error| error.to_string())
    }

    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String> {
        Err(format!("nobody knows the dictionary {name}"))
    }

    fn run(&mut self, name: &str) -> Result<RunSpec, String> {
        Err(format!("nobody knows the run {name}"))
    }

    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
        Err(format!("nobody knows the examples {}", examples.data))
    }
}

impl Plan {
    /// The runs to execute: each specification once, in order of its first appearance, and after what it starts from.
    pub fn runs(&self) -> Vec<&PlannedRun> {
        let mut seen = BTreeSet::new();
        let stages = self.cells.iter().flat_map(|cell| &cell.runs).flat_map(PlannedRun::stages);
        stages.filter(|run| seen.insert(run.hash)).collect()
    }

    /// The value of every axis in a cell, in the order of the axes; nothing where the axis is absent.
    pub fn values<'p>(&'p self, cell: &'p Cell) -> impl Iterator<Item = (&'p PlanAxis, Option<&'p Value>)> {
        let value = |axis: &PlanAxis| cell.axes.iter().find(|(key, _)| *key == axis.key).map(|(_, value)| value);
        self.axes.iter().map(move |axis| (axis, value(axis)))
    }

    /// How many runs of the cells are the same specification as an earlier one, and need no execution of their own.
    pub fn duplicates(&self) -> usize {
        let stages = self.cells.iter().flat_map(|cell| &cell.runs).flat_map(PlannedRun::stages);
        stages.count() - self.runs().len()
    }
}

/// Resolves every cell of `experiment` and every seed into a [`RunSpec`].
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
    let mut corpora: BTreeMap<CorpusRef, Option<CorpusFacts>> = BTreeMap::new();
    let mut labelled: BTreeMap<ExamplesRef, Option<ExamplesFacts>> = BTreeMap::new();
    let mut dictionaries: BTreeMap<String, Option<ContentHash>> = BTreeMap::new();
    let mut starts: BTreeMap<String, Option<RunSpec>> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut cells = Vec::new();
    for point in &expansion.points {
        let settings = experiment.settings(point);
        let examples = ExamplesRef::of(&settings).map(|examples| {
            let facts = labelled.entry(examples).or_insert_with_key(|examples| {
                let facts = look_up.examples(examples);
                facts.map_err(|message| problems.push(resolve::blame_examples(&settings, message))).ok()
            });
            facts.as_ref()
        });
        if let Some(name) = settings.text("finetune.run") {
            let stored = starts.entry(name.to_owned()).or_insert_with_key(|name| {
                let stored = look_up.run(name);
                stored.map_err(|message| problems.push(resolve::blame_run(&settings, message))).ok()
            });
            let (Some(stored), Some(Some(examples))) = (stored, examples) else { continue };
            let beyond = resolve::blame_length(&settings, stored);
            problems.extend(beyond.filter(|problem| !problems.contains(problem)));
            let run = |&seed: &Seed| {
                let (spec, hash) = resolver.finetune(&settings, examples, stored, stored.hash(), seed);
                PlannedRun { seed, spec, hash, before: None }
            };
            let runs = experiment.seeds.iter().map(run).collect();
            cells.push(Cell { axes: cell_axes(experiment, point), label: cell_label(experiment, point), runs });
            continue;
        }
        let corpus = CorpusRef::of(&settings);
        let facts = corpora.entry(corpus).or_insert_with_key(|corpus| {
            let facts = look_up.corpus(corpus).and_then(CorpusFacts::check);
            facts.map_err(|message| problems.push(resolve::blame_corpus(&settings, message))).ok()
        });
        let dictionary = settings.text("tokenizer.dictionary").map(|name| {
            *dictionaries.entry(name.to_owned()).or_insert_with_key(|name| {
                let hash = look_up.dictionary(name);
                hash.map_err(|message| problems.push(resolve::blame_dictionary(&settings, message))).ok()
            })
        });
        let (Some(facts), false) = (facts, dictionary == Some(None)) else { continue };
        let run = |&seed: &Seed| {
            let (spec, hash) = resolver.spec(&settings, facts, dictionary.flatten(), seed);
            problems.extend(resolve::blame_budget(&settings, &spec).filter(|problem| !problems.contains(problem)));
            let Some(Some(examples)) = examples else { return PlannedRun { seed, spec, hash, before: None } };
            let (tuned, its_hash) = resolver.finetune(&settings, examples, &spec, hash, seed);
            let starts_from_it = tuned.finetune.as_ref().is_some_and(|stage| stage.before.is_some());
            let before = starts_from_it.then(|| Box::new(PlannedRun { seed, spec, hash, before: None }));
            PlannedRun { seed, spec: tuned, hash: its_hash, before }
        };
        let runs = experiment.seeds.iter().map(run).collect();
        cells.push(Cell { axes: cell_axes(experiment, point), label: cell_label(experiment, point), runs });
    }
    let halving = HalvingSpec::of(experiment);
    problems.extend(halving.as_ref().and_then(|halving| halving::check(experiment, halving, &cells)));
    if !problems.is_empty() {
        return Err(Diagnostics::new(experiment.source.clone(), problems));
    }
    let axes = experiment.axes.iter().map(PlanAxis::of).collect();
    let baseline = baseline_index(experiment, &cells);
    Ok(Plan { axes, cells, tally: expansion.tally, baseline, halving })
}

/// The specification of a run of which nothing is said: the defaults of the key table, on the built-in corpus.
pub fn default_spec() -> RunSpec {
    let text = "experiment.name = \"default\"\ndata.corpus = \"demo\"\n";
    let alone = &mut |_: &str, _: &str| Err("the defaults stand on no file".to_owned());
    let experiment = read(text, "default", &[], alone).expect("invariant: the defaults are an experiment");
    let hash = ContentHash::of(b"");
    let facts = CorpusFacts { hash, format: CorpusFormat::Demo, bytes: 1, documents: None };
    let plan = plan(&experiment, |_| Ok::<_, String>(facts)).expect("invariant: the defaults are an experiment");
    plan.cells[0].runs[0].spec.clone()
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
