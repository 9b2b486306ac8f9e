//! The comparison as text: what a terminal shows.

use crate::analysis::{
    Axis, Comparison, Effect, NoImportance, Summary, importance, luck_in_words, marginal_effects, plus_minus,
    settings_of,
};
use crate::cli::context::Context;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::report::answer::Answer;
use crate::report::format;
use crate::report::spelling::p_value;
use crate::types::metrics::Goal;

/// Prints what has to be known first and the answer, then cells, effects, importance, floors and the result.
pub(super) fn print(context: &Context, comparison: &Comparison, summary: &Summary, answer: &Answer) {
    let printer = &context.printer;
    let metric = comparison.metric.as_str();
    let mut columns: Vec<(&str, Align)> =
        comparison.axes.iter().flat_map(Axis::settings).map(|name| (name, Align::Left)).collect();
    // Of a single run, the least and the greatest are itself.
    let has_range = summary.cells.iter().any(|cell| cell.estimate.is_some_and(|estimate| estimate.n > 1));
    let range = [("min", Align::Right), ("max", Align::Right)].into_iter().filter(|_| has_range);
    columns.extend([("n", Align::Right), (metric, Align::Right)].into_iter().chain(range).chain([("", Align::Left)]));
    for caution in &answer.cautions {
        printer.prose(&format!("! {caution}"));
    }
    printer.prose(&printer.paint(Stream::Out, Style::Strong, &answer.headline));
    printer.prose(&format!("{}\n", answer.how_sure));
    for axis in comparison.axes.iter().filter(|axis| !axis.also.is_empty()) {
        printer.prose(&format!("{} stands for what changes with it: {}", axis.name, axis.also.join(", ")));
    }
    let rows = summary.by_rank().map(|(_, cell)| {
        let settings = cell.key.0.iter().flat_map(|(axis, value)| settings_of(axis, value));
        let mut row: Vec<String> = settings.map(|(_, value)| value.to_owned()).collect();
        let estimate = cell.estimate.as_ref();
        row.extend([estimate.map_or(0, |e| e.n).to_string(), estimate.map_or_else(|| "-".into(), plus_minus)]);
        if has_range {
            row.extend([estimate.map(|e| e.min), estimate.map(|e| e.max)].map(format::metric));
        }
        row.push(cell.missing());
        row
    });
    printer.data(format!("{}\n", table(&columns, rows)));
    let effects = marginal_effects(comparison);
    if !effects.is_empty() {
        let columns = [("effect on ", Align::Left), ("difference", Align::Right), ("", Align::Left)];
        let row = |effect: &Effect| vec![effect.name(), effect.size().unwrap_or_else(|| "-".into()), effect.word()];
        printer.data(table(&columns, effects.iter().map(row)));
        for (effect, advice) in effects.iter().filter_map(|effect| Some((effect, effect.advice()?))) {
            printer.prose(&format!("{}: {advice}.", effect.name()));
        }
        printer.data("");
    }
    print_importance(context, comparison);
    // Those of other metrics stand on the page, and in the answer where no run passes them.
    for floor in comparison.floors_of(&comparison.metric) {
        let reached = comparison.runs.iter().filter_map(|run| run.outcome(&floor.metric));
        let best = Goal::usual(floor.metric.as_str()).best(reached);
        let (metric, value) = (&floor.metric, floor.in_words());
        let own = floor.range.filter(|_| floor.is_one()).map_or(String::new(), |(low, high)| {
            let [low, high] = [low, high].map(|own| format::metric(Some(own)));
            format!(" (mean over the runs, whose own are {low} to {high})")
        });
        let best = format::metric(best);
        printer.prose(&format!("{metric}: {value} by {}{own}, {best} by the best run", floor.label));
    }
    printer.prose(&luck_in_words(comparison));
    printer.prose(&summary.statement());
    if let Some(text) = summary.rerun_statement() {
        printer.prose(&text);
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
                let p = part.adjusted_p;
                let p = p.map_or_else(|| "-".into(), p_value);
                vec![part.name.clone(), part.share_in_words(), p, part.word().to_owned()]
            });
            printer.data(table(&columns, rows));
            printer.prose(&format!("{} {}\n", found.basis(), found.statement()));
        }
        Err(NoImportance::NoAxis) => {}
        Err(why) => printer.prose(&format!("{why}\n")),
    }
}
