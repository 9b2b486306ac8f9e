//! `ablate diff`: what two runs do not have in common.

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::clock;
use crate::report::comparison::read;
use crate::report::difference::{Difference, ProvenanceDifference};
use crate::report::find::find_id;
use crate::report::format;
use crate::runner::reproduce::provenance_differences;
use crate::store::StoredRun;

/// What `ablate diff` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub first: String,
    /// The run it is compared with
    #[arg(value_name = "RUN")]
    pub second: String,
    #[command(flatten)]
    pub json: Json,
}

/// Prints the settings, the final metrics and the provenance that differ.
pub fn diff(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let find = |name: &str| read(&store, &find_id(&store, name, clock::now())?);
    let (first, second) = (find(&arguments.first)?, find(&arguments.second)?);
    let difference = Difference::of(&first, &second, provenance(&first.0, &second.0));
    if arguments.json.wanted {
        context.printer.json(&difference);
    } else {
        print(context, &difference);
    }
    Ok(())
}

/// What differs in the provenance of two runs.
pub fn provenance(first: &StoredRun, second: &StoredRun) -> Vec<ProvenanceDifference> {
    let found = provenance_differences(first, second).unwrap_or_default().into_iter();
    found.map(|d| ProvenanceDifference { key: d.key, first: d.original, second: d.reproduced }).collect()
}

fn print(context: &Context, difference: &Difference) {
    let [a, b] = difference.runs.each_ref().map(|id| id.as_str());
    let section = |title: &str, text: String| {
        context.printer.data(format!("{}\n{text}\n", context.printer.paint(Stream::Out, Style::Strong, title)));
    };
    let missing = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    if difference.settings.is_empty() {
        section("Settings", "the same specification".into());
    } else {
        let columns = [("key", Align::Left), (a, Align::Right), (b, Align::Right)];
        let rows = difference.settings.iter().map(|d| vec![d.key.clone(), missing(&d.first), missing(&d.second)]);
        section("Settings", table(&columns, rows));
    }
    let columns = [("metric", Align::Left), (a, Align::Right), (b, Align::Right), ("difference", Align::Right)];
    let rows = difference.metrics.iter().map(|d| {
        let delta = d.delta.map_or_else(|| "-".into(), |delta| format!("{delta:+.4}"));
        vec![d.metric.to_string(), format::metric(d.first), format::metric(d.second), delta]
    });
    section("Final metrics", table(&columns, rows));
    if !difference.provenance.is_empty() {
        let columns = [("key", Align::Left), (a, Align::Left), (b, Align::Left)];
        let rows = difference.provenance.iter().map(|d| vec![d.key.clone(), d.first.clone(), d.second.clone()]);
        section("Provenance", table(&columns, rows));
    }
}
