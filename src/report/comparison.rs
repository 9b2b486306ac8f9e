//! From a plan or a query and a store to a comparison: which runs belong to it, what they recorded, and the floors to read
//! it by.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::find::is_meant;
use super::{ReportError, spelling};
use crate::analysis::{
    Axis, AxisKind, Comparison, Floor, FoundAxis, Point, RunData, changing_together, find_axes, join_axes,
};
use crate::experiment::{self, Experiment, Value, keys};
use crate::plan::{Cell, Plan, PlanAxis, Schema, parameter_count, training_flops};
use crate::store::{
    Facts, Index, Measured, Overview, RunDir, RunQuery, RunRow, RunState, Store, StoreError, StoredRun, Subject,
    nearest_to_finished,
};
use crate::types::metrics::{self, Goal};
use crate::types::{MetricName, RunId, Seed, SpecHash};

mod document;
mod floors;
mod parts;

use floors::floors;

pub use document::document;
pub use parts::{Part, forewarning, parts};

/// Reads the runs of a plan; a cell that nothing ran yet is there as planned.
///
/// # Errors
/// When the store cannot be read.
pub fn of_plan(experiment: &Experiment, plan: &Plan, store: &Store) -> Result<Comparison, ReportError> {
    let mut index = Index::open(store)?;
    let nearest = nearest_to_finished(index.query(&RunQuery::default())?);
    let damaged = damaged(&index, store);
    let mut runs = Vec::new();
    for cell in &plan.cells {
        for planned in &cell.runs {
            let axes = cell_axes(plan, cell);
            runs.push(match nearest.get(&planned.hash) {
                Some(row) => {
                    let (run, series) = read(store, &row.id)?;
                    run_data(&run, series, axes)
                }
                None => RunData {
                    id: None,
                    spec: Some(planned.hash),
                    axes,
                    seed: planned.seed,
                    state: damaged.get(&planned.hash).map_or(RunState::Planned, |_| RunState::Failed),
                    reason: damaged.get(&planned.hash).cloned(),
                    parameters: parameter_count(&planned.spec).total(),
                    elapsed_secs: 0.0,
                    sessions: Vec::new(),
                    tokens: 0,
                    flops: 0.0,
                    series: BTreeMap::new(),
                    facts: BTreeMap::new(),
                },
            });
        }
    }
    let floors = floors(&runs);
    let baseline = plan.baseline.map(|index| cell_axes(plan, &plan.cells[index]));
    let (metric, caution) = recorded(&experiment.metric, &runs);
    let mut comparison = Comparison {
        experiment: experiment.name.clone(),
        question: experiment.question.clone(),
        metric,
        goal: experiment.goal,
        axes: plan.axes.iter().map(axis).collect(),
        runs,
        baseline,
        floors,
        negligible: experiment.report.negligible,
        cautions: caution.into_iter().collect(),
        unknown: None,
        leanings: Default::default(),
    };
    let groups = declared_together(experiment, plan, &comparison);
    join_axes(&mut comparison, &groups);
    Ok(comparison)
}

/// The labels of axes that are one: the columns of a zip, and others that only change together. Values that are drawn
/// differ from point to point, and are axes of their own all the same.
fn declared_together(experiment: &Experiment, plan: &Plan, comparison: &Comparison) -> Vec<Vec<String>> {
    let label = |key: &str| plan.axes.iter().find(|axis| axis.key == key).map(|axis| axis.label.clone());
    let zips = experiment.sweep.zips.iter();
    let zips = zips.map(|zip| zip.columns.iter().filter_map(|column| label(column.key.name)).collect::<Vec<_>>());
    let mut groups = zips.filter(|group| group.len() > 1).collect::<Vec<_>>();
    let drawn = experiment.sweep.random.iter().flat_map(|random| &random.axes).map(|column| column.key.name);
    let drawn = drawn.collect::<Vec<_>>();
    let others = plan.axes.iter().filter(|axis| !drawn.contains(&axis.key)).map(|axis| axis.label.clone());
    let others = others.filter(|label| !groups.iter().flatten().any(|known| known == label)).collect::<Vec<_>>();
    groups.extend(changing_together(comparison, &others));
    groups
}

