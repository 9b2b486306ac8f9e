//! Reads an experiment file, those that it builds on and its `--set` arguments against the key table, into a [`Draft`].
//!
//! Files and arguments are walked the same way: a tree of tables down to the first path that is a key, below `[sweep.grid]` and
//! `[experiment.baseline]` as at the top; the lists of tables below `[sweep]` are read in `sweep`. A mistake is noted and the walk continues, so that one pass finds all of them;
//! a key with a wrong value is remembered as broken, so that no check complains about it a second time.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Diagnostics, Place, Source, Sources};
use super::keys::{self, Key};
use super::problem::Problem;
use super::random::Drawn;
use super::sweep::Sweep;
use super::value::{Kind, Rejection, Value, describe};
use super::{Axis, Draft, Experiment, Part, Replicate, Report, Said, Setting, problem, range, settings};
use crate::suggest;
use crate::types::metrics::{self, Goal};
use crate::types::{MetricName, Seed};

mod base;
mod derive;
mod random;
mod sweep;

pub use base::LoadBase;

/// Reads `text` and the files that it builds on, then the `KEY=VALUE` arguments of `--set`, which win over all files.
///
/// # Errors
/// When a file is not TOML at all; every other mistake is in the draft.
pub fn read(text: &str, file_name: &str, sets: &[String], load: LoadBase<'_>) -> Result<Draft, Diagnostics> {
    let mut sources = Sources::new(Source { name: file_name.to_owned(), text: text.to_owned() });
    let mut reader = base::read_files(&mut sources, load)?;
    for set in sets {
        reader.walk_argument(set);
    }
    Ok(reader.finish(sources))
}

/// What has been read so far: of one file at first, then of all.
#[derive(Default)]
struct Reader {
    /// The file that is being read, and its number.
    text: String,
    file: usize,
    given: BTreeMap<&'static str, Setting>,
    sweep: Sweep,
    /// What `[sweep.random]` draws.
    drawn: Vec<Drawn>,
    /// What varies: known once all is read.
    axes: Vec<Axis>,
    baseline: Vec<(&'static Key, Setting)>,
    broken: BTreeSet<&'static str>,
    baseline_is_broken: bool,
    /// The lists of tables that were there, empty or not.
    lists: BTreeSet<sweep::List>,
    said: Vec<Said>,
    problems: Vec<Diagnostic>,
}

/// A value on the way down, and where it stands.
struct Node<'a, 'i> {
    /// The number of the file that it stands in.
    file: usize,
    path: String,
    /// The key's place.
    at: Place,
    value: &'a Spanned<DeValue<'i>>,
    /// The argument as typed, and its value's text where the value is this node's.
    argument: Option<(&'a str, Option<&'a str>)>,
    /// The table that it stands in, below the top.
    table: Option<&'a DeTable<'i>>,
}

/// What a path gives a value to.
enum Target {
    Base,
    Axis,
    Drawn,
    Derive,
    Baseline,
}

impl Target {
    fn of(path: &str) -> (Self, &str) {
        if let Some(key) = path.strip_prefix("sweep.grid.") {
            (Self::Axis, key)
        } else if let Some(key) = path.strip_prefix("sweep.random.").filter(|_| keys::find(path).is_none()) {
            (Self::Drawn, key)
        } else if let Some(key) = path.strip_prefix("sweep.derive.") {
            (Self::Derive, key)
        } else if let Some(key) = path.strip_prefix("experiment.baseline.") {
            (Self::Baseline, key)
        } else {
            (Self::Base, path)
        }
    }
}

impl<'a, 'i> Node<'a, 'i> {
    fn of_file(
        file: usize,
        name: &Spanned<std::borrow::Cow<'i, str>>,
        parent: &str,
        value: &'a Spanned<DeValue<'i>>,
    ) -> Self {
        let (path, at) = (join(parent, name.get_ref()), Place::new(file, name.span()));
        Self { file, path, at, value, argument: None, table: None }
    }

