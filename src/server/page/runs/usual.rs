//! What is shown of runs where nobody says: the columns that tell most, the settings in which they differ, and every name that
//! a query may use.

use std::collections::{BTreeMap, BTreeSet};

use super::CURVE;
use crate::analysis::find_axes;
use crate::store::Facts;

/// Axes and metrics that are shown unasked, at most.
const MOST_AXES: usize = 8;
const MOST_METRICS: usize = 4;
const MOST_CURVES: usize = 2;

/// Values of a name that are offered to who types a query, at most.
const MOST_VALUES: usize = 30;

/// A guest's seed and that of a run which was trained here are two settings.
const SEEDS: [&str; 3] = ["seed", "train.seed", "finetune.train.seed"];

/// The columns that say most about these runs: what they are, how far they are, in what they differ, what came out.
pub fn columns(runs: &[Facts]) -> Vec<String> {
    let mut names: Vec<String> = ["state", "started", "took"].map(str::to_owned).to_vec();
    if runs.iter().any(|run| run.row.labels.name.is_some()) {
        names.insert(0, "name".to_owned());
    }
    // What clients say by themselves is no word of a person.
    if runs.iter().any(|run| run.row.labels.tags.iter().any(|tag| !tag.starts_with("mlflow."))) {
        names.push("tag".to_owned());
    }
    names.extend(deciding(runs).into_iter().take(MOST_CURVES).map(|metric| format!("{CURVE}{metric}")));
    names.extend(metrics(runs));
    let experiments: BTreeSet<_> = runs.iter().map(|run| run.row.experiment()).collect();
    if experiments.len() > 1 {
        names.push("experiment".to_owned());
    }
    names.extend(planned_axes(runs));
    let seeds = SEEDS.iter().take(2).filter(|name| runs.iter().any(|run| run.settings.contains_key(**name)));
    names.extend(seeds.map(|name| (*name).to_owned()));
    names
}

/// The metrics that decide in the experiments of these runs; where none says so, the first that they have.
pub fn metrics(runs: &[Facts]) -> Vec<String> {
    let decided = deciding(runs);
    match decided.is_empty() {
        false => decided.into_iter().take(MOST_AXES).collect(),
        true => all_metrics(runs).into_iter().take(MOST_METRICS).collect(),
    }
}

/// The metrics that experiments of these runs declare.
fn deciding(runs: &[Facts]) -> BTreeSet<String> {
    let deciding = |run: &Facts| {
        let declared = run.provenance.get("experiment.metric").cloned();
        declared.filter(|name| run.row.metrics.keys().any(|known| known.as_str() == name))
    };
    runs.iter().filter_map(deciding).collect()
}

/// Every metric that any of these runs has.
pub fn all_metrics(runs: &[Facts]) -> BTreeSet<String> {
    runs.iter().flat_map(|run| run.row.metrics.keys()).map(ToString::to_string).collect()
}

fn planned_axes(runs: &[Facts]) -> Vec<String> {
    let axes: BTreeSet<&String> =
        runs.iter().flat_map(|run| run.row.experiments.iter().flat_map(|group| group.axes.keys())).collect();
    axes.into_iter().take(MOST_AXES).cloned().collect()
}

/// The settings by which it may be of use to group these runs: the axes of their sweeps; of others the settings in which they
/// differ, and not nearly all of them from each other.
pub fn axes(runs: &[Facts]) -> Vec<String> {
    let planned = planned_axes(runs);
    if !planned.is_empty() {
        return planned;
    }
    let settings: Vec<_> = runs.iter().map(|run| run.settings.clone()).collect();
    let keys: BTreeSet<&String> = settings.iter().flat_map(|settings| settings.keys()).collect();
    let keys: Vec<String> = keys.into_iter().filter(|key| !SEEDS.contains(&key.as_str())).cloned().collect();
    let found = find_axes(&keys, &BTreeSet::new(), &settings);
    let repeats = |values: &[Option<String>]| {
        let different: BTreeSet<&String> = values.iter().flatten().collect();
        different.len() > 1 && different.len() * 2 <= values.len()
    };
    let found = found.into_iter().filter(|axis| repeats(&axis.values));
    found.filter_map(|axis| axis.keys.into_iter().next()).take(MOST_AXES).collect()
}

/// Every name that a query may use of these runs.
pub fn names(runs: &[Facts]) -> BTreeSet<String> {
    let words =
        ["id", "state", "experiment", "name", "tag", "note", "started", "ended", "took", "steps_done", "parameters"];
    let settings = runs.iter().flat_map(|run| run.settings.keys().cloned());
    words.map(str::to_owned).into_iter().chain(settings).chain(all_metrics(runs)).collect()
}

/// What these runs have of states, tags, experiments and settings, as a query writes it; of what has very many values nothing.
pub fn values(runs: &[Facts]) -> BTreeMap<String, BTreeSet<String>> {
    let mut values = BTreeMap::<String, BTreeSet<String>>::new();
    let mut put = |name: &str, value: &str| values.entry(name.to_owned()).or_default().extend([written(value)]);
    for run in runs {
        put("state", run.row.state.name());
        run.row.experiments.iter().for_each(|group| put("experiment", &group.name));
        run.row.labels.tags.iter().for_each(|tag| put("tag", tag));
        run.row.labels.name.iter().for_each(|name| put("name", name));
        run.settings.iter().for_each(|(key, value)| put(key, value));
    }
    values.retain(|_, values| values.len() <= MOST_VALUES);
    values
}

/// A value as a query takes it: in quotes, where it is not one plain word.
fn written(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-+/".contains(c);
    match value {
        _ if !value.is_empty() && value.chars().all(is_plain) => value.to_owned(),
        _ if value.contains('"') => format!("'{value}'"),
        _ => format!("\"{value}\""),
    }
}
