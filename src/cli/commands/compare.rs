//! `ablate compare`: tables, figures and a report over the runs of an experiment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::analysis::{
    CellSummary, Comparison, NotFactorial, Part, Summary, importance, marginal_effects, plus_minus, summarize,
};
use crate::cli::args;
use crate::cli::comparison;
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::Style;
use crate::cli::table::{Align, table};
use crate::experiment::Experiment;
use crate::plot::charts::{Choice, standard_figures};
use crate::plot::{ExtraFont, Figure, Report, Theme, render_png, render_svg, report_html};
use crate::runner::clock;
use crate::runner::provenance::Program;
use crate::store::{Store, write_atomic};

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

/// Compares the runs that an experiment file plans.
pub fn compare(context: &Context, arguments: &args::Compare) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let store = context.existing_store()?;
    let drawing =
        Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), json: arguments.json.wanted };
    draw(context, &loaded, &store, &drawing)
}

/// Prints the tables and writes figures and report.
pub fn draw(context: &Context, loaded: &Loaded, store: &Store, drawing: &Drawing) -> Result<(), CliError> {
    let comparison = comparison::of_plan(loaded, store)?;
    let summary = summarize(&comparison);
    let folder = context.report_folder(&loaded.experiment.name, drawing.out);
    let report = write(context, loaded, &comparison, &folder, drawing)?;
    if drawing.json {
        context.printer.json(&as_json(&comparison, &summary, &report));
    } else {
        print(context, &comparison, &summary);
    }
    context.printer.status(Style::Good, "Drawn", report.display());
    Ok(())
}

fn print(context: &Context, comparison: &Comparison, summary: &Summary) {
    let printer = &context.printer;
    let metric = comparison.metric.as_str();
    let mut columns: Vec<(&str, Align)> =
        comparison.axes.iter().map(|axis| (axis.name.as_str(), Align::Left)).collect();
    columns.extend([
        ("n", Align::Right),
        (metric, Align::Right),
        ("min", Align::Right),
        ("max", Align::Right),
        ("", Align::Left),
    ]);
    let rows = summary.cells.iter().map(|cell| {
        let mut row: Vec<String> = cell.key.0.iter().map(|(_, value)| value.clone()).collect();
        let estimate = cell.estimate.as_ref();
        row.extend([
            estimate.map_or(0, |e| e.n).to_string(),
            estimate.map_or_else(|| "-".into(), plus_minus),
            format::metric(estimate.map(|e| e.min)),
            format::metric(estimate.map(|e| e.max)),
            cell.missing(),
        ]);
        row
    });
    printer.data(format!("{}\n", table(&columns, rows)));
    let effects = marginal_effects(comparison);
    if !effects.is_empty() {
        let columns =
            [("effect on ", Align::Left), ("difference", Align::Right), ("pairs", Align::Right), ("", Align::Left)];
        let rows = effects.iter().map(|effect| {
            let interval = effect.difference.as_ref().map_or_else(|| "-".into(), |d| plus_minus(&d.estimate));
            let advice = effect.verdict.advice().map(|advice| format!(" ({advice})")).unwrap_or_default();
            vec![effect.name(), interval, effect.blocks().to_string(), format!("{}{advice}", effect.verdict.word())]
        });
        printer.data(format!("{}\n", table(&columns, rows)));
    }
    print_importance(context, comparison);
    for floor in &comparison.floors {
        let reached = comparison.runs.iter().filter_map(|run| run.outcome(&floor.metric));
        let best =
            if floor.metric.as_str().ends_with("loss") { reached.reduce(f64::min) } else { reached.reduce(f64::max) };
        let (metric, value) = (&floor.metric, format::metric(Some(floor.value)));
        printer.data(format!("{metric}: {value} by {}, {} by the best run", floor.label, format::metric(best)));
    }
    printer.data(summary.statement());
    if let Some(text) = summary.rerun_statement() {
        printer.data(text);
    }
}

/// The table of what matters, or why there is none.
fn print_importance(context: &Context, comparison: &Comparison) {
    let printer = &context.printer;
    match importance(comparison) {
        Ok(found) => {
            let columns =
                [("part", Align::Left), ("share of variance", Align::Right), ("p", Align::Right), ("", Align::Left)];
            let rows = found.parts.iter().map(|part| {
                let p = part.adjusted_p.or(part.row.p);
                let p = p.map_or_else(|| "-".into(), |p| if p < 1e-4 { "< 0.0001".into() } else { format!("{p:.4}") });
                vec![part.name.clone(), part.share_in_words(), p, part.word().to_owned()]
            });
            printer.data(format!("{}\n{} {}\n", table(&columns, rows), found.basis(), found.statement()));
        }
        Err(NotFactorial::NoAxis) => {}
        Err(why) => printer.data(format!("{why}\n")),
    }
}

