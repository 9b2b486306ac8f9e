//! A plan as work: its tasks, the data that they need, and the cells that early stopping compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::corpora;
use super::data_sources::{DataSources, SearchPath};
use super::execute::Task;
use super::provenance::ExperimentOrigin;
use super::queue::Halving;
use serde_json::Map;

use crate::clock::Stopwatch;
use crate::plan::{Cell, DataSpec, Plan, PlannedRun, RunSpec, TokenizerKind, estimate};
use crate::trainer::corpus::{Notice, PrepareError, PreparedData, SideStats, Stats};
use crate::trainer::device::{self, DeviceError};
use crate::trainer::pretraining::check_documents;
use crate::trainer::step_loop::TrainError;
use crate::types::{MetricName, SpecHash};

/// A task for each specification of the plan of `experiment`, which is decided by `metric`, named by its cell and replicate.
pub fn tasks(experiment: &str, metric: &MetricName, negligible: Option<f64>, plan: &Plan) -> Vec<Task> {
    let baseline = plan.baseline.iter().flat_map(|&cell| &plan.cells[cell].axes);
    let baseline = baseline.map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap_or_default())).collect();
    let origin = ExperimentOrigin {
        name: experiment.to_owned(),
        axes: Map::new(),
        replicate: None,
        metric: Some(metric.clone()),
        baseline,
        negligible,
    };
    let mut seen = BTreeSet::new();
    let are_repeated = plan.cells.iter().any(|cell| cell.runs.len() > 1);
    let mut tasks = Vec::new();
    for cell in &plan.cells {
        for run in cell.runs.iter().flat_map(PlannedRun::with_inputs).filter(|run| seen.insert(run.hash)) {
            let is_before = cell.runs.iter().all(|last| last.hash != run.hash);
            let of_stage = |key: &&'static str| !is_before || !key.starts_with("finetune.");
            let axes = cell.axes.iter().filter(|(key, _)| of_stage(key));
            let axes = axes.map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap_or_default())).collect();
            let stage = if is_before { "pretraining " } else { "" };
            let is_named = are_repeated || cell.label.is_empty();
            let replicate = if is_named { format!(" {}", run.replicate) } else { String::new() };
            tasks.push(Task {
                spec: run.spec.clone(),
                hash: run.hash,
                label: format!("{stage}{}{replicate}", cell.label).trim().to_owned(),
                experiment: Some(ExperimentOrigin { axes, replicate: Some(run.replicate.number), ..origin.clone() }),
                reproduces: None,
            });
        }
    }
    tasks
}

/// Early stopping as the plan has it: the tasks of each cell.
pub fn halving(plan: &Plan, tasks: &[Task]) -> Option<Halving> {
    let spec = plan.halving.clone()?;
    let index: BTreeMap<SpecHash, usize> = tasks.iter().enumerate().map(|(i, task)| (task.hash, i)).collect();
    let mut free: BTreeSet<usize> = (0..tasks.len()).collect();
    // A specification that two cells have is executed for the first of them.
    let mut tasks_of = |cell: &Cell| cell.runs.iter().map(|run| index[&run.hash]).filter(|i| free.remove(i)).collect();
    let cells = plan.cells.iter().map(&mut tasks_of).collect();
    let steps = tasks.iter().map(|task| estimate(&task.spec).steps.unwrap_or(u64::MAX)).collect();
    Some(Halving { spec, cells, steps })
}

/// What each task costs, in floating-point operations, as far as it is known before it begins: one whose steps are not is
/// taken for a mean one.
pub fn costs(tasks: &[Task]) -> Vec<f64> {
    let flops: Vec<Option<f64>> = tasks.iter().map(|task| estimate(&task.spec).flops).collect();
    let known: Vec<f64> = flops.iter().copied().flatten().collect();
    let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    flops.into_iter().map(|flops| flops.unwrap_or(mean)).collect()
}

/// A corpus that is ready to be trained on.
#[derive(Clone, Debug)]
pub struct PreparedCorpus<'p> {
    pub data: &'p DataSpec,
    /// The first run that needs it.
    pub spec: &'p RunSpec,
    pub train: SideStats,
    pub valid: SideStats,
    /// Files of the cache that had to be built anew, and why.
    pub notices: Vec<Notice>,
    pub elapsed_secs: f64,
}

/// Why the runs of a plan cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Documents(#[from] TrainError),
}

impl SweepError {
    /// Whether the experiment asks for what is not there; else the work failed.
    pub fn is_of_request(&self) -> bool {
        !matches!(self, Self::Prepare(PrepareError::Cache { .. }))
    }
}

