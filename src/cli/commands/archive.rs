//! `ablate archive`: runs and all that they stand on in one file, which a browser opens and `ablate verify` proves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::exchange::archive::{ArchiveError, Certificate, Packed, ROOT_PLACE, Report, Wanted, Why};
use crate::exchange::transfer::Absent;
use crate::report::archived::{ArchivePage, ArchivedReport, ArchivedRun};
use crate::report::format;
use crate::report::kept::Entry;
use crate::report::listing::Listing;
use crate::store::{Facts, Index, RunQuery, RunRow, Trash};
use crate::types::RunId;

/// What `ablate archive` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `list` takes them; without it all
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    /// The file to write, which must be new: `mask.html`
    #[arg(value_name = "FILE", required = true)]
    pub file: PathBuf,
    /// Leave the checkpoints out: the measurements and their proof in a small file
    #[arg(long)]
    pub no_checkpoints: bool,
    /// Leave the reports of the runs' experiments out
    #[arg(long)]
    pub no_reports: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Writes the archive.
pub fn archive(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if fs::symlink_metadata(&arguments.file).is_ok() {
        let shown = arguments.file.display();
        return Err(CliError::request(format!("`{shown}` is there already; name another file")));
    }
    let store = context.existing_store()?;
    // A single word that means runs is what somebody types who forgot the file.
    if let (true, Some(word), None) = (arguments.query.is_empty(), arguments.file.to_str(), arguments.file.extension())
        && context.found(&store, &[word.to_owned()], Trash::Without).is_ok()
    {
        let text = format!("`{word}` means runs, and no file is named: `ablate archive {word} {word}.html`");
        return Err(CliError::request(text));
    }
    let (index, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    let runs: Vec<RunId> = rows.iter().map(|row| row.id.clone()).collect();
    let reports = if arguments.no_reports { Vec::new() } else { reports(context, &rows) };
    let wanted = Wanted { runs: &runs, with_checkpoints: !arguments.no_checkpoints, reports: &reports };
    let packed = Packed::of(&store, &wanted, &arguments.file, &mut context.bytes_told("Reading"))?;
    say_absent(context, &packed.absent);
    let facts = facts(&index, packed.certificate())?;
    for run in facts.iter().filter(|run| !keeps_tokenizer(run, packed.certificate())) {
        let text =
            format!("run {} keeps no tokenizer: an older program trained it, and its corpus makes it anew", run.row.id);
        context.printer.status(Style::Caution, "Note", text);
    }
    let page = page(facts, &packed, &reports)?;
    let absent: Vec<String> = packed.absent.iter().map(ToString::to_string).collect();
    let written = packed.write(&page)?;
    let certificate = &written.certificate;
    if arguments.json.wanted {
        let runs: Vec<_> = certificate.runs.iter().map(|run| json!({ "id": run.id, "why": run.why })).collect();
        context.printer.json(&json!({
            "format": "ablate-archived-1",
            "file": arguments.file,
            "root": certificate.root,
            "bytes": written.bytes,
            "files": certificate.entries.len(),
            "checkpoints": certificate.checkpoints,
            "runs": runs,
            "reports": reports.iter().map(|report| &report.shelf).collect::<Vec<_>>(),
            "absent": absent,
        }));
        return Ok(());
    }
    let beside = certificate.runs.iter().filter(|run| run.why == Why::StoodOn).count();
    let beside =
        if beside > 0 { format!(" and {} that they stand on", format::plural(beside, "run")) } else { String::new() };
    let reports =
        if reports.is_empty() { String::new() } else { format!(", {}", format::plural(reports.len(), "report")) };
    let (files, bytes) = (format::plural(certificate.entries.len(), "file"), format::si(written.bytes as f64));
    let text = format!("{}{beside}{reports}: {files}, {bytes}B", format::plural(runs.len(), "run"));
    context.printer.status(Style::Good, "Archived", text);
    context.printer.status(
        Style::Hint,
        "Root",
        format!("{}; `ablate verify` holds the file against it", certificate.root),
    );
    context.printer.data(arguments.file.display());
    Ok(())
}

/// Says which runs others stand on that are not there.
pub(super) fn say_absent(context: &Context, absent: &[Absent]) {
    absent.iter().for_each(|absent| context.printer.status(Style::Caution, "Warning", absent));
}

/// The newest report of each experiment of these runs, where it has one.
fn reports(context: &Context, rows: &[RunRow]) -> Vec<Report> {
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.experiments.iter().map(|group| group.name.as_str())).collect();
    let report = |name: &str| {
        let shelf = context.report_folder(name);
        let folder = shelf.join("latest").canonicalize().ok().filter(|folder| folder.join("report.html").is_file())?;
        // A folder with a page that leads elsewhere, where there are no links, is no report.
        let own = folder.file_name()?.to_str()?.to_owned();
        let shelf = shelf.file_name()?.to_str()?.to_owned();
        (own != "latest").then_some(Report { shelf, name: own, folder })
    };
    names.into_iter().filter_map(report).collect()
}