/// What keeps the runs of specifications from being read, by what their provenance says that they are.
fn damaged(index: &Index, store: &Store) -> BTreeMap<SpecHash, String> {
    let told = |(id, error): &(RunId, StoreError)| {
        let hash = store.run(id).ok()?.stated_spec_hash()?;
        let advice = if error.is_damage() { "; `ablate fsck --repair` sets it aside, to be trained again" } else { "" };
        Some((hash, format!("run {id} cannot be read: {error}{advice}")))
    };
    index.unreadable().iter().filter_map(told).collect()
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
///
/// # Errors
/// When the query finds nothing, or nothing that differs; when the store cannot be read.
pub fn of_query(query: &RunQuery, metric: &MetricName, store: &Store) -> Result<Found, ReportError> {
    let asked = Asked::of(&mut Index::open(store)?, query)?;
    of_asked(query, metric, store, asked)
}

/// What an index answers to a query, for who has one open.
#[derive(Debug)]
pub struct Asked {
    rows: Vec<RunRow>,
    latest: Option<RunId>,
}

impl Asked {
    /// Asks.
    ///
    /// # Errors
    /// When nobody has what the query names, or the index cannot be read.
    pub fn of(index: &mut Index, query: &RunQuery) -> Result<Self, StoreError> {
        Ok(Self { rows: index.query(query)?, latest: index.latest()? })
    }
}

/// [`of_query`], of what an index answered.
///
/// # Errors
/// Those of [`of_query`].
pub fn of_asked(query: &RunQuery, metric: &MetricName, store: &Store, asked: Asked) -> Result<Found, ReportError> {
    let text = query.text().to_owned();
    let Asked { rows, latest } = asked;
    let is_found = |word: &str| match (word, &latest) {
        ("latest", Some(latest)) => rows.iter().any(|row| row.id == *latest),
        _ => rows.iter().any(|row| is_meant(row, word)),
    };
    if let Some(word) = query.words().find(|word| !is_found(word)) {
        let text = format!("no run of `{word}` matches the rest of `{text}`; `ablate list {word}` shows them");
        return Err(ReportError::NoComparison(text));
    }
    if rows.is_empty() {
        return Err(ReportError::NoComparison(format!("no run matches `{text}`; `ablate list` shows all runs")));
    }
    let asked = rows.len();
    let rows = rows.into_iter().filter(|row| row.reproduces.is_none()).collect::<Vec<_>>();
    let (reproductions, originals) = (asked - rows.len(), rows.len());
    let guests = rows.iter().filter(|row| row.spec_hash.is_none()).map(|row| row.id.clone()).collect::<Vec<_>>();
    let planned = nearest_to_finished(rows).into_values().map(|row| row.id);
    let mut read = planned.chain(guests).map(|id| read(store, &id)).collect::<Result<Vec<_>, _>>()?;
    read.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    let of_other_stages = leave_out_other_stages(&mut read, metric);
    let (stored, series): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let originals = originals - of_other_stages;
    if let Some(reason) = incomparable(&stored, metric) {
        return Err(ReportError::NoComparison(reason));
    }
    let Arranged { axes, mut runs, baseline } = arrange(&stored, series);
    let told_apart = tell_apart(&mut runs, &stored);
    runs.sort_by(|a, b| (&a.axes, a.seed, &a.id).cmp(&(&b.axes, b.seed, &b.id)));
    if axes.is_empty() {
        return Err(ReportError::NoComparison(one_cell(&text, &stored, reproductions)));
    }
    let (metric, caution) = recorded(metric, &runs);
    let stages = match of_other_stages {
        0 => None,
        1 => Some(format!("1 run of another stage, which does not record `{metric}`, is left out.")),
        many => Some(format!("{many} runs of another stage, which does not record `{metric}`, are left out.")),
    };
    let names = axes.iter().map(|axis| axis.name.clone()).collect::<Vec<_>>();
    let mut comparison = Comparison {
        experiment: text.clone(),
        question: format!("Runs that match `{text}`; the axes are the settings that differ between them."),
        goal: Goal::usual(metric.as_str()),
        metric,
        axes,
        floors: floors(&runs),
        runs,
        unknown: Some(unknown(baseline.is_some())),
        baseline,
        negligible: alike(&stored, "negligible").and_then(serde_json::Value::as_f64),
        cautions: caution.into_iter().chain(stages).chain(told_apart).collect(),
        leanings: Default::default(),
    };
    let groups = changing_together(&comparison, &names);
    join_axes(&mut comparison, &groups);
    Ok(Found { comparison, reproductions, repeated: originals - stored.len() })
}

/// Guests' runs that say no seed are repetitions all the same: each gets a number of its own. Of those that say the same settings and the
/// same seed the last that finished counts. What was done is said.
fn tell_apart(runs: &mut Vec<RunData>, stored: &[StoredRun]) -> Vec<String> {
    let seedless: BTreeSet<&RunId> = stored
        .iter()
        .filter(|run| run.planned().is_err() && !run.subject.settings().iter().any(|(key, _)| is_seed(key)))
        .map(|run| &run.id)
        .collect();
    let is_seedless = |run: &RunData| run.id.as_ref().is_some_and(|id| seedless.contains(id));
    let mut said = Vec::new();
    let (mut next, mut without) = (runs.iter().map(|run| run.seed.0).max().unwrap_or(0), 0);
    for run in runs.iter_mut().filter(|run| is_seedless(run)) {
        next = next.saturating_add(1);
        (run.seed, without) = (Seed(next), without + 1);
    }
    if without > 1 {
        said.push(format!("{without} runs say no seed: each counts as a repetition with luck of its own."));
    }
    let started = |run: &RunData| run.sessions.first().map(|(from, _)| *from);
    runs.sort_by_key(|run| (run.state != RunState::Finished, Reverse(started(run)), run.id.clone()));
    let before = runs.len();
    let mut seen = BTreeSet::new();
    runs.retain(|run| run.spec.is_some() || seen.insert((run.axes.clone(), run.seed)));
    if runs.len() < before {
        let repeated = before - runs.len();
        let (runs, repeat) = if repeated == 1 { ("run", "repeats") } else { ("runs", "repeat") };
        said.push(format!(
            "{repeated} {runs} {repeat} the settings and the seed of another: of each the last that finished counts."
        ));
    }
    said
}

/// The metric that decides between runs: what their experiments say, or else what most of them have recorded.
pub fn deciding(runs: &[Facts]) -> MetricName {
    let declared = runs.iter().filter_map(|run| run.provenance.get("experiment.metric")?.parse().ok());
    let declared: BTreeSet<MetricName> = declared.collect();
    if let (Some(only), 1) = (declared.first(), declared.len()) {
        return only.clone();
    }
    let usual = metrics::deciding(None).metric_name();
    let mut counts = BTreeMap::<&MetricName, usize>::new();
    runs.iter().flat_map(|run| run.row.metrics.keys()).for_each(|name| *counts.entry(name).or_default() += 1);
    if counts.contains_key(&usual) {
        return usual;
    }
    // Of those that as many runs have, a held-out one says more; then the first by name.
    let held_out = |name: &str| ["val", "test"].iter().any(|side| name.contains(side));
    let order = |(name, count): &(&MetricName, usize)| (*count, held_out(name.as_str()), Reverse((*name).clone()));
    counts.into_iter().max_by_key(order).map_or(usual, |(name, _)| name.clone())
}

/// The floors of a run, as a report over it alone would have them.
pub fn floors_of(run: &StoredRun) -> Vec<Floor> {
    floors(&[run_data(run, BTreeMap::new(), Vec::new())])
}

/// Takes out the runs of stages of which none records `metric` where others do, such as the pretraining of what is judged by
/// its fine-tuning; gives their number.
fn leave_out_other_stages(read: &mut Vec<(StoredRun, Curves)>, metric: &MetricName) -> usize {
    let stage = |run: &StoredRun| run.planned().ok().map(|spec| std::mem::discriminant(&spec.stage));
    let recording = read.iter().filter(|(_, series)| series.contains_key(metric)).map(|(run, _)| stage(run));
    let recording = recording.collect::<Vec<_>>();
    let before = read.len();
    read.retain(|(run, _)| recording.is_empty() || stage(run).is_none() || recording.contains(&stage(run)));
    before - read.len()
}

/// What the experiments of all runs say alike: the same of every run.
fn alike<'s>(stored: &'s [StoredRun], what: &str) -> Option<&'s serde_json::Value> {
    let said = |run: &'s StoredRun| run.provenance["experiment"].get(what);
    let first = said(stored.first()?)?;
    stored.iter().all(|run| said(run) == Some(first)).then_some(first)
}

