//! Provenance: what a run was made with and by, for the day when two executions differ.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::RunSpec;
use crate::trainer::device;
use crate::types::{ContentHash, SpecHash, Timestamp};

/// The version of the file's shape.
const PROVENANCE_SCHEMA: u32 = 1;

/// Everything about an execution that its specification does not say, but for the runs that it stands on: those are its
/// lineage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub schema: u32,
    pub spec_hash: SpecHash,
    pub program: Program,
    pub machine: Machine,
    pub corpus: CorpusOrigin,
    /// What the person typed.
    pub command: Vec<String>,
    pub planned_at: Timestamp,
    /// The experiment that asked for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentOrigin>,
}

/// The experiment that a run was first planned for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOrigin {
    pub name: String,
    /// The cell of the sweep: axis values by key.
    pub axes: Map<String, Value>,
}

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub version: String,
    pub commit: String,
    /// Whether the sources had changes that are not in the commit.
    pub dirty: bool,
    pub rustc: String,
    pub lock_hash: String,
    pub target: String,
    pub profile: String,
}

/// The machine that it ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    pub os: String,
    pub cpu: String,
    pub cores: usize,
    /// Threads that the run computes with.
    pub threads: usize,
    pub device: String,
    /// The instruction set that the matrix kernels ran with.
    pub isa: String,
}

/// The corpus, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusOrigin {
    pub hash: ContentHash,
    /// The folder of the experiment file, where a relative path is looked up first.
    pub beside: Option<PathBuf>,
}

impl Program {
    /// This program, as it was built.
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("ABLATE_COMMIT").into(),
            dirty: env!("ABLATE_DIRTY") == "true",
            rustc: env!("ABLATE_RUSTC").into(),
            lock_hash: env!("ABLATE_LOCK_HASH").into(),
            target: env!("ABLATE_TARGET").into(),
            profile: env!("ABLATE_PROFILE").into(),
        }
    }
}

impl Machine {
    /// This machine, for a run that computes with `threads` threads on `device`.
    pub fn this(threads: usize, device: &str) -> Self {
        Self {
            host: first_line(Path::new("/proc/sys/kernel/hostname")).unwrap_or_else(|| "unknown".into()),
            os: os(),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: cores(),
            threads,
            device: device.into(),
            isa: device::kernel_isa().into(),
        }
    }
}

impl Provenance {
    /// The provenance of a run of `spec` that is planned now, here, by this program.
    pub fn new(spec: &RunSpec, threads: usize, command: &[String], beside: Option<&Path>, now: Timestamp) -> Self {
        Self {
            schema: PROVENANCE_SCHEMA,
            spec_hash: spec.hash(),
            program: Program::this(),
            machine: Machine::this(threads, spec.train.device.name()),
            corpus: CorpusOrigin { hash: spec.data.corpus_hash, beside: beside.map(Path::to_owned) },
            command: command.to_vec(),
            planned_at: now,
            experiment: None,
        }
    }

    /// As the store keeps it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("invariant: provenance holds only text and integers")
    }

    /// What differs between two executions that could make them differ: dotted key, this value, the other's.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let leaves = |p: &Self| {
            let mut leaves = Vec::new();
            let json = p.to_json();
            for section in ["program", "machine", "corpus"] {
                let fields = json[section].as_object().cloned().unwrap_or_default();
                leaves.extend(fields.into_iter().map(|(key, value)| (format!("{section}.{key}"), text(&value))));
            }
            leaves
        };
        let pairs = leaves(self).into_iter().zip(leaves(other));
        pairs.filter(|(a, b)| a.1 != b.1).map(|((key, a), (_, b))| (key, a, b)).collect()
    }
}

/// Logical cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn first_line(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.trim().to_owned())
}

fn os() -> String {
    match first_line(Path::new("/proc/sys/kernel/osrelease")) {
        Some(release) => format!("{} {release}", std::env::consts::OS),
        None => std::env::consts::OS.into(),
    }
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
