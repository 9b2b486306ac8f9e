//! `ablate plan --explain KEY`: where the value of a key comes from, layer by layer.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::experiment::{Experiment, keys, nearest_key};
use crate::plan;
use crate::report::explanation::ExplanationReport;

/// Prints what every layer says of a key, and in how many cells it counts.
pub fn explain(context: &Context, experiment: &Experiment, name: &str, as_json: bool) -> Result<(), CliError> {
    let key = keys::find(name).ok_or_else(|| unknown(name))?;
    let explanation = plan::explain(experiment, key);
    let printer = &context.printer;
    if as_json {
        printer.json(&ExplanationReport::of(experiment, &explanation));
        return Ok(());
    }
    printer.data(format!("{}: {}\n", printer.paint(Stream::Out, Style::Strong, key.name), key.doc));
    let columns = [("layer", Align::Left), ("value", Align::Left), ("where", Align::Left), ("counts in", Align::Right)];
    let of_all = |n: usize| format!("{n} of {}", explanation.cells);
    let mut rows: Vec<[String; 4]> = Vec::new();
    for layer in &explanation.layers {
        let place = layer.place.as_ref().map(|place| experiment.source.describe(place)).unwrap_or_default();
        rows.push([layer.name.clone(), layer.value.clone(), place, of_all(layer.cells)]);
    }
    if explanation.absent > 0 {
        rows.push(["no value".to_owned(), "-".to_owned(), String::new(), of_all(explanation.absent)]);
    }
    printer.data(table(&columns, rows));
    Ok(())
}

fn unknown(name: &str) -> CliError {
    CliError::request(match nearest_key(name, &[]) {
        Some(key) => format!("`--explain`: unknown key `{name}`; did you mean `{key}`?"),
        None => format!("`--explain`: unknown key `{name}`; a key is written section.key, like `objective.mask_ratio`"),
    })
}