/// What the runs of a query leave open that a file says.
fn unknown(has_baseline: bool) -> String {
    let of_baseline = match has_baseline {
        true => "",
        false => ", and no baseline is known: every two cells are compared in one family of the correction",
    };
    format!("These runs were found by a query: what their file plans and nobody began is not counted{of_baseline}.")
}

/// The metric that decides: the one that is wanted, but where it is a part of the MLM loss that some runs are too old for, the
/// whole; and what is to be said of that.
fn recorded(wanted: &MetricName, runs: &[RunData]) -> (MetricName, Option<String>) {
    let (whole, part) = (metrics::VALID_MLM_LOSS.metric_name(), metrics::MLM_LOSS_MASK.metric_name());
    let is_older = |run: &&RunData| run.series.contains_key(&whole) && !run.series.contains_key(&part);
    let older = runs.iter().filter(is_older).count();
    if *wanted != part || older == 0 {
        return (wanted.clone(), None);
    }
    let said = format!(
        "{older} of these runs were trained before `{part}` was recorded, so all are compared by `{whole}`, of which a fifth is \
         about tokens that are shown: what lies above its copy floor shows no trace of context."
    );
    (whole, Some(said))
}

/// Why values of `metric` cannot be compared between these runs: they are counted in other tokens, or on other texts.
fn incomparable(stored: &[StoredRun], metric: &MetricName) -> Option<String> {
    // A file may lie elsewhere and be the same: its hash says so.
    let is_path = |key: &str| matches!(key, "data.corpus" | "finetune.data" | "finetune.test");
    let is_measure_of = |key: &str| {
        keys::basis(key).is_some_and(|b| !metrics::is_comparable_across(metric.as_str(), b)) && !is_path(key)
    };
    let measures = |run: &StoredRun| {
        let leaves = run.subject.settings().into_iter().filter(|(key, _)| is_measure_of(key));
        leaves.collect::<BTreeMap<_, _>>()
    };
    let all = stored.iter().map(measures).collect::<Vec<_>>();
    let keys = all.iter().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>();
    let differing = keys.into_iter().filter(|key| all.iter().any(|of| of.get(*key) != all[0].get(*key)));
    let differing = differing.map(|key| format!("`{key}`")).collect::<Vec<_>>();
    (!differing.is_empty()).then(|| {
        format!(
            "`{metric}` of these runs cannot be compared: they differ in {}, and with it in the texts or the tokens that it is \
             a mean over. Narrow the query to runs that share them, as by tokenizer.kind=bpe or the name of one experiment",
            differing.join(", ")
        )
    })
}