fn importance_json(comparison: &Comparison) -> serde_json::Value {
    let part = |part: &Part| {
        json!({
            "part": part.name,
            "degrees": part.row.degrees,
            "sum_of_squares": part.row.sum_of_squares,
            "f": part.row.f,
            "p": part.row.p,
            "p_adjusted": part.adjusted_p,
            "share": part.row.share,
            "interval_95": part.row.interval.map(|i| json!([i.low, i.high])),
            "verdict": part.word(),
        })
    };
    match importance(comparison) {
        Ok(table) => json!({
            "parts": table.parts.iter().map(part).collect::<Vec<_>>(),
            "seeds": table.seeds,
            "seeds_left_out": table.left_out,
        }),
        Err(why) => json!({ "not_computed": why.to_string() }),
    }
}

/// Writes every figure as SVG and PNG and the report; returns the report's path.
fn write(
    context: &Context,
    loaded: &Loaded,
    comparison: &Comparison,
    folder: &Path,
    drawing: &Drawing,
) -> Result<PathBuf, CliError> {
    fs::create_dir_all(folder).map_err(|e| CliError::work(format!("cannot create `{}`: {e}", folder.display())))?;
    let font = drawing.font.map(read_font).transpose()?;
    let mut figures = standard_figures(comparison, &choice(&loaded.experiment));
    figures.retain(|figure| is_asked_for(&figure.name, &loaded.experiment));
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

/// Whether `[report]` asks for the figure of this name.
fn is_asked_for(name: &str, experiment: &Experiment) -> bool {
    /// How the names of each kind of figure begin.
    const KINDS: [(&str, &str); 7] = [
        ("curves-", "curves"),
        ("final-by-", "axes"),
        ("effects", "effects"),
        ("against-baseline", "effects"),
        ("schedules", "schedules"),
        ("loss-by-parameters", "parameters"),
        ("loss-by-time", "time"),
    ];
    let report = &experiment.report;
    let kind = KINDS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, kind)| *kind);
    let kind_is_asked = kind.is_none_or(|kind| report.figures.iter().any(|figure| figure == kind));
    let axis = report.x.and_then(|key| experiment.axis(key.name));
    let is_other_axis = axis.is_some_and(|axis| name.strip_prefix("final-by-").is_some_and(|of| of != axis.label));
    kind_is_asked && !is_other_axis
}

fn choice(experiment: &Experiment) -> Choice {
    let label = |key: Option<&crate::experiment::Key>| Some(experiment.axis(key?.name)?.label.clone());
    Choice { colour: label(experiment.report.colour_by), panel: None }
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

fn as_json(comparison: &Comparison, summary: &Summary, report: &Path) -> serde_json::Value {
    let cell = |cell: &CellSummary| {
        let axes: serde_json::Map<_, _> = cell.key.0.iter().map(|(axis, value)| (axis.clone(), json!(value))).collect();
        let estimate = cell.estimate.as_ref();
        let interval = estimate.and_then(|e| e.interval).map(|i| json!([i.low, i.high]));
        let seeds: Vec<_> = cell
            .outcomes
            .iter()
            .map(|seed| json!({ "seed": seed.seed, "run": seed.id, "state": seed.state.to_string(), "value": seed.value }))
            .collect();
        json!({
            "axes": axes,
            "n": estimate.map_or(0, |e| e.n),
            "mean": estimate.map(|e| e.mean),
            "interval_95": interval,
            "min": estimate.map(|e| e.min),
            "max": estimate.map(|e| e.max),
            "seeds": seeds,
        })
    };
    let effects: Vec<_> = marginal_effects(comparison)
        .iter()
        .map(|effect| {
            let estimate = effect.difference.as_ref().map(|d| &d.estimate);
            json!({
                "effect": effect.name(),
                "pairs": effect.blocks(),
                "difference": estimate.map(|e| e.mean),
                "interval_95": estimate.and_then(|e| e.interval).map(|i| json!([i.low, i.high])),
                "verdict": effect.verdict.word(),
            })
        })
        .collect();
    let floors: Vec<_> = comparison
        .floors
        .iter()
        .map(|floor| json!({ "metric": floor.metric, "label": floor.label, "value": floor.value }))
        .collect();
    json!({
        "format": "ablate-comparison-1",
        "experiment": comparison.experiment,
        "metric": comparison.metric,
        "cells": summary.cells.iter().map(cell).collect::<Vec<_>>(),
        "effects": effects,
        "importance": importance_json(comparison),
        "floors": floors,
        "statement": summary.statement(),
        "winner": summary.shrunken.map(|s| json!({ "raw": s.raw, "shrunken": s.shrunken, "kept": s.kept, "towards": s.towards.words() })),
        "report": report,
    })
}
