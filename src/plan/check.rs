//! The laws of a cell: what must hold between settings, checked for every cell of a sweep before anything runs.
//!
//! A law reads the settings of one cell and says what is wrong in terms of their values, so that the same mistake in
//! many cells is the same diagnostic, reported once: at the axis value that causes it where an axis does. A law whose
//! settings are not all there says nothing: what is missing has been reported already.

use super::expand::{Point, expand, grid_size};
use crate::experiment::{self, Diagnostic, Diagnostics, Draft, Experiment, Place, Setting, Settings, Value};

/// The most cells that a sweep may have.
pub const MAX_CELLS: usize = 20_000;

/// Reads an experiment file and the `KEY=VALUE` arguments of `--set`, and checks every cell.
///
/// # Errors
/// All mistakes of the file and the arguments, each with its place; see [`Diagnostics`].
pub fn read(text: &str, file_name: &str, sets: &[String]) -> Result<Experiment, Diagnostics> {
    let Draft { mut experiment, mut diagnostics } = experiment::read(text, file_name, sets)?;
    if grid_size(&experiment).is_none_or(|cells| cells > MAX_CELLS) {
        diagnostics.push(too_many_cells(&experiment));
    } else {
        let points = expand(&experiment);
        let cells: Vec<Settings> = points.iter().map(|point| experiment.settings(point)).collect();
        for cell in &cells {
            LAWS.iter().for_each(|law| diagnostics.extend(law(cell)));
        }
        diagnostics.extend(check_metric(&experiment, &cells));
        let baseline = whole_baseline(&experiment, &points).map_err(|problem| diagnostics.push(problem));
        experiment.baseline = baseline.unwrap_or_default();
    }
    let diagnostics = Diagnostics::new(experiment.source.clone(), diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    experiment.warnings = diagnostics.list;
    Ok(experiment)
}

type Law = fn(&Settings) -> Option<Diagnostic>;

const LAWS: &[Law] =
    &[heads_divide_width, sequences_have_positions, shares_of_the_selected, warmup_ends, demo_has_a_format];

fn heads_divide_width(cell: &Settings) -> Option<Diagnostic> {
    let (width, heads) = (cell.integer("model.hidden_size")?, cell.integer("model.num_attention_heads")?);
    if width % heads == 0 || cell.get("model.attention_head_size").is_some() {
        return None;
    }
    let message = format!("`model.hidden_size` {width} is not divisible by `model.num_attention_heads` {heads}");
    let help = format!(
        "the nearest widths that are: {} and {}; or give `model.attention_head_size`",
        width / heads * heads,
        (width / heads + 1) * heads
    );
    Some(blame(cell, message, &["model.hidden_size", "model.num_attention_heads"]).help(help))
}

fn sequences_have_positions(cell: &Settings) -> Option<Diagnostic> {
    let (length, positions) = (cell.integer("train.seq_len")?, cell.integer("model.max_position_embeddings")?);
    if length <= positions {
        return None;
    }
    let message = format!("`train.seq_len` {length} is longer than `model.max_position_embeddings` {positions}");
    let help = format!("shorten the sequences to {positions}, or give the model {length} positions");
    Some(blame(cell, message, &["train.seq_len", "model.max_position_embeddings"]).help(help))
}

fn shares_of_the_selected(cell: &Settings) -> Option<Diagnostic> {
    let (masked, random) = (cell.float("objective.mask_token_prob")?, cell.float("objective.random_token_prob")?);
    // Decimal shares that add up to 1 may come out a rounding above it.
    if masked + random <= 1.0 + 1e-12 {
        return None;
    }
    let message = format!(
        "`objective.mask_token_prob` {masked} and `objective.random_token_prob` {random} add up to more than 1"
    );
    let keys = ["objective.mask_token_prob", "objective.random_token_prob"];
    Some(blame(cell, message, &keys).help("the rest of the selected tokens is kept; BERT has 0.8 and 0.1"))
}

fn warmup_ends(cell: &Settings) -> Option<Diagnostic> {
    let (warmup, steps) = (cell.integer("schedule.warmup_steps")?, cell.integer("train.steps")?);
    if warmup <= steps {
        return None;
    }
    let message = format!("`schedule.warmup_steps` {warmup} is more than `train.steps` {steps}");
    let keys = ["schedule.warmup_steps", "train.steps"];
    Some(blame(cell, message, &keys).help("a tenth of the steps is usual: `warmup_ratio = 0.1`"))
}

fn demo_has_a_format(cell: &Settings) -> Option<Diagnostic> {
    let format = cell.text("data.format")?;
    if cell.text("data.corpus")? != "demo" || format == "auto" {
        return None;
    }
    let message = format!("the built-in corpus has a format of its own, not `{format}`");
    Some(blame(cell, message, &["data.format", "data.corpus"]).help("take `data.format` out, or write \"auto\""))
}

/// An error at each of `keys` that was written somewhere: first what an axis or the file says, then what a preset does.
fn blame(cell: &Settings, message: String, keys: &[&str]) -> Diagnostic {
    let mut involved: Vec<(&str, &Setting)> = keys.iter().filter_map(|key| Some((*key, cell.get(key)?))).collect();
    involved.sort_by_key(|(_, setting)| setting.preset.is_some());
    involved.into_iter().fold(Diagnostic::error(message), |problem, (key, setting)| {
        let leaf = key.rsplit('.').next().unwrap_or(key);
        match (&setting.place, setting.preset) {
            (Some(place), Some(preset)) => {
                problem.at(place.clone(), format!("{preset} has {leaf} = {}", setting.value))
            }
            (Some(place), None) => problem.at(place.clone(), format!("{leaf} = {}", setting.value)),
            (None, _) => problem,
        }
    })
}

fn too_many_cells(experiment: &Experiment) -> Diagnostic {
    let counts: Vec<String> = experiment.axes.iter().map(|axis| axis.values.len().to_string()).collect();
    let message = format!("the sweep has {} cells, more than {MAX_CELLS}", counts.join(" x "));
    let problem = Diagnostic::error(message).help("take values out, or cut the sweep into several experiments");
    experiment
        .axes
        .iter()
        .fold(problem, |problem, axis| problem.at(axis.place.clone(), format!("{} values", axis.values.len())))
}

/// A metric of next-sentence prediction needs it on: an error where no cell has it, a warning where some have not.
fn check_metric(experiment: &Experiment, cells: &[Settings]) -> Option<Diagnostic> {
    let metric = experiment.metric.as_str();
    let setting = experiment.given.get("experiment.metric").filter(|_| metric.contains("/nsp_"))?;
    let place = setting.place.clone()?;
    let without = cells.iter().filter(|cell| cell.text("objective.nsp") == Some("off")).count();
    let problem = match without {
        0 => return None,
        n if n == cells.len() => Diagnostic::error(format!("no run records `{metric}`: `objective.nsp` is off")),
        n => Diagnostic::warning(format!(
            "{n} of {} cells do not record `{metric}`: their `objective.nsp` is off",
            cells.len()
        )),
    };
    Some(problem.at(place, "this metric").help("`valid/mlm_loss` is recorded by every run"))
}

type Baseline = Option<Vec<(&'static experiment::Key, Setting)>>;

/// The baseline with a value for every axis: the one cell that it describes.
fn whole_baseline(experiment: &Experiment, points: &[Point<'_>]) -> Result<Baseline, Diagnostic> {
    let Some(baseline) = &experiment.baseline else { return Ok(None) };
    if baseline.iter().any(|(key, _)| experiment.axis(key.name).is_none()) {
        return Ok(None); // The axis has no good value, which has been reported.
    }
    let described = |point: &&Point<'_>| {
        let agrees = |key: &str, value: &Value| point.iter().any(|(axis, s)| axis.key.name == key && s.value == *value);
        baseline.iter().all(|(key, setting)| agrees(key.name, &setting.value))
    };
    let cells: Vec<&Point<'_>> = points.iter().filter(described).collect();
    let place = baseline.first().and_then(|(_, setting)| setting.place.clone()).unwrap_or((0..0).into());
    let shown: Vec<String> =
        baseline.iter().map(|(key, setting)| format!("{} = {}", key.name, setting.value)).collect();
    let shown = shown.join(", ");
    match cells.as_slice() {
        [cell] => Ok(Some(cell.iter().map(|(axis, setting)| (axis.key, (*setting).clone())).collect())),
        // The command line has changed the sweep: that leaves no baseline, and is no mistake of the file.
        found if is_changed_by_argument(experiment) => {
            let message =
                format!("the baseline {shown} describes {} of the cells that --set leaves, not one", found.len());
            Err(Diagnostic::warning(message).at(place, "this baseline").help("nothing is compared with a baseline"))
        }
        [] => Err(Diagnostic::error(format!("the baseline {shown} is no cell of the sweep"))
            .at(place, "this baseline")
            .help("give axis values that the sweep has")),
        several => {
            let axes = experiment.axes.iter().filter(|axis| axis.values.len() > 1);
            let open = axes.filter(|axis| !baseline.iter().any(|(key, _)| key.name == axis.key.name));
            let open: Vec<&str> = open.map(|axis| axis.key.name).collect();
            let message = format!("the baseline {shown} describes {} cells, not one", several.len());
            Err(Diagnostic::error(message).at(place, "this baseline").help(format!("add {}", open.join(", "))))
        }
    }
}

fn is_changed_by_argument(experiment: &Experiment) -> bool {
    let mut values = experiment.axes.iter().flat_map(|axis| &axis.values);
    values.any(|value| matches!(value.place, Some(Place::Argument(_))))
}
