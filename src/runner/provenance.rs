//! Provenance: what a run was made with and by, for the day when two executions differ.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::{DeviceKind, RunSpec, TrainSpec};
use crate::store::{Event, RunDir, StoreError, StoredRun};
use crate::trainer::device;
use crate::types::{ContentHash, MetricName, SpecHash, Timestamp};

/// The version of the file's shape.
const PROVENANCE_SCHEMA: u32 = 1;

/// Everything about an execution that its specification does not say, but for the runs that it stands on: those are its
/// lineage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub schema: u32,
    pub spec_hash: SpecHash,
    /// The program that planned the run; who executed it is told by its [`Execution`]s.
    pub program: Program,
    /// The machine that planned the run, which need not be the one that executed it.
    pub machine: Machine,
    pub corpus: CorpusOrigin,
    /// What the person typed.
    pub command: Vec<String>,
    pub planned_at: Timestamp,
    /// The experiment that asked for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentOrigin>,
}

/// The name of the fact by which a worker says who executes its run. A run that is resumed has one more.
pub const EXECUTION_FACT: &str = "execution";

/// Who executes a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    pub program: Program,
    pub machine: Machine,
}

impl Execution {
    /// This program on this machine, computing as `train` says with the threads that it has.
    pub fn this(train: &TrainSpec) -> Self {
        let machine = Machine::this(rayon::current_num_threads(), train.device.name());
        Self { program: Program::this(), machine: Machine { isa: device::isa_of(train).into(), ..machine } }
    }

    /// Whether the bits of the other are those of this one.
    pub fn has_the_bits_of(&self, other: &Self) -> bool {
        self.program == other.program && self.machine.isa == other.machine.isa
    }

    fn read(fact: &Value) -> Option<Self> {
        serde_json::from_value(fact.clone()).ok()
    }

    /// Who executed `run`, each time that it was begun or resumed. Of a run that does not say so, who planned it.
    pub fn all_of(run: &RunDir) -> Result<Vec<Self>, StoreError> {
        let mut executions = Vec::new();
        for event in run.events()? {
            match event? {
                Event::Fact { name, value } if name == EXECUTION_FACT => executions.extend(Self::read(&value)),
                _ => {}
            }
        }
        if executions.is_empty() {
            let planned = serde_json::from_value::<Provenance>(run.read_provenance()?).ok();
            executions.extend(planned.map(|planned| Self { program: planned.program, machine: planned.machine }));
        }
        Ok(executions)
    }
}

/// The experiment that a run was first planned for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOrigin {
    pub name: String,
    /// The cell of the sweep: axis values by key.
    pub axes: Map<String, Value>,
    /// Which repetition of the cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicate: Option<u64>,
    /// The metric that decides in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricName>,
    /// The cell that its others are compared with, by key; empty where it names none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub baseline: Map<String, Value>,
    /// The smallest difference of its metric that is of interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negligible: Option<f64>,
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
    #[serde(rename = "beside")]
    pub experiment_dir: Option<PathBuf>,
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
            host: host(),
            os: os(),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: cores(),
            threads,
            device: device.into(),
            isa: device::kernel_isa().into(),
        }
    }
}

/// The name of this machine.
pub fn host() -> String {
    first_line(Path::new("/proc/sys/kernel/hostname")).unwrap_or_else(|| "unknown".into())
}

impl Provenance {
    /// The provenance of a run of `spec` that is planned now, here, by this program.
    pub fn new(
        spec: &RunSpec,
        threads: usize,
        command: &[String],
        experiment_dir: Option<&Path>,
        now: Timestamp,
    ) -> Self {
        let isa = spec.training().map_or_else(device::kernel_isa, |training| device::isa_of(&training.train));
        let device = spec.training().map_or(DeviceKind::Flex, |training| training.train.device);
        Self {
            schema: PROVENANCE_SCHEMA,
            spec_hash: spec.hash(),
            program: Program::this(),
            machine: Machine { isa: isa.into(), ..Machine::this(threads, device.name()) },
            corpus: CorpusOrigin { hash: spec.corpus_hash(), experiment_dir: experiment_dir.map(Path::to_owned) },
            command: command.to_vec(),
            planned_at: now,
            experiment: None,
        }
    }

    /// The provenance of a stored run, with the program and the machine that executed it last. `None` where it cannot be
    /// read.
    pub fn of(run: &StoredRun) -> Option<Self> {
        let planned: Self = serde_json::from_value(run.provenance.clone()).ok()?;
        let executed = run.history.facts.get(EXECUTION_FACT).and_then(Execution::read);
        Some(match executed {
            Some(Execution { program, machine }) => Self { program, machine, ..planned },
            None => planned,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::types::RunId;

    /// A run that is planned here and executed elsewhere differs from one that is executed here.
    #[test]
    fn the_worker_says_who_executed_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let train = testing::tasks("").remove(0).spec.train().clone();
        let executed_by = |hosts: &[&str]| {
            let run = testing::new_run(&store, 1);
            let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
            for host in hosts {
                let mut execution = Execution::this(&train);
                execution.machine.host = (*host).to_owned();
                let value = serde_json::to_value(execution).unwrap();
                log.append(&Event::Fact { name: EXECUTION_FACT.into(), value }).unwrap();
            }
            run.id().clone()
        };
        let [first, second, planned] = [&["a", "node-7"][..], &["node-9"], &[]].map(executed_by);
        let provenance = |id: &RunId| Provenance::of(&store.load(id).unwrap()).unwrap();
        let hosts = |key: &str, a: &str, b: &str| vec![(key.to_owned(), a.to_owned(), b.to_owned())];
        let differences = provenance(&first).differences(&provenance(&second));
        assert_eq!(differences, hosts("machine.host", "node-7", "node-9"), "the last execution counts");
        assert_eq!(provenance(&planned).machine.host, Machine::this(1, "flex").host, "else who planned it");
        let all = |id| Execution::all_of(&store.run(id).unwrap()).unwrap();
        assert_eq!(all(&first).iter().map(|one| one.machine.host.as_str()).collect::<Vec<_>>(), ["a", "node-7"]);
        assert_eq!(all(&planned).len(), 1);
        assert!(all(&first)[0].has_the_bits_of(&all(&second)[0]));
    }

    /// The names in the file are those of the first version, for ever.
    #[test]
    fn a_provenance_reads_back_by_its_old_names() {
        let spec = testing::tasks("").remove(0).spec;
        let now = Timestamp::from_unix_millis(5);
        let provenance = Provenance::new(&spec, 2, &["ablate".to_owned()], Some(Path::new("/here")), now);
        let json = provenance.to_json();
        assert_eq!(json["corpus"]["beside"], "/here");
        assert_eq!(serde_json::from_value::<Provenance>(json).unwrap(), provenance);
    }
}
