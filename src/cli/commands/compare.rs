//! `ablate compare`: tables, figures and a report over the runs of an experiment, or over any runs.

mod ending;
mod tables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::analysis::{Comparison, RunState, Summary, summarize};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::cli::args::{ExperimentFile, Json};
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::clock;
use crate::experiment::Source;
use crate::report::Wanted;
use crate::report::answer::Answer;
use crate::report::comparison::{self, Found, Part};
use crate::report::drawing::{self, Drawn};
use crate::report::kept::{self, Entry};
use crate::report::page::Record;
use crate::runner::provenance::Program;
use crate::store::{Index, RunQuery, Store};
use crate::types::metrics::{self, Goal};
use crate::types::{ContentHash, MetricName};

/// What `ablate compare` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An experiment file; or words of a query over the runs, as `list` takes them: ids, names, KEY=VALUE, state=finished
    #[arg(value_name = "FILE|QUERY", required = true)]
    pub what: Vec<String>,
    /// Override a key of the file, as in --set train.steps=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The metric that decides [default: the experiment's; valid/mlm_loss_mask for a query]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<MetricName>,
    /// Which way is better [default: the experiment's, or what is usual for the metric]
    #[arg(long, value_parser = goals())]
    pub goal: Option<Goal>,
    /// Where figures and report are written [default: a folder of its own in reports/NAME of the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print every table, not the answer alone
    #[arg(long)]
    pub tables: bool,
    /// A TrueType or OpenType font for PNG and PDF files: for Hangul in place of the built-in one, and for what that lacks
    #[arg(long, value_name = "FILE", env = "ABLATE_FONT")]
    pub font: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

fn goals() -> impl TypedValueParser<Value = Goal> {
    PossibleValuesParser::new(Goal::ALL.map(Goal::name)).try_map(|name| name.parse::<Goal>())
}

/// The characters that a report's folder has of its query at most.
const LONGEST_NAME: usize = 60;

/// How a comparison is shown.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// The folder for figures and report.
    pub out: Option<&'a Path>,
    /// A font for what the built-in one lacks.
    pub font: Option<&'a Path>,
    /// What is printed.
    pub print: Print,
}

/// What a comparison prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// The answer, the effects of the axes, and what to do next.
    Answer,
    /// Every table.
    Tables,
    /// All of it for a program.
    Json,
}

impl Print {
    /// What is printed where every table was asked for, or JSON, or neither.
    pub fn asked(tables: bool, json: bool) -> Self {
        match (json, tables) {
            (true, _) => Self::Json,
            (false, true) => Self::Tables,
            (false, false) => Self::Answer,
        }
    }
}

/// What is compared: how it is called, where it comes from, how it is asked for again.
struct Subject<'a> {
    /// The name of its folder of reports.
    name: &'a str,
    wanted: Wanted,
    files: Vec<Source>,
    sets: &'a [String],
    /// The words behind `compare`.
    words: Vec<String>,
}

impl<'a> Subject<'a> {
    fn of(loaded: &'a Loaded, file: &Path, sets: &'a [String]) -> Self {
        let with = sets.iter().flat_map(|set| ["--set".to_owned(), set.clone()]);
        Self {
            name: &loaded.experiment.name,
            wanted: Wanted::of(&loaded.experiment),
            files: loaded.experiment.source.iter().cloned().collect(),
            sets,
            words: [file.display().to_string()].into_iter().chain(with).collect(),
        }
    }
}

/// Compares the runs that an experiment file plans, or those that a query finds.
pub fn compare(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let print = Print::asked(arguments.tables, arguments.json.wanted);
    let drawing = Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), print };
    match file_of(arguments)? {
        Some(file) => {
            let loaded = context.load(&ExperimentFile { file: file.clone(), sets: arguments.sets.clone() })?;
            let store = context.existing_store()?;
            context.say_unreadable(&Index::open(&store)?);
            let mut comparison = comparison::of_plan(&loaded.experiment, &loaded.plan, &store)?;
            decide(&mut comparison, arguments)?;
            show(context, comparison, &store, &Subject::of(&loaded, &file, &arguments.sets), &drawing)
        }
        None => {
            let store = context.existing_store()?;
            let mut index = Index::open(&store)?;
            context.say_unreadable(&index);
            let query = RunQuery::parse(&arguments.what.join(" "), clock::now())?;
            let metric = metric_of(arguments, &mut index, &query)?;
            let Found { mut comparison, reproductions, repeated } = comparison::of_query(&query, &metric, &store)?;
            decide(&mut comparison, arguments)?;
            say_left_out(context, reproductions, repeated);
            let (name, words) = (folder_name(&comparison.experiment), arguments.what.clone());
            let subject = Subject { name: &name, wanted: Wanted::everything(), files: Vec::new(), sets: &[], words };
            show(context, comparison, &store, &subject, &drawing)
        }
    }
}