    fn child(&self, name: &Spanned<std::borrow::Cow<'i, str>>, value: &'a Spanned<DeValue<'i>>) -> Self {
        let table = self.value.get_ref().as_table();
        match self.argument {
            None => Self { table, ..Self::of_file(self.file, name, &self.path, value) },
            Some((typed, _)) => Self {
                file: self.file,
                path: join(&self.path, name.get_ref()),
                at: self.at.clone(),
                value,
                argument: Some((typed, None)),
                table,
            },
        }
    }

    /// One table of the list that this node is: its keys are read as at the top.
    fn table(&self, value: &'a Spanned<DeValue<'i>>) -> Self {
        Self {
            file: self.file,
            path: String::new(),
            at: self.place(value),
            value,
            argument: self.argument.map(|(typed, _)| (typed, None)),
            table: None,
        }
    }

    /// The keys that stand beside it, by their names in full.
    fn siblings(&self) -> Vec<&'static str> {
        let (section, _) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
        let names = self.table.into_iter().flat_map(|table| table.keys());
        names.filter_map(|name| keys::find(&join(section, name.get_ref()))).map(|key| key.name).collect()
    }

    /// The same value, whose keys are read as at the top.
    fn root(mut self) -> Self {
        self.path.clear();
        self
    }

    /// Where a value stands that is this node's or within it.
    fn place(&self, value: &Spanned<DeValue<'_>>) -> Place {
        match self.argument {
            None => Place::new(self.file, value.span()),
            Some(_) => self.at.clone(),
        }
    }

    fn read(&self, key: &'static Key) -> Result<Setting, Diagnostic> {
        let value = match self.argument {
            Some((_, Some(raw))) => key.kind.read_argument(self.value.get_ref(), raw),
            _ => key.kind.read(self.value.get_ref()),
        };
        self.setting(key, value, self.value)
    }

    fn setting(
        &self,
        key: &'static Key,
        value: Result<Value, Rejection>,
        written: &Spanned<DeValue<'_>>,
    ) -> Result<Setting, Diagnostic> {
        let place = self.place(written);
        match value {
            Ok(value) => Ok(Setting { value, place: Some(place), preset: None }),
            Err(rejection) => Err(explain(key, rejection, written.get_ref()).at(place, "this value")),
        }
    }
}