/// Axes, every run with its place on them, and the baseline that all their experiments declare.
struct Arranged {
    axes: Vec<Axis>,
    runs: Vec<RunData>,
    baseline: Option<Vec<(String, String)>>,
}

/// Axes from the settings that differ, and every run with its place on them.
///
/// Words are in the order in which runs were planned with them, which is that of the file, and not of the alphabet: of two
/// values, the same is the reference whether runs are named by their file or by a query.
fn arrange(stored: &[StoredRun], series: Vec<Curves>) -> Arranged {
    // Runs that were all stored under schema 1 are told apart by what they say; it says nothing beside newer ones.
    let restate = stored.iter().any(|run| run.planned().is_ok_and(|spec| spec.schema == Schema::Second));
    let mut settings = stored.iter().map(|run| settings(run, restate)).collect::<Vec<_>>();
    let swept = declared(stored, &mut settings);
    let keys = settings.iter().flat_map(BTreeMap::keys).cloned().collect::<BTreeSet<_>>();
    let mut keys = keys.into_iter().collect::<Vec<_>>();
    keys.sort_by_key(|key| place(key));
    let found = find_axes(&keys, &swept, &settings);
    let all = found.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect::<Vec<_>>();
    let mut names = keys::short_names(&all).into_iter();
    // What only follows from an axis does not lengthen its name.
    let first = found.iter().filter_map(|axis| axis.keys.first()).map(String::as_str).collect::<Vec<_>>();
    let axes = found.iter().zip(keys::short_names(&first)).map(|(axis, first)| {
        let following = names.by_ref().take(axis.keys.len()).skip(1);
        axis.named(&[first].into_iter().chain(following).collect::<Vec<_>>())
    });
    let mut axes = axes.collect::<Vec<_>>();
    let order = by_plan(stored);
    for (axis, found) in axes.iter_mut().zip(&found) {
        if axis.kind != AxisKind::Numeric {
            let first = |value: &String| order.iter().position(|&run| found.values[run].as_ref() == Some(value));
            axis.values.sort_by_key(first);
        }
        axis.redraws_luck = found.keys.iter().any(|key| keys::redraws_luck(key.trim_start_matches(OF_INPUT)));
    }
    let of_run = |i: usize| {
        let value = |(axis, found): (&Axis, &FoundAxis)| Some((axis.name.clone(), found.values[i].clone()?));
        axes.iter().zip(&found).filter_map(value).collect()
    };
    let runs = stored.iter().zip(series).enumerate().map(|(i, (run, series))| run_data(run, series, of_run(i)));
    let runs = runs.collect();
    let baseline = baseline(stored, &axes, &found);
    Arranged { axes, runs, baseline }
}

