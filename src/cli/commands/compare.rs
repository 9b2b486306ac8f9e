//! `ablate compare`: tables, figures and a report over the runs of an experiment, or over any runs.

mod tables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::analysis::{Comparison, summarize};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::cli::args::{ExperimentFile, Json};
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::clock;
use crate::report::Wanted;
use crate::report::comparison::{self, Found, Part};
use crate::report::drawing::{self, Drawn};
use crate::runner::provenance::Program;
use crate::store::{Index, Store};
use crate::types::MetricName;
use crate::types::metrics::{self, Goal};

/// What `ablate compare` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An experiment file; or words of a query over the runs, as `list` takes them: ids, names, KEY=VALUE, state=finished
    #[arg(value_name = "FILE|QUERY", required = true)]
    pub what: Vec<String>,
    /// Override a key of the file, as in --set train.steps=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The metric that decides [default: the experiment's; valid/mlm_loss for a query]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<MetricName>,
    /// Which way is better [default: the experiment's, or what is usual for the metric]
    #[arg(long, value_parser = goals())]
    pub goal: Option<Goal>,
    /// Where figures and report are written [default: reports/NAME in the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A TrueType font with the glyphs that the built-in one lacks, such as Hangul, for PNG files
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
    /// Whether the tables are printed as JSON.
    pub json: bool,
}

/// Compares the runs that an experiment file plans, or those that a query finds.
pub fn compare(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let drawing =
        Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), json: arguments.json.wanted };
    match file_of(arguments)? {
        Some(file) => {
            let loaded = context.load(&ExperimentFile { file, sets: arguments.sets.clone() })?;
            let store = context.existing_store()?;
            context.say_unreadable(&Index::open(&store)?);
            let mut comparison = comparison::of_plan(&loaded.experiment, &loaded.plan, &store)?;
            decide(&mut comparison, arguments)?;
            show(context, comparison, &Wanted::of(&loaded.experiment), &loaded.experiment.name, &drawing)
        }
        None => {
            let store = context.existing_store()?;
            context.say_unreadable(&Index::open(&store)?);
            let Found { mut comparison, reproductions, repeated } =
                comparison::of_query(&arguments.what, &metric_of(arguments), &store)?;
            decide(&mut comparison, arguments)?;
            say_left_out(context, reproductions, repeated);
            let name = folder_name(&comparison.experiment);
            show(context, comparison, &Wanted::everything(), &name, &drawing)
        }
    }
}

/// Prints the tables of an experiment's comparison and writes figures and report.
pub fn draw(context: &Context, loaded: &Loaded, store: &Store, drawing: &Drawing) -> Result<(), CliError> {
    context.say_unreadable(&Index::open(store)?);
    let comparison = comparison::of_plan(&loaded.experiment, &loaded.plan, store)?;
    show(context, comparison, &Wanted::of(&loaded.experiment), &loaded.experiment.name, drawing)
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

/// The metric that is asked for, or the one that decides where nobody declared one.
fn metric_of(arguments: &Arguments) -> MetricName {
    arguments.metric.clone().unwrap_or_else(|| metrics::deciding(None).metric_name())
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

/// Prints the tables and writes figures and report: of each part, where values cannot be compared throughout.
fn show(
    context: &Context,
    comparison: Comparison,
    wanted: &Wanted,
    name: &str,
    drawing: &Drawing,
) -> Result<(), CliError> {
    let folder = context.report_folder(name, drawing.out);
    let parts = comparison::parts(comparison);
    let mut documents = Vec::new();
    for Part { name, comparison } in &parts {
        let folder = if name.is_empty() { folder.clone() } else { folder.join(folder_name_of_part(name)) };
        if !name.is_empty() && !drawing.json {
            context.printer.data(format!("\n{}\n", context.printer.paint(Stream::Out, Style::Strong, name)));
        }
        documents.extend(show_part(context, comparison, wanted, &folder, drawing)?);
    }
    match documents.len() {
        0 => {}
        1 if parts.len() == 1 => context.printer.json(&documents[0]),
        _ => context.printer.json(&json!({ "format": "ablate-comparison-parts-1", "parts": documents })),
    }
    Ok(())
}

/// Shows one part; gives its document where one is asked for.
fn show_part(
    context: &Context,
    comparison: &Comparison,
    wanted: &Wanted,
    folder: &Path,
    drawing: &Drawing,
) -> Result<Option<Value>, CliError> {
    let summary = summarize(comparison);
    let drawn = drawing::draw(
        comparison,
        &drawing::Drawing {
            folder,
            // In a folder that a person named may be figures of others.
            owns_folder: drawing.out.is_none(),
            font: drawing.font,
            wanted,
            provenance: &provenance(&comparison.experiment),
        },
    )?;
    let Drawn { report, missing } = drawn;
    say_missing(context, &missing);
    if !drawing.json {
        tables::print(context, comparison, &summary);
    }
    context.printer.status(Style::Good, "Drawn", report.display());
    Ok(drawing.json.then(|| comparison::document(comparison, &summary, &report)))
}

/// Says once which characters the PNG files could not show.
fn say_missing(context: &Context, missing: &BTreeSet<char>) {
    if !missing.is_empty() {
        let some: String = missing.iter().take(8).collect();
        let text = format!(
            "the built-in font lacks some characters (such as {some}): they are `?` in the PNG files, and \
                            complete in the SVG files and the report; --font FILE names a font that has them"
        );
        context.printer.status(Style::Caution, "Note", text);
    }
}

fn provenance(experiment: &str) -> Vec<(String, String)> {
    let Program { version, commit, dirty, .. } = Program::this();
    let commit = if dirty { format!("{commit} with changes") } else { commit };
    [
        ("experiment", experiment.to_owned()),
        ("program", format!("ablate {version}")),
        ("commit", commit),
        ("drawn", clock::now().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(what: &[&str], sets: &[&str]) -> Arguments {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let (what, sets) = (owned(what), owned(sets));
        Arguments { what, sets, metric: None, goal: None, out: None, font: None, json: Json { wanted: false } }
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

    #[test]
    fn the_usual_metric_is_a_key_with_a_default() {
        assert_eq!(metric_of(&arguments(&["x"], &[])).as_str(), "valid/mlm_loss");
    }
}
