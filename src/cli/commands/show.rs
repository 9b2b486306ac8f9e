//! `ablate show`: everything about one run.

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::cli::visible::visible;
use crate::clock;
use crate::plan;
use crate::report::find::find_id;
use crate::report::format;
use crate::report::record::RunRecord;
use crate::store::{Overview, StoredRun, Subject};
use crate::types::RunId;
use crate::types::answers::Detail;

/// What `ablate show` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Print the experiment file that plans this run again
    #[arg(long, conflicts_with = "wanted")]
    pub toml: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Prints a run: its state, specification, results, facts and provenance.
pub fn show(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let run = find_id(&store, &arguments.run, clock::now())?;
    if arguments.toml {
        return as_file(context, &store.overview(&run)?.run);
    }
    if arguments.json.wanted {
        let Overview { run, series } = store.overview(&run)?;
        context.printer.json_as_read(&RunRecord::of(&run, Some(&series))).map_err(CliError::work)?;
    } else {
        print(context, &store.overview(&run)?);
    }
    Ok(())
}

/// Prints the experiment file of a run, after planning it: it has to come to the same specification.
fn as_file(context: &Context, run: &StoredRun) -> Result<(), CliError> {
    run.planned()?;
    let spec = run.dir.read_restated_spec()?;
    let starts_from = run.lineage.starts_from.as_ref().map(RunId::as_str);
    let name = run.provenance.pointer("/experiment/name").and_then(serde_json::Value::as_str).unwrap_or("again");
    let file = plan::experiment_file(&spec, name, starts_from).map_err(CliError::request)?;
    let Some(text) = file else {
        return Err(CliError::request(format!("run {} was imported: no experiment file plans it", run.id)));
    };
    match context.planned_from(&text) {
        Ok(plan) if plan.runs().iter().any(|planned| planned.hash == spec.hash()) => {
            context.printer.status(Style::Good, "Plans", format!("specification {}", spec.hash()));
        }
        Ok(_) => {
            let text =
                "what this file plans here is another specification than the run's: something else would be trained";
            context.printer.status(Style::Caution, "Warning", text);
        }
        Err(error) => {
            context.printer.status(Style::Caution, "Warning", format!("not planned here to compare: {error}"))
        }
    }
    context.printer.raw(&text);
    Ok(())
}

fn print(context: &Context, Overview { run, series }: &Overview) {
    let printer = &context.printer;
    let section = |title: &str, text: &str| {
        if !text.is_empty() {
            printer.data(format!("\n{}", printer.paint(Stream::Out, Style::Strong, title)));
            printer.lines(&visible(text));
        }
    };
    let now = clock::now();
    let at = |moment: Option<crate::types::Timestamp>| moment.map_or_else(|| "-".into(), |at| format::moment(at, now));
    let reason = run.history.reason().map(|reason| format!(" ({})", visible(reason))).unwrap_or_default();
    let id = printer.paint(Stream::Out, Style::Id, run.id.as_str());
    printer.prose(&format!("run {id}  {}{reason}", run.state));
    match &run.subject {
        Subject::Planned(spec) => printer.data(format!("spec {}", spec.hash())),
        Subject::Logged(logged) => printer.data(format!("logged by {}", visible(&logged.by))),
    }
    let (started, ended) = (at(run.history.started_at()), at(run.history.ended_at()));
    printer.prose(&format!("started {started}, ended {ended}"));
    printer.data(format!("folder {}", run.dir.path().display()));
    for (what, said) in said_of(run) {
        printer.lines(&visible(&format!("{what} {said}")));
    }

    let columns = [
        ("metric", Align::Left),
        ("last", Align::Right),
        ("min", Align::Right),
        ("max", Align::Right),
        ("step", Align::Right),
    ];
    let rows = series.summaries().into_iter().map(|(name, all)| {
        let numbers = [Some(all.last.value), all.min, all.max].map(format::metric);
        [vec![name.to_string()], numbers.to_vec(), vec![all.last.step.to_string()]].concat()
    });
    section("Metrics", &table(&columns, rows));
    let told = |name: &str, value: &serde_json::Value| {
        if Detail::is_fact(name) {
            "a table: `ablate show RUN --json`, and the figures".to_owned()
        } else {
            text(value)
        }
    };
    let facts = run.history.facts.iter().map(|(name, value)| vec![name.clone(), told(name, value)]);
    if !run.history.facts.is_empty() {
        section("Facts", &table(&[("fact", Align::Left), ("value", Align::Left)], facts));
    }
    let torn = torn(run.history.torn_bytes);
    section("Warnings", &run.history.warnings.iter().chain(&torn).cloned().collect::<Vec<_>>().join("\n"));
    match &run.subject {
        Subject::Planned(spec) => section("Specification", spec.to_toml().unwrap_or_default().trim_end()),
        Subject::Logged(_) => {
            let settings = run.subject.settings().into_iter().map(|(key, value)| vec![key, value]);
            section("Parameters", &table(&[("key", Align::Left), ("value", Align::Left)], settings));
        }
    }
    section("Provenance", &serde_json::to_string_pretty(&run.provenance).unwrap_or_default());
}

/// What people say of a run, and what it stands on.
fn said_of(run: &StoredRun) -> Vec<(&'static str, String)> {
    let labels = &run.labels;
    let mut said = Vec::new();
    said.extend(labels.is_trashed().then(|| ("trash", "in the trash: `ablate restore` brings it back".to_owned())));
    said.extend(labels.name.clone().map(|name| ("name", name)));
    let tags = labels.tags.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    said.extend(Some(tags).filter(|tags| !tags.is_empty()).map(|tags| ("tags", tags)));
    said.extend(labels.note.clone().map(|note| ("note", note)));
    said.extend(labels.groups.iter().map(|group| ("counted to", group.name.clone())));
    said.extend(run.lineage.edges().map(|(role, other)| (role.name(), other.to_string())));
    said
}

/// What is to be said of a log whose last record is not whole.
pub fn torn(bytes: u64) -> Option<String> {
    let text =
        format!("the last {bytes} bytes of the log are no whole record: a crash tore it, or it is being written");
    (bytes > 0).then_some(text)
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