/// What the index knows of the runs of an archive.
fn facts(index: &Index, certificate: &Certificate) -> Result<Vec<Facts>, CliError> {
    let mut facts = Vec::new();
    for run in &certificate.runs {
        if let Some(version) = index.version(&run.id)? {
            facts.extend(index.facts_of(&run.id, &version)?);
        }
    }
    Ok(facts)
}

/// Whether the tokenizer of a run that needs one is in the archive, with it or with the run that it starts from.
fn keeps_tokenizer(run: &Facts, certificate: &Certificate) -> bool {
    let path = format!("runs/{}/artifacts/tokenizer.json", run.row.id);
    let has_its_own = certificate.entries.iter().any(|entry| entry.path == path);
    let has_anothers = run.edges.iter().any(|(role, _)| role.needs_files());
    run.row.spec_hash.is_none() || run.row.steps_done.0 == 0 || has_its_own || has_anothers
}

/// The page that the archive begins with.
fn page(facts: Vec<Facts>, packed: &Packed, reports: &[Report]) -> Result<String, CliError> {
    let certificate = packed.certificate();
    let mut because: BTreeMap<RunId, Vec<RunId>> = BTreeMap::new();
    for run in &facts {
        for (_, other) in &run.edges {
            because.entry(other.clone()).or_default().push(run.row.id.clone());
        }
    }
    let settings: Vec<_> = facts.iter().map(|run| run.settings.clone()).collect();
    let listing = Listing::of(facts, &RunQuery::parse("", clock::now())?);
    let archived = listing.runs.into_iter().zip(settings).map(|(listed, settings)| {
        let seal = certificate.runs.iter().find(|run| run.id == listed.id);
        let is_beside = seal.is_some_and(|run| run.why == Why::StoodOn);
        let because_of = if is_beside { because.remove(&listed.id).unwrap_or_default() } else { Vec::new() };
        let corpora = seal.into_iter().flat_map(|run| &run.corpora);
        let corpora = corpora.map(|corpus| (corpus.name.clone(), corpus.hash)).collect();
        ArchivedRun { listed, settings, because_of, corpora }
    });
    let mut runs: Vec<ArchivedRun> = archived.collect();
    runs.sort_by_key(|run| !run.because_of.is_empty());
    let shown = |report: &Report| {
        let html = fs::read_to_string(report.folder.join("report.html")).ok()?;
        let entry = fs::read_to_string(report.folder.join("report.json")).ok();
        let entry = entry.and_then(|text| serde_json::from_str::<Entry>(&text).ok());
        Some(ArchivedReport {
            experiment: entry.as_ref().map_or(&report.shelf, |entry| &entry.experiment).clone(),
            answer: entry.map(|entry| (entry.answer, entry.runs)),
            path: format!("reports/{}/{}/report.html", report.shelf, report.name),
            html,
        })
    };
    let reports: Vec<ArchivedReport> = reports.iter().filter_map(shown).collect();
    let page = ArchivePage {
        runs: &runs,
        reports: &reports,
        files: certificate.entries.len(),
        bytes: certificate.bytes(),
        with_checkpoints: certificate.checkpoints,
        program: &certificate.program,
        root_place: ROOT_PLACE,
    };
    Ok(page.html())
}

impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            error if error.is_of_request() => Self::request(error),
            error => Self::work(error),
        }
    }
}