fn is_below(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn explain(key: &Key, rejection: Rejection, value: &DeValue<'_>) -> Diagnostic {
    let name = key.name;
    match rejection {
        Rejection::NotSupportedYet(word) => {
            Diagnostic::error(&problem::NOT_SUPPORTED_YET, format!("`{name} = \"{word}\"` is not supported yet"))
                .help(format!("`{name}` must be {}", key.kind))
        }
        Rejection::Twice(item) => Diagnostic::error(&problem::GIVEN_TWICE, format!("`{name}` has {item} twice"))
            .help(format!("`{name}` must be {}", key.kind)),
        Rejection::Wrong { found, nearest: Some(word) } => {
            Diagnostic::error(&problem::WRONG_VALUE, format!("`{name}` cannot be {found}"))
                .help(format!("did you mean \"{word}\"?"))
        }
        Rejection::Wrong { found, nearest: None } => {
            let problem =
                Diagnostic::error(&problem::WRONG_VALUE, format!("`{name}` must be {}, not {found}", key.kind));
            let holds_a_list = matches!(key.kind, Kind::Lengths) || matches!(key.default_value(), Some(Value::List(_)));
            if value.is_array() && key.is_setting() && !holds_a_list {
                problem.help(format!("to compare several values, write `\"{name}\" = [...]` under [sweep.grid]"))
            } else {
                problem.help(format!("`{name}`: {}", key.doc))
            }
        }
    }
}

impl Reader {
    fn walk_argument(&mut self, typed: &str) {
        let at = Place::Argument(format!("--set {typed}"));
        let Some((path, raw)) = typed.split_once('=') else {
            let problem = Diagnostic::error(&problem::BAD_ARGUMENT, "`--set` takes KEY=VALUE");
            self.problems.push(problem.at(at, "this argument").help("write for example --set train.steps=100"));
            return;
        };
        let (path, raw) = (path.trim().replace('"', ""), raw.trim());
        // What is not TOML is a bare word or a path, as a shell leaves it after taking the quotes off.
        let bare = || Spanned::new(0..raw.len(), DeValue::String(raw.into()));
        let value = DeValue::parse(raw).unwrap_or_else(|_| bare());
        self.walk(&Node { file: 0, path, at, value: &value, argument: Some((typed, Some(raw))), table: None });
    }

    fn walk(&mut self, node: &Node<'_, '_>) {
        let (target, name) = Target::of(&node.path);
        if let Some(list) = sweep::List::find(&node.path) {
            self.take_list(list, node);
        } else if node.argument.is_some() && name == base::KEY {
            let problem = Diagnostic::error(
                &problem::BAD_ARGUMENT,
                "`base` is no argument: a file says itself what it builds on",
            );
            self.problems.push(problem.at(node.at.clone(), "this argument").help("write `base = \"...\"` in the file"));
        } else if let Some((list, _)) = sweep::List::ALL.iter().find(|(list, _)| is_below(&node.path, list)) {
            let problem = Diagnostic::error(
                &problem::BAD_ARGUMENT,
                format!("`{list}` is a list of tables, and an argument gives it whole"),
            );
            let help = format!("write --set '{list}=[{{ ... }}]', or change the file");
            self.problems.push(problem.at(node.at.clone(), "this argument").help(help));
        } else if let Some(key) = keys::find(name) {
            match target {
                Target::Base => self.take_base(key, node),
                Target::Axis => self.take_axis(key, node),
                Target::Drawn => self.take_drawn(key, node),
                Target::Derive => self.take_derive(key, node),
                Target::Baseline => self.take_baseline(key, node),
            }
        } else if keys::sections().any(|section| section == name) {
            match node.value.get_ref() {
                DeValue::Table(table) => table.iter().for_each(|(name, value)| self.walk(&node.child(name, value))),
                other => self.problems.push(
                    Diagnostic::error(
                        &problem::WRONG_SHAPE,
                        format!("`{}` must be a table, not {}", node.path, describe(other)),
                    )
                    .at(node.at.clone(), "this key")
                    .help(format!("write `[{}]`, and its keys below", node.path)),
                ),
            }
        } else {
            self.unknown(node, name);
        }
    }

    fn unknown(&mut self, node: &Node<'_, '_>, name: &str) {
        let tables = node.value.get_ref().as_array();
        let is_list =
            tables.is_some_and(|items| !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()));
        let is_table = node.value.get_ref().as_table().is_some_and(|table| !is_value(table));
        let problem = if (is_list || is_table) && node.argument.is_none() {
            let (open, close) = if is_list { ("[[", "]]") } else { ("[", "]") };
            let problem =
                Diagnostic::error(&problem::UNKNOWN_TABLE, format!("unknown table `{open}{}{close}`", node.path));
            match suggest::nearest(&node.path, keys::sections()) {
                Some(section) => problem.help(format!("did you mean `{open}{section}{close}`?")),
                None => problem.help(format!("the tables are {}", keys::sections().collect::<Vec<_>>().join(", "))),
            }
        } else {
            let problem = Diagnostic::error(&problem::UNKNOWN_KEY, format!("unknown key `{name}`"));
            let (section, _) = keys::split(name);
            let siblings: Vec<&str> =
                keys::all().map(|key| keys::split(key.name)).filter(|key| key.0 == section).map(|key| key.1).collect();
            let meant = base::meant(&node.path).or_else(|| random::meant(&node.path));
            match meant.or_else(|| keys::nearest_key(name, &node.siblings())) {
                Some(key) => problem.help(format!("did you mean `{key}`?")),
                None if !siblings.is_empty() => problem.help(format!("[{section}] has {}", siblings.join(", "))),
                None => problem.help("a key is written section.key, like `objective.mask_ratio`"),
            }
        };
        self.problems.push(problem.at(node.at.clone(), "not of this format"));
    }

    fn take_base(&mut self, key: &'static Key, node: &Node<'_, '_>) {
        if node.argument.is_some() && self.narrows_axis(key, node) {
            return;
        }
        match node.read(key) {
            Ok(setting) => self.give(key, setting, node),
            Err(problem) => {
                self.broken.insert(key.name);
                self.problems.push(problem);
            }
        }
    }

    fn say(&mut self, key: &'static Key, part: Part, text: String, place: &Place) {
        self.said.push(Said { key, part, text, place: place.clone() });
    }

    fn give(&mut self, key: &'static Key, setting: Setting, node: &Node<'_, '_>) {
        self.say(key, Part::Value, setting.value.to_string(), &place_of(&setting));
        let may_replace =
            |previous: &Setting| node.argument.is_some() && matches!(previous.place, Some(Place::File { .. }));
        if let Some(previous) = self.given.get(key.name)
            && node.argument.is_none()
        {
            self.problems.push(conflict(
                &problem::GIVEN_TWICE,
                format!("`{}` is given twice", key.name),
                &setting,
                previous,
            ));
        }
        for rival in keys::rivals(key.name) {
            let Some(previous) = self.given.get(rival) else { continue };
            if may_replace(previous) {
                self.given.remove(rival);
            } else {
                let message = format!("`{rival}` and `{}` exclude each other", key.name);
                self.problems
                    .push(conflict(&problem::EXCLUSIVE_KEYS, message, previous, &setting).help("take one of them out"));
            }
        }
        self.given.insert(key.name, setting);
    }

    fn take_baseline(&mut self, key: &'static Key, node: &Node<'_, '_>) {
        match node.read(key) {
            Ok(setting) => {
                self.baseline.retain(|(other, _)| other.name != key.name);
                self.baseline.push((key, setting));
            }
            Err(problem) => {
                self.baseline_is_broken = true;
                self.problems.push(problem);
            }
        }
    }

    fn finish(mut self, source: Sources) -> Draft {
        self.draw();
        self.sweep.sort();
        self.axes = self.sweep.axes();
        self.check_sources();
        self.check_derives();
        self.check_axes_against_base();
        self.check_required();
        let replicates = self.replicates();
        let report = Report {
            figures: self.list("report.figures"),
            colour_by: self.named_axis("report.colour_by"),
            x: self.named_axis("report.x"),
            negligible: self.text("report.negligible").parse().ok(),
            has_words: self.text("report.title") == "true",
            is_column: self.text("report.width") == "column",
        };
        self.check_name();
        let baseline = self.baseline_axes();
        self.axes.retain(|axis| !axis.values.is_empty());
        let metric = self.metric();
        let goal = match self.text("experiment.goal").as_str() {
            "maximize" => Goal::Maximize,
            "minimize" => Goal::Minimize,
            _ => Goal::usual(metric.as_str()),
        };
        let experiment = Experiment {
            name: self.text("experiment.name"),
            question: self.text("experiment.question"),
            metric,
            goal,
            baseline,
            bases: settings::bases(&self.given, &self.axes, &self.broken),
            given: self.given,
            axes: self.axes,
            sweep: self.sweep,
            replicates,
            report,
            said: self.said,
            warnings: Vec::new(),
            source,
        };
        Draft { experiment, diagnostics: self.problems }
    }

    /// A name is refused here that no folder could have, or no table show.
    fn check_name(&mut self) {
        const LONGEST: usize = 100;
        let Some(setting) = self.given.get("experiment.name") else { return };
        let name = self.text("experiment.name");
        if name.chars().count() > LONGEST || name.contains(char::is_control) {
            let message = format!("`experiment.name` is one line of at most {LONGEST} characters");
            let problem = Diagnostic::error(&problem::EXPERIMENT_NAME, message).at(place_of(setting), "this name");
            self.problems.push(problem.help("write more of it as `question`, which may be long"));
        }
    }

    fn check_required(&mut self) {
        let is_there = |name: &str| {
            self.given.contains_key(name)
                || self.broken.contains(name)
                || self.sweep.always().any(|column| column.key.name == name)
        };
        let of_task = |name: &&&str| name.starts_with("finetune.");
        let first_of_task = self.given.keys().chain(&self.broken).find(of_task).copied();
        let first_of_task =
            first_of_task.or_else(|| self.sweep.always().map(|column| column.key.name).find(|name| of_task(&name)));
        let mut required = vec!["experiment.name"];
        if !is_there("finetune.run") {
            required.push("data.corpus");
        }
        if first_of_task.is_some() {
            required.extend(["finetune.task", "finetune.data"]);
        }
        let missing: Vec<&str> = required.into_iter().filter(|name| !is_there(name)).collect();
        for name in missing {
            let (section, key) = keys::split(name);
            let place =
                first_of_task.filter(|_| section == "finetune").and_then(|name| self.given.get(name)).map(place_of);
            let problem = Diagnostic::error(&problem::MISSING_KEY, format!("`{name}` is missing"))
                .at(place.unwrap_or((0..0).into()), "in this file");
            self.problems.push(problem.help(format!("write `{key} = \"...\"` under [{section}]")));
        }
    }

    /// A list of seeds is the same in every cell, and so is the one seed of cells that are not repeated. A count lets each
    /// combination of settings that re-draw luck have seeds of its own, unless cells are to be paired.
    fn replicates(&mut self) -> Vec<Replicate> {
        let integer = |value: &Value| match value {
            Value::Integer(number) => Some(number.unsigned_abs()),
            _ => None,
        };
        let base = self.given.get("train.seed");
        let first = base.and_then(|setting| integer(&setting.value)).unwrap_or(0);
        let seeds = self.given.get("sweep.replicates.seeds");
        let count = seeds.and_then(|setting| integer(&setting.value));
        let paired = self.given.get("sweep.replicates.paired");
        let are_paired = paired.is_some_and(|setting| setting.value == Value::Bool(true));
        if let Some(paired) = paired.filter(|_| !are_paired && count.is_none()) {
            let message = "`sweep.replicates.paired = false` goes with a number of seeds, not with one or a list";
            let problem = Diagnostic::error(&problem::UNPAIRED_SEEDS, message).at(place_of(paired), "this value");
            self.problems.push(problem.help("write seeds = 3 under [sweep.replicates], or take this out"));
        }
        if let Some(replicates) = seeds
            && let Value::List(list) = &replicates.value
        {
            if let Some(base) = base {
                let message = "`train.seed` is never used where `sweep.replicates.seeds` lists the seeds";
                self.problems.push(
                    conflict(&problem::NEVER_USED, message.to_owned(), base, replicates).help("take one of them out"),
                );
            }
            return common(list.iter().filter_map(integer));
        }
        match count {
            Some(count) if !are_paired => {
                (first..first + count).map(|number| Replicate { number, seed: None }).collect()
            }
            _ => common(first..first + count.unwrap_or(1)),
        }
    }

    /// The metric that decides: as given, or the usual one of the task that models are trained for.
    fn metric(&self) -> MetricName {
        let of_axis = || self.axes.iter().find(|axis| axis.key.name == "finetune.task")?.values.first();
        let task = self.given.get("finetune.task").or_else(of_axis).map(|task| task.value.to_string());
        if self.given.contains_key("experiment.metric") {
            return self.text("experiment.metric").parse().expect("invariant: the table lists metric names");
        }
        metrics::deciding(task.as_deref()).metric_name()
    }

    /// The text of a key that is given, or its default, or nothing.
    fn text(&self, name: &str) -> String {
        let default = || keys::find(name).and_then(Key::default_value);
        let value = self.given.get(name).map(|setting| setting.value.clone()).or_else(default);
        value.map(|value| value.to_string()).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let default = || keys::find(name).and_then(Key::default_value);
        match self.given.get(name).map(|setting| setting.value.clone()).or_else(default) {
            Some(Value::List(items)) => items.iter().map(Value::to_string).collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether a table is a value, or values: not the keys of a section.
fn is_value(table: &DeTable<'_>) -> bool {
    range::is_range(table) || random::is_drawn(table) || table.contains_key("copies")
}

fn place_of(setting: &Setting) -> Place {
    setting.place.clone().unwrap_or((0..0).into())
}

/// Replicates with the same seeds in every cell.
fn common(seeds: impl Iterator<Item = u64>) -> Vec<Replicate> {
    (0..).zip(seeds).map(|(number, seed)| Replicate { number, seed: Some(Seed(seed)) }).collect()
}

fn conflict(problem: &'static Problem, message: String, now: &Setting, before: &Setting) -> Diagnostic {
    Diagnostic::error(problem, message).at(place_of(now), "this value").at(place_of(before), "and this one")
}
