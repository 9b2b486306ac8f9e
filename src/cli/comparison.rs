//! From a plan and a store to a comparison: which runs belong to it, what they recorded, and the floors to read it by.

use std::collections::BTreeMap;

use super::error::CliError;
use crate::analysis::{Axis, AxisKind, Comparison, Floor, Goal, Point, RunData};
use crate::experiment::{self, Value};
use crate::plan::{Cell, Plan, PlanAxis, parameter_count};
use crate::store::{Index, RunQuery, RunRow, RunState, Store, StoredRun};
use crate::types::{MetricName, SpecHash};

use super::context::Loaded;

/// Reads the runs of a plan; a cell that nothing ran yet is there as planned.
pub fn of_plan(loaded: &Loaded, store: &Store) -> Result<Comparison, CliError> {
    let Loaded { experiment, plan, .. } = loaded;
    let mut best: BTreeMap<SpecHash, RunRow> = BTreeMap::new();
    for row in Index::open(store)?.query(&RunQuery::default())?.into_iter().filter(|row| row.reproduces.is_none()) {
        let better = best.get(&row.spec_hash).is_none_or(|known| rank(row.state) < rank(known.state));
        if better {
            best.insert(row.spec_hash, row);
        }
    }
    let mut runs = Vec::new();
    for cell in &plan.cells {
        for planned in &cell.runs {
            let axes = cell_axes(plan, cell);
            runs.push(match best.get(&planned.hash) {
                Some(row) => run_data(&store.load(&row.id)?, axes),
                None => RunData {
                    id: None,
                    spec: planned.hash,
                    axes,
                    seed: planned.seed,
                    state: RunState::Planned,
                    reason: None,
                    parameters: parameter_count(&planned.spec).total(),
                    elapsed_secs: 0.0,
                    tokens: 0,
                    series: BTreeMap::new(),
                    facts: BTreeMap::new(),
                },
            });
        }
    }
    let floors = floors(&runs);
    let baseline = plan.baseline.map(|index| cell_axes(plan, &plan.cells[index]));
    Ok(Comparison {
        experiment: experiment.name.clone(),
        question: experiment.question.clone(),
        metric: experiment.metric.clone(),
        goal: match experiment.goal {
            experiment::Goal::Minimize => Goal::Minimize,
            experiment::Goal::Maximize => Goal::Maximize,
        },
        axes: plan.axes.iter().map(axis).collect(),
        runs,
        baseline,
        floors,
    })
}

/// A stored run as analysis takes it, in the cell `axes`.
pub fn run_data(run: &StoredRun, axes: Vec<(String, String)>) -> RunData {
    let history = &run.history;
    let points = |points: &[crate::store::Point]| {
        points.iter().map(|point| Point { step: point.step.0, value: point.value }).collect::<Vec<_>>()
    };
    let tokens = |name: &str| Some(history.series(&name.parse::<MetricName>().ok()?).last()?.value as u64);
    RunData {
        id: Some(run.id.clone()),
        spec: run.spec.hash(),
        axes,
        seed: run.spec.train.seed,
        state: run.state,
        reason: history.reason().map(str::to_owned),
        parameters: parameter_count(&run.spec).total(),
        elapsed_secs: run.history.working_secs(),
        tokens: tokens("train/tokens").unwrap_or_default(),
        series: history.all_series().map(|(name, series)| (name.clone(), points(series))).collect(),
        facts: history.facts.clone(),
    }
}

/// Of several runs of one specification, the one nearest to being finished counts.
fn rank(state: RunState) -> u8 {
    match state {
        RunState::Finished => 0,
        RunState::Running => 1,
        RunState::Interrupted | RunState::Stopped | RunState::Lost => 2,
        RunState::Failed => 3,
        RunState::Planned => 4,
    }
}

fn cell_axes(plan: &Plan, cell: &Cell) -> Vec<(String, String)> {
    plan.values(cell).filter_map(|(axis, value)| Some((axis.label.clone(), value?.to_string()))).collect()
}

fn axis(axis: &PlanAxis) -> Axis {
    let is_number = |value: &Value| matches!(value, Value::Integer(_) | Value::Float(_));
    let kind = if axis.values.iter().all(is_number) {
        AxisKind::Numeric
    } else if axis.key == "model.preset" {
        AxisKind::Ordered
    } else {
        AxisKind::Category
    };
    Axis { name: axis.label.clone(), values: axis.values.iter().map(Value::to_string).collect(), kind }
}

/// What costs no learning, from the facts that the runs measured: the mean over the runs that have the fact. Runs on
/// different data or tokenizers have different floors; then there is none for all of them.
fn floors(runs: &[RunData]) -> Vec<Floor> {
    const FLOORS: [(&str, &str, &str, &str); 3] = [
        (
            "unigram_entropy",
            "valid/mlm_loss",
            "unigram entropy",
            "The loss of knowing nothing but how often each token of the held-out text occurs.",
        ),
        (
            "nsp_baseline_bag_of_b",
            "valid/nsp_accuracy",
            "bag of words of B",
            "Naive Bayes on the words of B alone: what negatives give away by their words.",
        ),
        (
            "nsp_baseline_lengths",
            "valid/nsp_accuracy",
            "lengths alone",
            "The better guess for each pair of lengths: what negatives give away by their length.",
        ),
    ];
    let floor = |(fact, metric, label, explanation): (&str, &str, &str, &str)| {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.facts.get(fact)?.as_f64()).collect();
        let metric = metric.parse().ok()?;
        const AGREEMENT: f64 = 0.05;
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        if high - low > AGREEMENT {
            return None;
        }
        let value = values.iter().sum::<f64>() / values.len() as f64;
        value.is_finite().then(|| Floor { metric, label: label.into(), value, explanation: explanation.into() })
    };
    FLOORS.into_iter().filter_map(floor).collect()
}