/// The cell that the experiments of all runs compare with, where it is among the runs.
fn baseline(stored: &[StoredRun], axes: &[Axis], found: &[FoundAxis]) -> Option<Vec<(String, String)>> {
    let declared = alike(stored, "baseline")?.as_object()?;
    let has_axis = |key: &String| found.iter().any(|axis| axis.keys.contains(key));
    let is_of_all =
        |key: &String| stored.iter().all(|run| run.provenance["experiment"]["axes"].get(key) == declared.get(key));
    if !declared.keys().all(|key| has_axis(key) || is_of_all(key)) {
        return None;
    }
    let value = |(axis, found): (&Axis, &FoundAxis)| {
        let value = spelling::axis_value(found.keys.iter().find_map(|key| declared.get(key))?);
        axis.values.contains(&value).then(|| (axis.name.clone(), value))
    };
    axes.iter().zip(found).map(value).collect()
}

/// The places of the runs in the order in which they were planned.
fn by_plan(stored: &[StoredRun]) -> Vec<usize> {
    let planned = |run: &StoredRun| {
        let at = run.provenance["planned_at"].as_str().map(str::to_owned);
        at.or_else(|| run.history.started_at().map(|at| at.to_string()))
    };
    let mut order = (0..stored.len()).collect::<Vec<_>>();
    order.sort_by_key(|&i| (planned(&stored[i]), stored[i].id.clone()));
    order
}

/// Adds what the experiments of all runs swept and what is no setting of a run by itself, as a preset is: it is one word
/// for all that it sets; or what a specification leaves out, being off. Gives the keys that all of them swept.
fn declared(stored: &[StoredRun], settings: &mut [BTreeMap<String, String>]) -> BTreeSet<String> {
    let swept = |run: &StoredRun| match &run.provenance["experiment"]["axes"] {
        serde_json::Value::Object(axes) => axes.iter().map(|(k, v)| (k.clone(), spelling::axis_value(v))).collect(),
        _ => BTreeMap::new(),
    };
    let swept = stored.iter().map(swept).collect::<Vec<_>>();
    let Some(first) = swept.first() else { return BTreeSet::new() };
    let is_meant = |key: &&String| {
        let is_left_out = is_seed(key) || keys::BOOKKEEPING.contains(&key.as_str());
        !is_left_out && swept.iter().all(|its| its.contains_key(*key))
    };
    let of_all = first.keys().filter(is_meant).cloned().collect::<BTreeSet<_>>();
    for (run, its) in settings.iter_mut().zip(&swept) {
        for key in &of_all {
            run.entry(key.clone()).or_insert_with(|| its[key].clone());
        }
    }
    of_all
}

