//! `ablate doctor`: whether this program, this machine and the store are fit to work.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::runner::provenance::{Machine, Program, cores};
use crate::runner::self_test::{self, DeviceTest};
use crate::runner::trained::{self, TrainedError, Which};
use crate::store::{Index, LOST_SECS, Locking, RunQuery, RunState, Store, StoreError};
use crate::trainer::device::kernel_isa;
use crate::types::RunId;

/// What `ablate doctor` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub json: Json,
}

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    state: State,
    text: String,
}

/// What was found about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    /// It is not here, and nothing needs it until an experiment asks for it.
    Absent,
    Problem,
}

impl State {
    /// The state in a word, and how it looks.
    fn mark(self) -> (Style, &'static str) {
        match self {
            Self::Fine => (Style::Good, "ok"),
            Self::Absent => (Style::Faint, "absent"),
            Self::Problem => (Style::Bad, "problem"),
        }
    }
}

/// Prints what was found; fails when something would keep runs from working.
pub fn doctor(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let mut findings = vec![program(), machine()];
    findings.extend(self_test::devices().iter().map(device));
    findings.extend([data(context), store(context)]);
    findings.extend(locks(context));
    let healthy = findings.iter().all(|finding| finding.state != State::Problem);
    if arguments.json.wanted {
        let findings = findings.iter().map(
            |f| json!({ "name": f.name, "fine": f.state != State::Problem, "state": f.state.mark().1, "text": f.text }),
        );
        let findings = findings.collect::<Vec<_>>();
        context.printer.json(&json!({ "format": "ablate-doctor-1", "healthy": healthy, "findings": findings }));
    } else {
        for finding in &findings {
            let (style, mark) = finding.state.mark();
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
    Finding { name: "program", state: State::Fine, text }
}

fn machine() -> Finding {
    let Machine { host, os, cpu, .. } = Machine::this(cores(), "flex");
    Finding { name: "machine", state: State::Fine, text: format!("{host}: {cpu}, {} cores, {os}", cores()) }
}

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
    let state = match &test.finding {
        self_test::Finding::Works { .. } => State::Fine,
        self_test::Finding::NotBuilt { .. } | self_test::Finding::Broken { .. } => State::Absent,
    };
    Finding { name: "device", state, text: format!("{}: {found}{promise}", test.device) }
}

fn data(context: &Context) -> Finding {
    let root = context.data_root.display();
    let text = if context.data_root.is_dir() {
        format!("`{root}`; a corpus is looked up beside its experiment file, then here")
    } else {
        format!("`{root}` does not exist; only `demo` and corpora beside their experiment files are found (--data DIR)")
    };
    Finding { name: "data", state: State::Fine, text }
}

fn store(context: &Context) -> Finding {
    let root = context.runs.display();
    if !context.runs.exists() {
        return Finding {
            name: "store",
            state: State::Fine,
            text: format!("`{root}` does not exist yet; `ablate run` makes it"),
        };
    }
    match look_at_store(context) {
        Ok(Looked { runs, torn, unreadable, edited }) => {
            let mut text = format!("`{root}`: {runs} runs");
            if torn > 0 {
                text.push_str(&format!(", {torn} with a torn last record (`ablate list` names them)"));
            }
            if !unreadable.is_empty() {
                text.push_str(&format!(", {} cannot be read", unreadable.len()));
                unreadable.iter().for_each(|(run, error)| text.push_str(&format!("\n{:>20}{run}: {error}", "")));
            }
            if let [first, rest @ ..] = &edited[..] {
                let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                text.push_str(&format!(
                    ", the index says something else of {first}{others} than the folders do (`ablate reindex` makes it anew)"
                ));
            }
            let is_fine = unreadable.is_empty() && edited.is_empty();
            Finding { name: "store", state: if is_fine { State::Fine } else { State::Problem }, text }
        }
        Err(error) => Finding { name: "store", state: State::Problem, text: error.to_string() },
    }
}

/// Whether two programs can be kept from writing one run, and where the index is.
fn locks(context: &Context) -> Option<Finding> {
    let store = context.existing_store().ok()?;
    let place = match store.network() {
        Some(network) => format!(" over a network ({network}); the index is `{}`", store.index_path().display()),
        None => " of this machine".to_owned(),
    };
    let (state, text) = match store.locking() {
        Ok(Locking::Kernel) => (State::Fine, format!("those of the kernel, on a file system{place}")),
        Ok(Locking::Heartbeat { why }) => (
            State::Fine,
            format!(
                "by heartbeat, on a file system{place}: {why}; a worker that died on another machine is lost after {LOST_SECS} s"
            ),
        ),
        Err(error) => (State::Absent, format!("cannot be tried: {error}")),
    };
    Some(Finding { name: "leases", state, text })
}

/// What a look at all runs found.
struct Looked {
    runs: usize,
    torn: usize,
    unreadable: Vec<(RunId, String)>,
    /// Those of which the index says something else than their folders.
    edited: Vec<RunId>,
}

/// How many runs there are, and those of which something cannot be read, from the folders themselves.
fn look_at_store(context: &Context) -> Result<Looked, StoreError> {
    let store = context.store_at(&context.runs)?;
    tempfile::tempfile_in(store.root()).map_err(|source| StoreError::io("write to", store.root(), source))?;
    let mut index = Index::open(&store)?;
    let rows = index.query(&RunQuery::default())?;
    let edited = index.differences()?;
    let torn = rows.iter().filter(|row| row.torn_bytes > 0 && row.state != RunState::Running).count();
    let ids = store.run_ids()?;
    let runs = ids.len();
    let unreadable = ids.into_iter().filter_map(|id| damage(&store, &id).map(|error| (id, error))).collect();
    Ok(Looked { runs, torn, unreadable, edited })
}

/// What of a run cannot be read: its files, or the newest checkpoint of a run that has any.
fn damage(store: &Store, id: &RunId) -> Option<String> {
    let run = match store.load(id) {
        Ok(run) => run,
        Err(error) => return Some(error.to_string()),
    };
    match run.planned().is_ok().then(|| trained::weights(&run, Which::Last)) {
        None | Some(Ok(_) | Err(TrainedError::NoCheckpoint { .. } | TrainedError::CheckpointsGone { .. })) => None,
        Some(Err(error)) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::args::{Colour, Global};
    use crate::runner::testing;
    use crate::trainer::checkpoint::CheckpointDir;
    use crate::types::Step;

    /// A store is fit that is not there yet or can be read, and what cannot be read in it is named.
    #[test]
    fn damage_in_a_store_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let global =
            Global { runs: folder.path().join("runs"), data: "data".into(), color: Colour::Never, quiet: false };
        let context = Context::new(&global);
        let look = || {
            let Finding { state, text, .. } = store(&context);
            (state == State::Fine, text.replace(folder.path().to_str().unwrap(), ""))
        };
        assert_eq!(look(), (true, "`/runs` does not exist yet; `ablate run` makes it".to_owned()));
        let runs = testing::sources(folder.path()).store;
        let (whole, damaged, torn) =
            (testing::new_run(&runs, 1), testing::new_run(&runs, 2), testing::new_run(&runs, 3));
        assert_eq!(look(), (true, "`/runs`: 3 runs".to_owned()));
        fs::write(damaged.spec_path(), "schema = 2\n").unwrap();
        fs::create_dir_all(torn.checkpoints_path()).unwrap();
        fs::write(CheckpointDir::new(torn.checkpoints_path()).path(Step(10)), "half a checkpoint").unwrap();
        let (fine, text) = look();
        assert!(!fine && text.starts_with("`/runs`: 3 runs, 2 cannot be read"), "{text}");
        for (run, is_named) in [(&whole, false), (&damaged, true), (&torn, true)] {
            assert_eq!(text.contains(run.id().as_str()), is_named, "{text}");
        }
    }
}
