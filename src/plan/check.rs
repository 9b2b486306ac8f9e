//! The laws of a cell: what must hold between settings, checked for every cell of a sweep before anything runs.
//!
//! A law reads the settings of one cell and says what is wrong in terms of their values, so that the same mistake in
//! many cells is the same diagnostic, reported once: at the axis value that causes it where an axis does. A law whose
//! settings are not all there says nothing: what is missing has been reported already.

mod lengths;

use super::dead::DeadAxes;
use super::expand::expand;
use super::run_spec::{Answers, Fold, Task};
use crate::experiment::problem::Problem;
use crate::experiment::{
    self, Diagnostic, Diagnostics, Draft, Experiment, LoadBase, Place, Point, Setting, Settings, Severity, Value, keys,
    problem,
};
use crate::types::metrics::{self, Metric, Source};

/// Reads an experiment file, those that it builds on and the `KEY=VALUE` arguments of `--set`, and checks every cell.
///
/// # Errors
/// All mistakes of the files and the arguments, each with its place; see [`Diagnostics`].
pub fn read(text: &str, file_name: &str, sets: &[String], load: LoadBase<'_>) -> Result<Experiment, Diagnostics> {
    let Draft { mut experiment, mut diagnostics } = experiment::read(text, file_name, sets, load)?;
    let (expansion, problems) = expand(&experiment);
    // What an unreadable part of the sweep leaves is not the sweep that was meant: its parts may well not fit together.
    if diagnostics.is_empty() || expansion.is_too_large {
        diagnostics.extend(problems);
    }
    check_cells(&experiment, &expansion.points, &mut diagnostics);
    if !expansion.points.is_empty() {
        let baseline = whole_baseline(&experiment, &expansion.points).map_err(|problem| diagnostics.push(problem));
        experiment.baseline = baseline.unwrap_or_default();
    }
    let has_errors = diagnostics.iter().any(|problem| problem.severity == Severity::Error);
    if !has_errors {
        diagnostics.extend(axes_of_one_value(&experiment));
    }
    let diagnostics = Diagnostics::new(experiment.source.clone(), diagnostics);
    if has_errors {
        return Err(diagnostics);
    }
    experiment.warnings = diagnostics.list;
    Ok(experiment)
}

/// Looks at each cell, one at a time: a large sweep has many.
fn check_cells(experiment: &Experiment, points: &[Point], diagnostics: &mut Vec<Diagnostic>) {
    let dead = DeadAxes::new(experiment);
    let metric = metrics::find(experiment.metric.as_str());
    let (mut without_pairs, mut without_metric) = (0, 0);
    for point in points {
        let cell = experiment.settings(point);
        for problem in broken_laws(&cell).chain(dead.at(point, &cell)).chain(cell.faults().cloned()) {
            if !diagnostics.contains(&problem) {
                diagnostics.push(problem);
            }
        }
        without_pairs += usize::from(cell.text("objective.nsp") == Some("off"));
        without_metric += usize::from(metric.is_some_and(|metric| !is_recorded(&cell, metric)));
    }
    diagnostics.extend(check_metric(experiment, points.len(), without_pairs));
    diagnostics.extend(check_stage_of_metric(experiment, points.len(), without_metric));
}

/// An axis of one value compares nothing, unless an argument has narrowed it.
fn axes_of_one_value(experiment: &Experiment) -> Vec<Diagnostic> {
    let is_in_file = |setting: &Setting| matches!(setting.place, Some(Place::File { .. }));
    let axes = experiment.sweep.always().filter(|axis| axis.values.len() == 1 && axis.values.iter().all(is_in_file));
    let warning = |axis: &experiment::Column| {
        let (section, leaf) = experiment::keys::split(axis.key.name);
        let problem = Diagnostic::warning(
            &problem::SINGLE_VALUE,
            format!("the axis `{}` has one value, so it compares nothing", axis.key.name),
        );
        problem.at(axis.place.clone(), "this axis").help(format!("give it more, or write `{leaf}` under [{section}]"))
    };
    axes.map(warning).collect()
}