/// Tokenizes each corpus of the plan once, so that what is wrong with one shows before the first run; tells of each.
///
/// # Errors
/// When a device is not there, a corpus cannot be prepared, or it has too few documents for its objective.
pub fn prepare(plan: &Plan, sources: &DataSources, tell: &mut dyn FnMut(&PreparedCorpus)) -> Result<(), SweepError> {
    let mut seen = BTreeSet::new();
    for run in plan.runs() {
        let spec = &run.spec;
        device::check(spec)?;
        // What continues another run has its tokenizer from there.
        if !spec.inputs.is_empty() || spec.tokenizer.kind == TokenizerKind::Imported {
            continue;
        }
        let Some(data) = spec.data() else { continue };
        let nsp = spec.pretraining().map(|stage| stage.objective.nsp);
        if !seen.insert(format!("{data:?} {:?} {nsp:?}", spec.tokenizer)) {
            continue;
        }
        let stopwatch = Stopwatch::start();
        let PreparedData { stats: Stats { train, valid }, notices, .. } = corpora::prepare(spec, sources)?;
        if spec.pretraining().is_some() {
            check_documents(spec, train.documents as usize, valid.documents as usize)?;
        }
        tell(&PreparedCorpus { data, spec, train, valid, notices, elapsed_secs: stopwatch.elapsed_secs() });
    }
    Ok(())
}

/// Whether every tokenizer of the plan can be learnt from its corpus, without writing anything: what [`prepare`] would refuse
/// is refused before anything is begun. A corpus of more than `most_bytes` is not looked into.
///
/// # Errors
/// When a vocabulary is too large or too small for its text, or the corpus cannot be read.
pub fn check_tokenizers(plan: &Plan, search: &SearchPath, cache: &Path, most_bytes: u64) -> Result<(), SweepError> {
    let mut seen = BTreeSet::new();
    for run in plan.runs() {
        let spec = &run.spec;
        if !spec.inputs.is_empty() || spec.tokenizer.kind == TokenizerKind::Imported {
            continue;
        }
        let Some(data) = spec.data() else { continue };
        if seen.insert(format!("{data:?} {:?}", spec.tokenizer)) {
            corpora::check_tokenizer(spec, search, cache, most_bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

    fn labels(extra: &str) -> Vec<String> {
        testing::tasks(extra).into_iter().map(|task| task.label).collect()
    }

    #[test]
    fn a_task_is_called_by_its_cell_and_where_there_are_several_its_replicate() {
        let rates = "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3]\n";
        assert_eq!(labels(""), ["seed=0"]);
        assert_eq!(labels(rates), ["lr=0.001", "lr=0.002"]);
        let drawn = labels(&format!("{rates}[sweep.replicates]\nseeds = 2\n"));
        let expected = ["lr=0.001 replicate=0", "lr=0.001 replicate=1", "lr=0.002 replicate=0", "lr=0.002 replicate=1"];
        assert_eq!(drawn, expected);
        let listed = labels(&format!("{rates}[sweep.replicates]\nseeds = [5, 3]\n"));
        assert_eq!(listed, ["lr=0.001 seed=5", "lr=0.001 seed=3", "lr=0.002 seed=5", "lr=0.002 seed=3"]);
    }

    #[test]
    fn a_task_knows_its_experiment_its_cell_and_the_metric_that_decides() {
        let task = testing::tasks("[sweep.grid]\n\"optimizer.lr\" = [1e-3]\n").remove(0);
        let origin = task.experiment.unwrap();
        assert_eq!((origin.name.as_str(), &origin.axes["optimizer.lr"]), ("test", &serde_json::json!(1e-3)));
        assert_eq!(origin.metric.unwrap().as_str(), "valid/mlm_loss");
        assert_eq!(task.hash, task.spec.hash());
    }

    #[test]
    fn halving_has_every_task_in_one_cell_and_knows_its_length() {
        let extra = "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3, 3e-3]\n[sweep.replicates]\nseeds = 2\n[sweep.halving]\n\
                     min_steps = 10\nreduction_factor = 2\n";
        let plan = testing::plan(extra);
        let tasks = testing::tasks_of(&plan);
        let halving = halving(&plan, &tasks).unwrap();
        assert_eq!((halving.cells, halving.steps), (vec![vec![0, 1], vec![2, 3], vec![4, 5]], vec![40; 6]));
        assert!(super::halving(&testing::plan(""), &tasks).is_none());
    }

    #[test]
    fn a_task_of_unknown_length_costs_as_much_as_the_mean() {
        let mut tasks = testing::tasks("[sweep.grid]\n\"train.steps\" = [20, 40, 60]\n");
        let known = costs(&tasks);
        assert!((known[1] / known[0] - 2.0).abs() < 1e-9 && (known[2] / known[0] - 3.0).abs() < 1e-9, "{known:?}");
        tasks[2].spec.train_mut().length = crate::plan::TrainLength::Epochs(1.0);
        assert_eq!(costs(&tasks)[2], (known[0] + known[1]) / 2.0);
    }
}