/// The settings of a run and of the runs that it is made from, as a person would write them, the seeds left out.
fn settings(run: &StoredRun, restate: bool) -> BTreeMap<String, String> {
    let leaves = match &run.subject {
        Subject::Planned(_) if restate => leaves_with_inputs(&run.dir),
        subject => subject.settings(),
    };
    // Of a fine-tuned run, the keys of the run that it starts from have a prefix.
    let is_bookkeeping = |key: &str| keys::BOOKKEEPING.contains(&key.strip_prefix(OF_INPUT).unwrap_or(key));
    let leaves = leaves.into_iter().filter(|(key, _)| !is_seed(key) && !is_bookkeeping(key));
    leaves.map(|(key, value)| (key, spelling::setting(&value))).collect()
}

/// What the key of a setting begins with that is one of the run whose weights another starts with.
const OF_INPUT: &str = "weights.";

/// The leaves of a run, and in place of the hashes of its inputs their leaves.
fn leaves_with_inputs(run: &RunDir) -> Vec<(String, String)> {
    let Ok(spec) = run.read_restated_spec() else { return Vec::new() };
    let input = run.read_lineage().ok().and_then(|lineage| lineage.starts_from);
    let of_input = input.map(|id| leaves_with_inputs(&run.beside(&id))).unwrap_or_default();
    let is_told = |key: &str| !of_input.is_empty() && key.starts_with("inputs.");
    let own = spec.leaves().into_iter().filter(|(key, _)| !is_told(key)).collect::<Vec<_>>();
    own.into_iter().chain(of_input.into_iter().map(|(key, value)| (format!("{OF_INPUT}{key}"), value))).collect()
}

/// Whether a setting is a seed: ours, or what guests usually call theirs.
fn is_seed(key: &str) -> bool {
    key.ends_with("train.seed") || key == "seed" || key == "random_seed"
}

/// Where a setting stands in the key table, which lists an array by the name of the whole; after all keys for one that is
/// computed.
fn place(key: &str) -> usize {
    let key = key.trim_start_matches(OF_INPUT);
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

/// The points of a run by metric, as analysis takes them.
pub type Curves = BTreeMap<MetricName, Vec<Point>>;

/// Points of a metric that a comparison has of a run at most, beyond which no picture shows more: the last is always among them.
const MOST_POINTS: usize = 10_000;

/// A run and its curves, whatever the length of its log.
///
/// # Errors
/// When the run cannot be read.
pub fn read(store: &Store, id: &RunId) -> Result<(StoredRun, Curves), StoreError> {
    let Overview { run, series } = store.overview(id)?;
    let point = |point: Measured| Point { step: point.step, value: point.value };
    let curves = series.thinned(MOST_POINTS)?.into_iter();
    Ok((run, curves.map(|(name, points)| (name, points.into_iter().map(point).collect())).collect()))
}

/// A stored run as analysis takes it, in the cell `axes`.
pub fn run_data(run: &StoredRun, series: Curves, axes: Vec<(String, String)>) -> RunData {
    let history = &run.history;
    let (seed, parameters, flops) = match &run.subject {
        Subject::Planned(spec) => {
            (spec.seed(), parameter_count(spec).total(), training_flops(spec, history.last_step().0))
        }
        Subject::Logged(_) => {
            let seed = run.subject.settings().into_iter().find(|(key, _)| is_seed(key));
            let seed = seed.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
            let parameters = history.facts.get("parameters").and_then(serde_json::Value::as_u64);
            (Seed(seed), parameters.unwrap_or_default(), 0.0)
        }
    };
    let tokens = series.get(&metrics::TOKENS.metric_name()).and_then(|points| points.last());
    RunData {
        id: Some(run.id.clone()),
        spec: run.subject.hash(),
        axes,
        seed,
        state: run.state,
        reason: history.reason().map(str::to_owned),
        parameters,
        elapsed_secs: run.history.working_secs(),
        sessions: run.history.sessions().collect(),
        tokens: tokens.map_or(0, |point| point.value as u64),
        flops,
        series,
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
        redraws_luck: keys::redraws_luck(axis.key),
        basis: keys::basis(axis.key),
    }
}