/// Writes figures and report of an experiment's comparison, and prints what it came to.
pub fn draw(
    context: &Context,
    (loaded, file): (&Loaded, &ExperimentFile),
    store: &Store,
    drawing: &Drawing,
) -> Result<(), CliError> {
    let comparison = comparison::of_plan(&loaded.experiment, &loaded.plan, store)?;
    show(context, comparison, store, &Subject::of(loaded, &file.file, &file.sets), drawing)
}

/// The experiment file, where the arguments name one: a single word that is a file, or ends as one.
fn file_of(arguments: &Arguments) -> Result<Option<PathBuf>, CliError> {
    let file = match &arguments.what[..] {
        [only] => Some(PathBuf::from(only)).filter(|path| path.is_file() || only.ends_with(".toml")),
        _ => None,
    };
    match (&file, &arguments.sets[..], &arguments.what[..]) {
        (None, [set, ..], _) => {
            let text = format!(
                "--set {set} changes an experiment file; a query takes runs as they are: write KEY=VALUE alone"
            );
            Err(CliError::request(text))
        }
        (None, [], [_, _, ..]) => {
            let file = arguments.what.iter().find(|word| word.ends_with(".toml") && Path::new(word).is_file());
            file.map_or(Ok(None), |file| {
                let text =
                    format!("`{file}` is a file, but not the only word: name one file, or a query without files");
                Err(CliError::request(text))
            })
        }
        _ => Ok(file),
    }
}

/// The metric that is asked for, or the one that decides where nobody declared one: of runs that guests logged, what most of them
/// have recorded.
fn metric_of(arguments: &Arguments, index: &mut Index, query: &RunQuery) -> Result<MetricName, CliError> {
    if let Some(metric) = &arguments.metric {
        return Ok(metric.clone());
    }
    let rows = index.query(query)?;
    let is_of_guests = !rows.is_empty() && rows.iter().all(|row| row.logged_by.is_some());
    Ok(if is_of_guests { comparison::deciding(&index.facts(rows)?) } else { metrics::deciding(None).metric_name() })
}

/// Puts metric and goal of the command line over those of the experiment.
fn decide(comparison: &mut Comparison, arguments: &Arguments) -> Result<(), CliError> {
    if let Some(metric) = &arguments.metric {
        let recorded = comparison.runs.iter().flat_map(|run| run.series.keys()).collect::<BTreeSet<_>>();
        if !recorded.is_empty() && !recorded.contains(metric) {
            let names = recorded.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::request(format!("no run has recorded `{metric}`; recorded are {names}")));
        }
        comparison.metric = metric.clone();
        comparison.goal = Goal::usual(metric.as_str());
    }
    if let Some(goal) = arguments.goal {
        comparison.goal = goal;
    }
    Ok(())
}

/// The folder of a query's report: what was typed, without what a path would stumble over.
fn folder_name(query: &str) -> String {
    format!("query {}", folder_name_of_part(query))
}

/// The folder of a part of a comparison, beside those of the others.
fn folder_name_of_part(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "=._,-".contains(c) { c } else { '-' };
    name.chars().map(plain).take(LONGEST_NAME).collect()
}

fn say_left_out(context: &Context, reproductions: usize, repeated: usize) {
    let reasons = [(reproductions, "execute another one again"), (repeated, "repeat the specification of another one")];
    for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        let runs = if count == 1 { "run" } else { "runs" };
        context.printer.status(Style::Caution, "Note", format!("{count} {runs} left out: runs that {reason}"));
    }
}

/// Writes figures and report, and prints what they came to: of each part, where values cannot be compared throughout.
fn show(
    context: &Context,
    comparison: Comparison,
    store: &Store,
    subject: &Subject<'_>,
    drawing: &Drawing,
) -> Result<(), CliError> {
    let parts = comparison::parts(comparison);
    let mut documents = Vec::new();
    for Part { name, comparison } in &parts {
        if !name.is_empty() && drawing.print != Print::Json {
            context.printer.data(format!("\n{}\n", context.printer.paint(Stream::Out, Style::Strong, name)));
        }
        documents.extend(show_part(context, (name, comparison), store, subject, drawing)?);
    }
    match documents.len() {
        0 => {}
        1 if parts.len() == 1 => context.printer.json(&documents[0]),
        _ => context.printer.json(&json!({ "format": "ablate-comparison-parts-1", "parts": documents })),
    }
    Ok(())
}

