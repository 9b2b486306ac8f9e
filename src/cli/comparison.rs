//! From a plan or a query and a store to a comparison: which runs belong to it, what they recorded, and the floors to read
//! it by.

use std::collections::{BTreeMap, BTreeSet};

use super::error::CliError;
use crate::analysis::{Axis, AxisKind, Comparison, Floor, FoundAxis, Goal, Point, RunData, find_axes};
use crate::experiment::{self, Value, keys};
use crate::plan::{Cell, Plan, PlanAxis, parameter_count};
use crate::runner::examples::{FLOORS_FACT, TaskFloor};
use crate::store::{Index, RunQuery, RunRow, RunState, Store, StoredRun, Subject};
use crate::types::{MetricName, Seed, SpecHash};

use super::context::Loaded;

/// Reads the runs of a plan; a cell that nothing ran yet is there as planned.
pub fn of_plan(loaded: &Loaded, store: &Store) -> Result<Comparison, CliError> {
    let Loaded { experiment, plan, .. } = loaded;
    let best = best_of_each(Index::open(store)?.query(&RunQuery::default())?);
    let mut runs = Vec::new();
    for cell in &plan.cells {
        for planned in &cell.runs {
            let axes = cell_axes(plan, cell);
            runs.push(match best.get(&planned.hash) {
                Some(row) => run_data(&store.load(&row.id)?, axes),
                None => RunData {
                    id: None,
                    spec: Some(planned.hash),
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
        goal: goal(experiment.goal),
        axes: plan.axes.iter().map(axis).collect(),
        runs,
        baseline,
        floors,
    })
}

/// Runs that somebody asked for, and what was not taken of them.
#[derive(Debug)]
pub struct Found {
    pub comparison: Comparison,
    /// Runs that execute another one again.
    pub reproductions: usize,
    /// Runs of a specification of which another run is nearer to being finished.
    pub repeated: usize,
}

/// Reads the runs that a query finds; the axes are the settings that differ between them, the seed left out.
pub fn of_query(words: &[String], metric: &MetricName, store: &Store) -> Result<Found, CliError> {
    let text = words.join(" ");
    let query: RunQuery = text.parse()?;
    let rows = Index::open(store)?.query(&query)?;
    let names = |row: &RunRow, word: &str| row.group(word).is_some() || is_prefix(&row.id, word);
    if let Some(word) = query.words.iter().find(|word| !rows.iter().any(|row| names(row, word))) {
        let text = format!(
            "`{word}` is no file, no experiment and no run id among the runs of `{text}`; `ablate list` shows all runs"
        );
        return Err(CliError::request(text));
    }
    if rows.is_empty() {
        return Err(CliError::request(format!("no run matches `{text}`; `ablate list` shows all runs")));
    }
    let asked = rows.len();
    let rows = rows.into_iter().filter(|row| row.reproduces.is_none()).collect::<Vec<_>>();
    let (reproductions, originals) = (asked - rows.len(), rows.len());
    let guests = rows.iter().filter(|row| row.spec_hash.is_none()).map(|row| row.id.clone()).collect::<Vec<_>>();
    let planned = best_of_each(rows).into_values().map(|row| row.id);
    let mut stored = planned.chain(guests).map(|id| store.load(&id)).collect::<Result<Vec<_>, _>>()?;
    stored.sort_by(|a, b| a.id.cmp(&b.id));
    let (axes, mut runs) = arrange(&stored);
    runs.sort_by(|a, b| (&a.axes, a.seed, &a.id).cmp(&(&b.axes, b.seed, &b.id)));
    if axes.is_empty() {
        return Err(CliError::request(one_cell(&text, &stored, reproductions)));
    }
    let comparison = Comparison {
        experiment: text.clone(),
        question: format!("Runs that match `{text}`; the axes are the settings that differ between them."),
        metric: metric.clone(),
        goal: goal(experiment::Goal::usual(metric.as_str())),
        axes,
        floors: floors(&runs),
        runs,
        baseline: None,
    };
    Ok(Found { comparison, reproductions, repeated: originals - stored.len() })
}

/// Axes from the settings that differ, and every run with its place on them.
fn arrange(stored: &[StoredRun]) -> (Vec<Axis>, Vec<RunData>) {
    let settings = stored.iter().map(settings).collect::<Vec<_>>();
    let keys = settings.iter().flat_map(BTreeMap::keys).cloned().collect::<BTreeSet<_>>();
    let mut keys = keys.into_iter().collect::<Vec<_>>();
    keys.sort_by_key(|key| place(key));
    let found = find_axes(&keys, &settings);
    let all = found.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect::<Vec<_>>();
    let mut names = keys::short_names(&all).into_iter();
    let axes = found.iter().map(|axis| axis.named(&names.by_ref().take(axis.keys.len()).collect::<Vec<_>>()));
    let axes = axes.collect::<Vec<_>>();
    let of_run = |i: usize| {
        let value = |(axis, found): (&Axis, &FoundAxis)| Some((axis.name.clone(), found.values[i].clone()?));
        axes.iter().zip(&found).filter_map(value).collect()
    };
    let runs = stored.iter().enumerate().map(|(i, run)| run_data(run, of_run(i))).collect();
    (axes, runs)
}

/// The settings of a run as a person would write them, the seed left out.
fn settings(run: &StoredRun) -> BTreeMap<String, String> {
    let spelled = |value: String| match value.parse::<f64>() {
        Ok(number) if value.contains('e') => Value::Float(number).to_string(),
        _ => value,
    };
    let leaves = run.subject.settings().into_iter().filter(|(key, _)| !is_seed(key));
    leaves.map(|(key, value)| (key, spelled(value))).collect()
}

/// Whether a setting is a seed: ours, or what guests usually call theirs.
fn is_seed(key: &str) -> bool {
    key == "train.seed" || key == "seed" || key == "random_seed"
}

/// Where a setting stands in the key table, which lists an array by the name of the whole; after all keys for one that is
/// computed.
fn place(key: &str) -> usize {
    let whole = key.rsplit_once('.').map_or(key, |(whole, _)| whole);
    keys::find(key).or_else(|| keys::find(whole)).map_or(usize::MAX, experiment::Key::position)
}

fn one_cell(query: &str, stored: &[StoredRun], reproductions: usize) -> String {
    let others =
        if reproductions > 0 { format!(" (and {reproductions} that reproduce others)") } else { String::new() };
    match stored {
        [] => format!("all runs that match `{query}` reproduce others; name the originals"),
        [only] => format!(
            "one run matches `{query}`{others}: {}. A comparison needs runs that differ; widen the query",
            only.id
        ),
        many => format!(
            "the {} runs that match `{query}`{others} differ in nothing but the seed: they are one cell, and there is nothing to \
             compare. Widen the query, or see a run with `ablate show {}`",
            many.len(),
            many[0].id
        ),
    }
}

fn is_prefix(id: &crate::types::RunId, word: &str) -> bool {
    id.as_str().starts_with(&word.to_lowercase())
}

/// Of several runs of one specification, the one nearest to being finished; reproductions and guests do not count.
fn best_of_each(rows: Vec<RunRow>) -> BTreeMap<SpecHash, RunRow> {
    let mut best: BTreeMap<SpecHash, RunRow> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.reproduces.is_none()) {
        let Some(hash) = row.spec_hash else { continue };
        let better = best.get(&hash).is_none_or(|known| row.state.distance() < known.state.distance());
        if better {
            best.insert(hash, row);
        }
    }
    best
}

/// The goal in the words of the analysis.
pub fn goal(goal: experiment::Goal) -> Goal {
    match goal {
        experiment::Goal::Minimize => Goal::Minimize,
        experiment::Goal::Maximize => Goal::Maximize,
    }
}

/// A stored run as analysis takes it, in the cell `axes`.
pub fn run_data(run: &StoredRun, axes: Vec<(String, String)>) -> RunData {
    let history = &run.history;
    let points = |points: Vec<crate::store::Measured>| {
        points.into_iter().map(|point| Point { step: point.step, value: point.value }).collect::<Vec<_>>()
    };
    let (seed, parameters) = match &run.subject {
        Subject::Planned(spec) => (spec.train.seed, parameter_count(spec).total()),
        Subject::Logged(_) => {
            let seed = run.subject.settings().into_iter().find(|(key, _)| is_seed(key));
            let seed = seed.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
            let parameters = history.facts.get("parameters").and_then(serde_json::Value::as_u64);
            (Seed(seed), parameters.unwrap_or_default())
        }
    };
    let tokens = |name: &str| Some(history.series(&name.parse::<MetricName>().ok()?).last()?.value as u64);
    RunData {
        id: Some(run.id.clone()),
        spec: run.subject.hash(),
        axes,
        seed,
        state: run.state,
        reason: history.reason().map(str::to_owned),
        parameters,
        elapsed_secs: run.history.working_secs(),
        tokens: tokens("train/tokens").unwrap_or_default(),
        series: history.all_measured().map(|(name, series)| (name.clone(), points(series))).collect(),
        facts: history.facts.clone(),
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
    Axis {
        name: axis.label.clone(),
        values: axis.values.iter().map(Value::to_string).collect(),
        kind,
        also: Vec::new(),
    }
}

/// What costs no learning, from the facts that the runs measured: the mean over the runs that have the fact. Runs on
/// different data or tokenizers have different floors; then there is none for all of them.
fn floors(runs: &[RunData]) -> Vec<Floor> {
    const FLOORS: [(&str, &str, &str, &str); 4] = [
        (
            "unigram_entropy",
            "valid/mlm_loss",
            "unigram entropy",
            "The loss of knowing nothing but how often each token of the held-out text occurs.",
        ),
        (
            "mlm_baseline_neighbours",
            "valid/masked_accuracy",
            "two neighbours",
            "Counting which tokens stood between the same two neighbours: what a model without wider context knows.",
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
    let mut floors: Vec<Floor> = FLOORS.into_iter().filter_map(floor).collect();
    floors.extend(floors_of_tasks(runs));
    floors
}

/// The floors that the runs name themselves, for the data that they are judged by: only where all runs have the same.
fn floors_of_tasks(runs: &[RunData]) -> Vec<Floor> {
    let mut said = runs.iter().filter_map(|run| run.facts.get(FLOORS_FACT));
    let Some(first) = said.next().filter(|first| said.all(|other| other == *first)) else { return Vec::new() };
    let read: Vec<TaskFloor> = serde_json::from_value(first.clone()).unwrap_or_default();
    let floor = |TaskFloor { metric, label, value, explanation }| {
        Some(Floor { metric: metric.parse().ok()?, label, value, explanation })
    };
    read.into_iter().filter_map(floor).collect()
}
