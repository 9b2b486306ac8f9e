//! `ablate compare`: tables, figures and a report over the runs of an experiment, or over any runs.

mod json;
mod tables;
mod wanted;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::analysis::{Comparison, summarize};
use crate::cli::args;
use crate::cli::comparison::{self, Found};
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::experiment;
use crate::plot::charts::standard_figures;
use crate::plot::{ExtraFont, Figure, Report, Theme, render_png, render_svg, report_html};
use crate::runner::clock;
use crate::runner::provenance::Program;
use crate::store::{Index, Store, write_atomic};
use crate::types::MetricName;
use wanted::Wanted;

/// The metric of a comparison that nobody declared one for.
const USUAL_METRIC: &str = "experiment.metric";
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
pub fn compare(context: &Context, arguments: &args::Compare) -> Result<(), CliError> {
    let drawing =
        Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), json: arguments.json.wanted };
    match file_of(arguments)? {
        Some(file) => {
            let loaded = context.load(&args::ExperimentFile { file, sets: arguments.sets.clone() })?;
            let store = context.existing_store()?;
            context.say_unreadable(&Index::open(&store)?);
            let mut comparison = comparison::of_plan(&loaded, &store)?;
            decide(&mut comparison, arguments)?;
            show(context, &comparison, &Wanted::of(&loaded.experiment), &loaded.experiment.name, &drawing)
        }
        None => {
            let store = context.existing_store()?;
            context.say_unreadable(&Index::open(&store)?);
            let Found { mut comparison, reproductions, repeated } =
                comparison::of_query(&arguments.what, &metric_of(arguments)?, &store)?;
            decide(&mut comparison, arguments)?;
            say_left_out(context, reproductions, repeated);
            show(context, &comparison, &Wanted::everything(), &folder_name(&comparison.experiment), &drawing)
        }
    }
}

/// Prints the tables of an experiment's comparison and writes figures and report.
pub fn draw(context: &Context, loaded: &Loaded, store: &Store, drawing: &Drawing) -> Result<(), CliError> {
    context.say_unreadable(&Index::open(store)?);
    let comparison = comparison::of_plan(loaded, store)?;
    show(context, &comparison, &Wanted::of(&loaded.experiment), &loaded.experiment.name, drawing)
}

/// The experiment file, where the arguments name one: a single word that is a file, or ends as one.
fn file_of(arguments: &args::Compare) -> Result<Option<PathBuf>, CliError> {
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

fn metric_of(arguments: &args::Compare) -> Result<MetricName, CliError> {
    let usual = || experiment::keys::find(USUAL_METRIC)?.default_value()?.to_string().parse().ok();
    arguments.metric.clone().or_else(usual).ok_or_else(|| CliError::request("name a metric by --metric"))
}

/// Puts metric and goal of the command line over those of the experiment.
fn decide(comparison: &mut Comparison, arguments: &args::Compare) -> Result<(), CliError> {
    if let Some(metric) = &arguments.metric {
        let recorded = comparison.runs.iter().flat_map(|run| run.series.keys()).collect::<BTreeSet<_>>();
        if !recorded.is_empty() && !recorded.contains(metric) {
            let names = recorded.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::request(format!("no run has recorded `{metric}`; recorded are {names}")));
        }
        comparison.metric = metric.clone();
        comparison.goal = comparison::goal(experiment::Goal::usual(metric.as_str()));
    }
    if let Some(goal) = arguments.goal {
        comparison.goal = comparison::goal(match goal {
            args::Goal::Minimize => experiment::Goal::Minimize,
            args::Goal::Maximize => experiment::Goal::Maximize,
        });
    }
    Ok(())
}

/// The folder of a query's report: what was typed, without what a path would stumble over.
fn folder_name(query: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "=._,-".contains(c) { c } else { '-' };
    format!("query {}", query.chars().map(plain).take(LONGEST_NAME).collect::<String>())
}

fn say_left_out(context: &Context, reproductions: usize, repeated: usize) {
    let reasons = [(reproductions, "execute another one again"), (repeated, "repeat the specification of another one")];
    for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        let runs = if count == 1 { "run" } else { "runs" };
        context.printer.status(Style::Caution, "Note", format!("{count} {runs} left out: runs that {reason}"));
    }
}

/// Prints the tables and writes figures and report.
fn show(
    context: &Context,
    comparison: &Comparison,
    wanted: &Wanted,
    name: &str,
    drawing: &Drawing,
) -> Result<(), CliError> {
    let summary = summarize(comparison);
    let folder = context.report_folder(name, drawing.out);
    let report = write(context, comparison, wanted, &folder, drawing)?;
    if drawing.json {
        context.printer.json(&json::comparison(comparison, &summary, &report));
    } else {
        tables::print(context, comparison, &summary);
    }
    context.printer.status(Style::Good, "Drawn", report.display());
    Ok(())
}

/// Writes every figure as SVG and PNG and the report; returns the report's path.
fn write(
    context: &Context,
    comparison: &Comparison,
    wanted: &Wanted,
    folder: &Path,
    drawing: &Drawing,
) -> Result<PathBuf, CliError> {
    fs::create_dir_all(folder).map_err(|e| CliError::work(format!("cannot create `{}`: {e}", folder.display())))?;
    let font = drawing.font.map(read_font).transpose()?;
    let mut figures = standard_figures(comparison, &wanted.choice);
    figures.retain(|figure| wanted.has(&figure.name));
    let put = |name: String, bytes: &[u8]| -> Result<(), CliError> {
        Ok(write_atomic(&folder.join(name), |file| file.write_all(bytes))?)
    };
    let mut missing = BTreeSet::new();
    for figure in &figures {
        put(format!("{}.svg", figure.name), render_svg(figure).map_err(CliError::work)?.as_bytes())?;
        let png = render_png(figure, &Theme::LIGHT, font.as_ref()).map_err(CliError::work)?;
        put(format!("{}.png", figure.name), &png.bytes)?;
        missing.extend(png.missing.into_iter().flat_map(|missing| missing.characters));
    }
    say_missing(context, &missing);
    let provenance = provenance(&comparison.experiment);
    let html =
        report_html(&Report { comparison, figures: &figures, provenance: &provenance }).map_err(CliError::work)?;
    put("report.html".into(), html.as_bytes())?;
    // In a folder that a person named may be figures of others.
    if drawing.out.is_none() {
        remove_stale(folder, &figures);
    }
    Ok(folder.join("report.html"))
}

/// Figures of an earlier comparison that this one does not have would be taken for current.
fn remove_stale(folder: &Path, figures: &[Figure]) {
    let current: BTreeSet<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_figure = path.extension().is_some_and(|extension| extension == "svg" || extension == "png");
        if is_figure && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| !current.contains(stem)) {
            let _ = fs::remove_file(path);
        }
    }
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

fn read_font(path: &Path) -> Result<ExtraFont, CliError> {
    let bytes =
        fs::read(path).map_err(|e| CliError::request(format!("cannot read the font `{}`: {e}", path.display())))?;
    ExtraFont::new(bytes).map_err(|e| CliError::request(format!("`{}`: {e}", path.display())))
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