type Law = fn(&Settings<'_>) -> Option<Diagnostic>;

/// A law about the keys of a stage, which begin with its second argument.
type StageLaw = fn(&Settings<'_>, &str) -> Option<Diagnostic>;

const LAWS: &[Law] = &[
    heads_divide_width,
    turned_heads_are_even,
    only_inputs_go_without_norm,
    shares_of_the_selected,
    demo_has_a_format,
    words_are_drawn_once,
    separators_are_no_letters,
    morphemes_are_found_once,
    head_fits_task,
    text_pairs_are_classified,
    folds_are_parts,
    examples_are_held_out_once,
    smoothing_is_over_classes,
    merges_are_there_to_drop,
    a_stored_run_is_started_from,
    a_stored_run_is_pretrained_further,
    lengths::rise,
    lengths::divide,
    lengths::leave_steps,
];

const STAGE_LAWS: &[StageLaw] = &[sequences_have_positions, warmup_ends, decay_follows_warmup];

/// What is wrong with a cell, law by law.
fn broken_laws(cell: &Settings<'_>) -> impl Iterator<Item = Diagnostic> {
    // Only what fine-tunes reads the keys of fine-tuning.
    let stages = keys::STAGES.into_iter().filter(|stage| stage.is_empty() || Task::of(cell).is_some());
    let of_stages = stages.flat_map(move |stage| STAGE_LAWS.iter().filter_map(move |law| law(cell, stage)));
    LAWS.iter().filter_map(|law| law(cell)).chain(of_stages)
}

fn heads_divide_width(cell: &Settings<'_>) -> Option<Diagnostic> {
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
    Some(
        blame(cell, &problem::HEADS_DIVIDE_WIDTH, message, &["model.hidden_size", "model.num_attention_heads"])
            .help(help),
    )
}

fn turned_heads_are_even(cell: &Settings<'_>) -> Option<Diagnostic> {
    if cell.text("model.position_embedding_type")? != "rotary" {
        return None;
    }
    let (width, heads) = (cell.integer("model.hidden_size")?, cell.integer("model.num_attention_heads")?);
    let given = cell.integer("model.attention_head_size");
    let head = given.unwrap_or(width / heads);
    if head % 2 == 0 {
        return None;
    }
    let message = format!("rotary positions turn pairs, and an attention head is {head} wide");
    let keys = match given {
        Some(_) => &["model.attention_head_size", "model.position_embedding_type"][..],
        None => &["model.hidden_size", "model.num_attention_heads", "model.position_embedding_type"],
    };
    Some(blame(cell, &problem::ODD_HEADS, message, keys).help("give heads of an even width"))
}

fn only_inputs_go_without_norm(cell: &Settings<'_>) -> Option<Diagnostic> {
    let keys = ["model.first_attention_norm", "model.norm_position"];
    if cell.get(keys[0])?.value != Value::Bool(false) || cell.text(keys[1])? != "post" {
        return None;
    }
    let message = "`model.first_attention_norm` false leaves out a norm before a sublayer, and `model.norm_position` post has none there";
    Some(
        blame(cell, &problem::NO_NORM_TO_LEAVE_OUT, message.to_owned(), &keys)
            .help("take it out, or take `norm_position = \"pre\"`"),
    )
}

fn sequences_have_positions(cell: &Settings<'_>, stage: &str) -> Option<Diagnostic> {
    let key = format!("{stage}train.seq_len");
    let (length, positions) = (cell.integer(&key)?, cell.integer("model.max_position_embeddings")?);
    // A stored run's positions are its own.
    let is_of_stored_run =
        cell.text("train.run").is_some() || (!stage.is_empty() && cell.text("finetune.run").is_some());
    if length <= positions || is_of_stored_run {
        return None;
    }
    let message = format!("`{key}` {length} is longer than `model.max_position_embeddings` {positions}");
    let help = format!("shorten the sequences to {positions}, or give the model {length} positions");
    Some(blame(cell, &problem::SEQUENCE_TOO_LONG, message, &[&key, "model.max_position_embeddings"]).help(help))
}

fn warmup_ends(cell: &Settings<'_>, stage: &str) -> Option<Diagnostic> {
    let keys = ["schedule.warmup_steps", "train.steps"].map(|leaf| format!("{stage}{leaf}"));
    let [warmup_key, steps_key] = keys.each_ref().map(String::as_str);
    let (warmup, steps) = (cell.integer(warmup_key)?, cell.integer(steps_key)?);
    if warmup <= steps {
        return None;
    }
    let message = format!("`{warmup_key}` {warmup} is more than `{steps_key}` {steps}");
    let keys = [warmup_key, steps_key];
    Some(
        blame(cell, &problem::WARMUP_TOO_LONG, message, &keys)
            .help("a tenth of the steps is usual: `warmup_ratio = 0.1`"),
    )
}

fn decay_follows_warmup(cell: &Settings<'_>, stage: &str) -> Option<Diagnostic> {
    let keys = ["warmup_ratio", "decay_ratio", "kind"].map(|leaf| format!("{stage}schedule.{leaf}"));
    let [warmup_key, decay_key, kind] = keys.each_ref().map(String::as_str);
    let (warmup, decay) = (cell.float(warmup_key)?, cell.float(decay_key)?);
    if cell.text(kind)? != "wsd" || warmup + decay <= 1.0 + 1e-12 {
        return None;
    }
    let message = format!("`{warmup_key}` {warmup} and `{decay_key}` {decay} add up to more than all steps");
    let keys = [warmup_key, decay_key];
    Some(blame(cell, &problem::DECAY_OVERLAPS_WARMUP, message, &keys).help("a tenth of the steps each is usual"))
}

fn head_fits_task(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (task, head, encoder) = (Task::of(cell)?, cell.text("finetune.head")?, cell.text("finetune.encoder")?);
    match task.answers() {
        Answers::Class => {}
        Answers::Tags => return None,
    }
    if head != "linear" {
        let message = format!("`finetune.head` {head} tags tokens, and `finetune.task` is {}", task.name());
        let keys = ["finetune.head", "finetune.task"];
        return Some(
            blame(cell, &problem::HEAD_DOES_NOT_FIT, message, &keys).help("take \"linear\", or the task \"ner\""),
        );
    }
    (encoder == "embeddings" && cell.text("finetune.pooling")? == "cls").then(|| {
        let message =
            "`finetune.encoder` embeddings leaves a text's class to the embedding of [CLS], which is always the same";
        let keys = ["finetune.encoder", "finetune.task"];
        blame(cell, &problem::HEAD_DOES_NOT_FIT, message.to_owned(), &keys)
            .help("take `pooling = \"mean\"` or \"max\" with it; the floor without an encoder is naive Bayes")
    })
}

fn a_stored_run_is_started_from(cell: &Settings<'_>) -> Option<Diagnostic> {
    let run = cell.text("finetune.run")?;
    if cell.text("finetune.start")? == "random" {
        let message = format!("`finetune.run` {run} is to start from, and `finetune.start` is random");
        return Some(
            blame(cell, &problem::SET_BY_STORED_RUN, message, &["finetune.run", "finetune.start"])
                .help("take one of them out"),
        );
    }
    let is_of_that_run = |name: &str| {
        let (section, leaf) = keys::split(name);
        let is_shared = leaf == "seed" || keys::SHARED_BY_STAGES.contains(&leaf);
        matches!(section, "data" | "tokenizer" | "model" | "objective" | "optimizer" | "schedule" | "train")
            && !is_shared
    };
    let given = cell
        .iter()
        .find(|(name, setting)| is_of_that_run(name) && setting.place.is_some() && setting.preset.is_none())?;
    let message = format!("`{}` is that of the run `{run}`, which fine-tuning starts from", given.0);
    Some(
        blame(cell, &problem::SET_BY_STORED_RUN, message, &[given.0, "finetune.run"])
            .help("take it out: the stored run says what it was trained with"),
    )
}

fn a_stored_run_is_pretrained_further(cell: &Settings<'_>) -> Option<Diagnostic> {
    let run = cell.text("train.run")?;
    if Task::of(cell).is_some() && cell.text("finetune.start")? == "random" {
        let message = format!("`train.run` {run} is to start from, and `finetune.start` is random");
        return Some(
            blame(cell, &problem::SET_BY_STORED_RUN, message, &["train.run", "finetune.start"])
                .help("take one of them out"),
        );
    }
    let is_of_that_run = |name: &str| matches!(keys::split(name).0, "tokenizer" | "model");
    let given = cell
        .iter()
        .find(|(name, setting)| is_of_that_run(name) && setting.place.is_some() && setting.preset.is_none())?;
    let message = format!("`{}` is that of the run `{run}`, which pretraining starts from", given.0);
    Some(
        blame(cell, &problem::SET_BY_STORED_RUN, message, &[given.0, "train.run"])
            .help("take it out: the stored run says what its model and its tokenizer are"),
    )
}

fn text_pairs_are_classified(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (task, column) = (Task::of(cell)?, cell.text("finetune.pair_column")?);
    match task.answers() {
        Answers::Class => None,
        Answers::Tags => {
            let message =
                format!("`finetune.pair_column` {column} makes pairs of texts, and `finetune.task` is {}", task.name());
            let keys = ["finetune.pair_column", "finetune.task"];
            Some(
                blame(cell, &problem::PAIRS_OF_TAGGED_TEXT, message, &keys)
                    .help("take it out: KLUE-NER's format has no columns"),
            )
        }
    }
}

fn folds_are_parts(cell: &Settings<'_>) -> Option<Diagnostic> {
    let fold = cell.text("finetune.fold")?;
    let problem = fold.parse::<Fold>().err()?;
    let message = format!("`finetune.fold` \"{fold}\" is none");
    Some(blame(cell, &problem::BAD_FOLD, message, &["finetune.fold"]).help(problem.to_string()))
}

fn examples_are_held_out_once(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (fold, fraction) = (cell.text("finetune.fold")?, cell.get("finetune.valid_fraction")?);
    fraction.place.as_ref()?;
    let message = format!("`finetune.fold` {fold} and `finetune.valid_fraction` {} exclude each other", fraction.value);
    let keys = ["finetune.valid_fraction", "finetune.fold"];
    Some(blame(cell, &problem::HELD_OUT_TWICE, message, &keys).help("take one of them out"))
}

fn smoothing_is_over_classes(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (head, factor) = (cell.text("finetune.head")?, cell.float("finetune.label_smoothing_factor")?);
    if head == "linear" || factor == 0.0 {
        return None;
    }
    let message = format!(
        "`finetune.label_smoothing_factor` {factor} smooths over classes, and `finetune.head` {head} scores paths"
    );
    let keys = ["finetune.label_smoothing_factor", "finetune.head"];
    Some(blame(cell, &problem::SMOOTHED_PATHS, message, &keys).help("take it out, or take the head \"linear\""))
}

fn merges_are_there_to_drop(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (_, dropout, kind) = (Task::of(cell)?, cell.float("finetune.bpe_dropout")?, cell.text("tokenizer.kind")?);
    // A stored run's tokenizer is its own.
    let is_of_stored_run = ["train.run", "finetune.run"].iter().any(|key| cell.text(key).is_some());
    if dropout == 0.0 || kind == "bpe" || is_of_stored_run {
        return None;
    }
    let message = format!("`finetune.bpe_dropout` {dropout} leaves out merges, and `tokenizer.kind` {kind} has none");
    let keys = ["finetune.bpe_dropout", "tokenizer.kind"];
    Some(blame(cell, &problem::NO_MERGES, message, &keys).help("take it out, or take the tokenizer \"bpe\""))
}

fn shares_of_the_selected(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (masked, random) = (cell.float("objective.mask_token_prob")?, cell.float("objective.random_token_prob")?);
    // Decimal shares that add up to 1 may come out a rounding above it.
    if masked + random <= 1.0 + 1e-12 {
        return None;
    }
    let message = format!(
        "`objective.mask_token_prob` {masked} and `objective.random_token_prob` {random} add up to more than 1"
    );
    let keys = ["objective.mask_token_prob", "objective.random_token_prob"];
    Some(
        blame(cell, &problem::SHARES_ABOVE_ONE, message, &keys)
            .help("the rest of the selected tokens is kept; BERT has 0.8 and 0.1"),
    )
}

fn words_are_drawn_once(cell: &Settings<'_>) -> Option<Diagnostic> {
    let keys = ["objective.whole_word", "objective.mask_replacement"];
    let is_on = |key: &str| cell.get(key).is_some_and(|setting| setting.value == Value::Bool(true));
    keys.into_iter().all(is_on).then(|| {
        let message = "`objective.whole_word` and `objective.mask_replacement` cannot be had together".to_owned();
        blame(cell, &problem::WORDS_DRAWN_TWICE, message, &keys)
            .help("the system that draws with replacement draws tokens: take one of them out")
    })
}

fn separators_are_no_letters(cell: &Settings<'_>) -> Option<Diagnostic> {
    let separator = cell.text("tokenizer.separator")?;
    let is_plain = |c: char| ('가'..='힣').contains(&c) || c.is_ascii_digit() || c.is_ascii_lowercase();
    if !separator.chars().all(is_plain) && !separator.contains(char::is_whitespace) {
        return None;
    }
    let message = format!("`tokenizer.separator` \"{separator}\" could be part of a word, or is white space");
    Some(
        blame(cell, &problem::BAD_SEPARATOR, message, &["tokenizer.separator"])
            .help("take a sign that the text has nowhere else, like \"/\""),
    )
}

fn morphemes_are_found_once(cell: &Settings<'_>) -> Option<Diagnostic> {
    let keys = ["tokenizer.separator", "tokenizer.dictionary"];
    let [_, _] = [cell.text(keys[0])?, cell.text(keys[1])?];
    let message = "`tokenizer.separator` and `tokenizer.dictionary` exclude each other".to_owned();
    let help = "text that was analysed beforehand has a separator; a dictionary is for text that was not";
    Some(blame(cell, &problem::MORPHEMES_TWICE, message, &keys).help(help))
}

fn demo_has_a_format(cell: &Settings<'_>) -> Option<Diagnostic> {
    let format = cell.text("data.format")?;
    if cell.text("data.corpus")? != "demo" || format == "auto" {
        return None;
    }
    let message = format!("the built-in corpus has a format of its own, not `{format}`");
    Some(
        blame(cell, &problem::DEMO_FORMAT, message, &["data.format", "data.corpus"])
            .help("take `data.format` out, or write \"auto\""),
    )
}

/// An error at each of `keys` that was written somewhere: first what an axis or the file says, then what a preset does.
fn blame(cell: &Settings<'_>, problem: &'static Problem, message: String, keys: &[&str]) -> Diagnostic {
    let mut involved: Vec<(&str, &Setting)> = keys.iter().filter_map(|key| Some((*key, cell.get(key)?))).collect();
    involved.sort_by_key(|(_, setting)| setting.preset.is_some());
    involved.into_iter().fold(Diagnostic::error(problem, message), |problem, (key, setting)| {
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

/// Whether the last stage of a cell records a metric, as far as that hangs on the stage.
fn is_recorded(cell: &Settings<'_>, metric: &Metric) -> bool {
    match metric.source {
        Source::Training => true,
        Source::Pretraining | Source::Pairs => Task::of(cell).is_none(),
        Source::Tasks(tasks) => {
            let has_side = metric.group() != "test" || cell.get("finetune.test").is_some();
            has_side && Task::of(cell).is_some_and(|task| tasks.contains(&task.name()))
        }
    }
}

/// A metric belongs to a stage: an error where no cell has it, a warning where some have not.
fn check_stage_of_metric(experiment: &Experiment, cells: usize, without: usize) -> Option<Diagnostic> {
    let metric = experiment.metric.as_str();
    let place = experiment.given.get("experiment.metric")?.place.clone()?;
    let problem = match without {
        0 => return None,
        n if n == cells => {
            Diagnostic::error(&problem::METRIC_NOT_RECORDED, format!("no run that is compared records `{metric}`"))
        }
        n => {
            Diagnostic::warning(&problem::METRIC_NOT_RECORDED, format!("{n} of {cells} cells do not record `{metric}`"))
        }
    };
    let of = |task: &Task| {
        let held_out = task.metrics().filter(|metric| metric.group() == "valid").map(Metric::name);
        format!("{} {}", task.name(), held_out.collect::<Vec<_>>().join(", "))
    };
    let help = format!(
        "pretraining records {}; {}; and each of these as test/... where `finetune.test` is given",
        metrics::deciding(None).name(),
        Task::ALL.iter().map(of).collect::<Vec<_>>().join("; ")
    );
    Some(problem.at(place, "this metric").help(help))
}

/// A metric of next-sentence prediction needs it on: an error where no cell has it, a warning where some have not.
fn check_metric(experiment: &Experiment, cells: usize, without: usize) -> Option<Diagnostic> {
    let metric = experiment.metric.as_str();
    let of_pairs = metrics::find(metric).is_some_and(|metric| metric.source == Source::Pairs);
    let setting = experiment.given.get("experiment.metric").filter(|_| of_pairs)?;
    let place = setting.place.clone()?;
    let problem = match without {
        0 => return None,
        n if n == cells => Diagnostic::error(
            &problem::METRIC_NOT_RECORDED,
            format!("no run records `{metric}`: `objective.nsp` is off"),
        ),
        n => Diagnostic::warning(
            &problem::METRIC_NOT_RECORDED,
            format!("{n} of {cells} cells do not record `{metric}`: their `objective.nsp` is off",),
        ),
    };
    Some(
        problem.at(place, "this metric").help(format!("`{}` is recorded by every run", metrics::deciding(None).name())),
    )
}

type Baseline = Option<Vec<(&'static experiment::Key, Setting)>>;

/// The baseline with a value for every axis: the one cell that it describes.
fn whole_baseline(experiment: &Experiment, points: &[Point]) -> Result<Baseline, Diagnostic> {
    let Some(baseline) = &experiment.baseline else { return Ok(None) };
    if baseline.iter().any(|(key, _)| experiment.axis(key.name).is_none()) {
        return Ok(None); // The axis has no good value, which has been reported.
    }
    let wanted: Vec<(usize, Option<usize>)> = baseline
        .iter()
        .filter_map(|(key, setting)| {
            let axis = experiment.axes.iter().position(|axis| axis.key.name == key.name)?;
            Some((axis, experiment.axes[axis].index_of(&setting.value)))
        })
        .collect();
    let is_described =
        |point: &&Point| wanted.iter().all(|(axis, index)| index.is_some() && point.get(*axis) == *index);
    let cells: Vec<&Point> = points.iter().filter(is_described).collect();
    let place = baseline.first().and_then(|(_, setting)| setting.place.clone()).unwrap_or((0..0).into());
    let shown: Vec<String> =
        baseline.iter().map(|(key, setting)| format!("{} = {}", key.name, setting.value)).collect();
    let shown = shown.join(", ");
    match cells.as_slice() {
        [cell] => Ok(Some(experiment.values(cell).map(|(axis, setting)| (axis.key, setting.clone())).collect())),
        // The command line has changed the sweep: that leaves no baseline, and is no mistake of the file.
        found if is_changed_by_argument(experiment) => {
            let message =
                format!("the baseline {shown} describes {} of the cells that --set leaves, not one", found.len());
            Err(Diagnostic::warning(&problem::BAD_BASELINE, message)
                .at(place, "this baseline")
                .help("nothing is compared with a baseline"))
        }
        [] => Err(Diagnostic::error(&problem::BAD_BASELINE, format!("the baseline {shown} is no cell of the sweep"))
            .at(place, "this baseline")
            .help("give axis values that the sweep has")),
        several => {
            let differs = |axis: usize| several.iter().any(|cell| cell.get(axis) != several[0].get(axis));
            let axes = experiment.axes.iter().enumerate().filter(|(i, _)| differs(*i));
            let open: Vec<&str> = axes.map(|(_, axis)| axis.key.name).collect();
            let message = format!("the baseline {shown} describes {} cells, not one", several.len());
            Err(Diagnostic::error(&problem::BAD_BASELINE, message)
                .at(place, "this baseline")
                .help(format!("add {}", open.join(", "))))
        }
    }
}

fn is_changed_by_argument(experiment: &Experiment) -> bool {
    let mut values = experiment.axes.iter().flat_map(|axis| &axis.values);
    values.any(|value| matches!(value.place, Some(Place::Argument(_))))
}