/// Shows one part, whose name is empty where it is the whole; gives its document where one is asked for.
fn show_part(
    context: &Context,
    (name, comparison): (&str, &Comparison),
    store: &Store,
    subject: &Subject<'_>,
    drawing: &Drawing,
) -> Result<Option<Value>, CliError> {
    let summary = summarize(comparison);
    let answer = Answer::of(comparison, &summary);
    let now = clock::now();
    let mut record = Record {
        files: subject.files.clone(),
        sets: subject.sets.to_vec(),
        command: context.command.clone(),
        program: program(),
        drawn_at: Some(now),
        ..Record::default()
    };
    record.ask_runs(comparison, store);
    let of_part = |folder: PathBuf| if name.is_empty() { folder } else { folder.join(folder_name_of_part(name)) };
    let shelf = of_part(context.report_folder(subject.name));
    let folder = match drawing.out {
        Some(out) => of_part(out.to_owned()),
        None => kept::folder_of(&shelf, content(comparison, &summary, &record), now),
    };
    record.lead_to(store.root(), &folder);
    let (font, wanted) = (drawing.font, &subject.wanted);
    let print = || match drawing.print {
        Print::Json => {}
        Print::Tables => tables::print(context, comparison, &summary, &answer),
        Print::Answer => ending::print(context, comparison, &answer),
    };
    let drawn = drawing::draw(comparison, &drawing::Drawing { folder: &folder, font, wanted, record: &record });
    let Drawn { report, missing } = drawn.inspect_err(|_| {
        // The numbers are there, wherever the report cannot be.
        print();
        context.printer.say("`--out DIR` writes figures and report to another place");
    })?;
    say_missing(context, &missing);
    let mut shown = report.clone();
    if drawing.out.is_none() {
        let finished = comparison.runs.iter().filter(|run| run.state == RunState::Finished).count();
        let counts = [finished, comparison.runs.len()];
        // A plan of which nothing has finished, such as one with a forgotten --set, does not take the place of a report.
        if finished > 0 {
            kept::keep(&shelf, &folder, &Entry::new(&comparison.experiment, now, &answer.headline, counts))?;
            kept::list_experiments(&context.reports())?;
            shown = shelf.join("latest").join("report.html");
        }
    }
    print();
    context.printer.status(Style::Good, "Drawn", shown.display());
    if drawing.print == Print::Answer {
        ending::say_next(context, comparison, &summary, &subject.words);
    }
    Ok((drawing.print == Print::Json).then(|| comparison::document(comparison, &summary, &report)))
}

/// What a report says, as a hash: its numbers, its files and the program that draws it.
fn content(comparison: &Comparison, summary: &Summary, record: &Record) -> ContentHash {
    let mut text = comparison::document(comparison, summary, Path::new("")).to_string();
    record.hash_into(&mut text);
    ContentHash::of(text.as_bytes())
}

/// Says once which characters the PNG files could not show.
fn say_missing(context: &Context, missing: &BTreeSet<char>) {
    if !missing.is_empty() {
        let some: String = missing.iter().take(8).collect();
        let text = format!(
            "the built-in fonts lack some characters (such as {some}): they are `?` in PNG and PDF files, and \
                            complete in the SVG files and the report; --font FILE names a font that has them"
        );
        context.printer.status(Style::Caution, "Note", text);
    }
}

/// `ablate 0.1.0 (0123456789ab with changes)`.
fn program() -> String {
    let Program { version, commit, dirty, .. } = Program::this();
    let commit = commit.get(..12).unwrap_or(&commit);
    format!("ablate {version} ({commit}{})", if dirty { " with changes" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(what: &[&str], sets: &[&str]) -> Arguments {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let (what, sets) = (owned(what), owned(sets));
        Arguments {
            what,
            sets,
            metric: None,
            goal: None,
            out: None,
            tables: false,
            font: None,
            json: Json { wanted: false },
        }
    }

    #[test]
    fn one_word_that_ends_as_a_file_is_one() {
        let check = |what: &[&str], sets: &[&str], expected: Result<Option<&str>, &str>| {
            let found = file_of(&arguments(what, sets));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected.map(PathBuf::from), "{what:?}"),
                (Err(CliError::Request(text)), Err(part)) => assert!(text.contains(part), "{text}"),
                (found, _) => panic!("{what:?}: {found:?}"),
            }
        };
        check(&["missing.toml"], &[], Ok(Some("missing.toml")));
        check(&["missing.toml"], &["train.steps=3"], Ok(Some("missing.toml")));
        check(&["quickstart"], &[], Ok(None));
        check(&["state=finished", "quickstart"], &[], Ok(None));
        check(&["quickstart"], &["train.steps=3"], Err("--set train.steps=3 changes an experiment file"));
        check(&["Cargo.toml", "quickstart"], &[], Err("`Cargo.toml` is a file, but not the only word"));
    }

    #[test]
    fn the_folder_of_a_query_is_a_plain_name() {
        assert_eq!(folder_name("quickstart mask_ratio=0.15,0.3"), "query quickstart-mask_ratio=0.15,0.3");
        assert_eq!(folder_name("../../up 한글"), "query ..-..-up-한글");
        assert_eq!(folder_name(&"x".repeat(500)).chars().count(), "query ".len() + LONGEST_NAME);
    }
}
