//! `ablate doctor`: whether this program, this machine and the store are fit to work.

use serde_json::json;

use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::runner::provenance::{Machine, Program, cores};
use crate::runner::self_test::{self, DeviceTest};
use crate::store::{Index, RunQuery, RunState, Store, StoreError};
use crate::trainer::device::kernel_isa;
use crate::types::RunId;

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    fine: bool,
    text: String,
}

/// Prints what was found; fails when something would keep runs from working.
pub fn doctor(context: &Context, arguments: &args::Doctor) -> Result<(), CliError> {
    let mut findings = vec![program(), machine()];
    findings.extend(self_test::devices().iter().map(device));
    findings.extend([data(context), store(context)]);
    let healthy = findings.iter().all(|finding| finding.fine);
    if arguments.json.wanted {
        let findings = findings.iter().map(|f| json!({ "name": f.name, "fine": f.fine, "text": f.text }));
        let findings = findings.collect::<Vec<_>>();
        context.printer.json(&json!({ "format": "ablate-doctor-1", "healthy": healthy, "findings": findings }));
    } else {
        for finding in &findings {
            let (style, mark) = if finding.fine { (Style::Good, "ok") } else { (Style::Bad, "problem") };
            let mark = context.printer.paint(Stream::Out, style, &format!("{mark:>8}"));
            context.printer.data(format!("{mark}  {:<8} {}", finding.name, finding.text));
        }
    }
    if healthy { Ok(()) } else { Err(CliError::Said) }
}

fn program() -> Finding {
    let Program { version, commit, dirty, rustc, target, profile, .. } = Program::this();
    let commit = if commit.is_empty() { "unknown" } else { &commit[..commit.len().min(12)] };
    let dirty = if dirty { " with changes" } else { "" };
    let text = format!("ablate {version} ({commit}{dirty}), {profile} build for {target}, {rustc}");
    Finding { name: "program", fine: true, text }
}

fn machine() -> Finding {
    let Machine { host, os, cpu, .. } = Machine::this(cores(), "flex");
    Finding { name: "machine", fine: true, text: format!("{host}: {cpu}, {} cores, {os}", cores()) }
}

/// A device that the program lacks is no problem: nothing needs it until an experiment asks for it.
fn device(test: &DeviceTest) -> Finding {
    let found = match &test.finding {
        self_test::Finding::Works { gflops } => format!("{gflops:.0} GFLOP/s in matrix products (f32)"),
        self_test::Finding::NotBuilt { feature } => {
            format!("not in this program; `cargo build --release --features {feature}` adds it")
        }
        self_test::Finding::Broken { reason } => format!("does not work here: {reason}"),
    };
    let promise = match test.device {
        "flex" => format!("; matrix kernels with {}, under the bitwise promise", kernel_isa()),
        _ => String::new(),
    };
    Finding { name: "device", fine: true, text: format!("{}: {found}{promise}", test.device) }
}

fn data(context: &Context) -> Finding {
    let root = context.data_root.display();
    let text = if context.data_root.is_dir() {
        format!("`{root}`; a corpus is looked up beside its experiment file, then here")
    } else {
        format!("`{root}` does not exist; only `demo` and corpora beside their experiment files are found (--data DIR)")
    };
    Finding { name: "data", fine: true, text }
}

fn store(context: &Context) -> Finding {
    let root = context.runs.display();
    if !context.runs.exists() {
        return Finding {
            name: "store",
            fine: true,
            text: format!("`{root}` does not exist yet; `ablate run` makes it"),
        };
    }
    match look_at_store(context) {
        Ok(Looked { runs, torn, unreadable }) => {
            let mut text = format!("`{root}`: {runs} runs");
            if torn > 0 {
                text.push_str(&format!(", {torn} with a torn last record (`ablate list` names them)"));
            }
            unreadable.iter().for_each(|(run, error)| text.push_str(&format!("; run {run} cannot be read: {error}")));
            Finding { name: "store", fine: unreadable.is_empty(), text }
        }
        Err(error) => Finding { name: "store", fine: false, text: error.to_string() },
    }
}

/// What a look at all runs found.
struct Looked {
    runs: usize,
    torn: usize,
    unreadable: Vec<(RunId, String)>,
}

fn look_at_store(context: &Context) -> Result<Looked, StoreError> {
    let store = Store::open(&context.runs)?;
    tempfile::tempfile_in(store.root()).map_err(|source| StoreError::io("write to", store.root(), source))?;
    let mut index = Index::open(&store)?;
    let rows = index.query(&RunQuery::default())?;
    let torn = rows.iter().filter(|row| row.torn_bytes > 0 && row.state != RunState::Running).count();
    let unreadable = index.unreadable().iter().map(|(run, error)| (run.clone(), error.to_string())).collect();
    Ok(Looked { runs: rows.len(), torn, unreadable })
}
