//! Plans, stores and runs for the tests of this module.

use std::path::Path;

use super::data_sources::{DataSources, SearchPath};
use super::execute::Task;
use super::provenance::Provenance;
use super::sweep;
use crate::plan::{self, CorpusFacts, CorpusFormat, Plan};
use crate::store::{RunDir, Store};
use crate::types::{ContentHash, Timestamp};

/// A store in `folder`, and no data.
pub fn sources(folder: &Path) -> DataSources {
    let store = Store::open(folder.join("runs")).expect("a new store");
    DataSources { search: SearchPath { experiment_dir: None, data_root: folder.join("data") }, store }
}

/// The plan of an experiment of 40 steps on the built-in corpus, `extra` added to it, which may sweep the steps.
pub fn plan(extra: &str) -> Plan {
    let steps = if extra.contains("train.steps") { "" } else { "steps = 40\n" };
    let text = format!(
        "[experiment]\nname = \"test\"\n[data]\ncorpus = \"demo\"\n[model]\npreset = \"nano\"\n[train]\n{steps}\
         eval_every = 10\n{extra}"
    );
    let alone = &mut |_: &str, _: &str| Err("stands on no file".to_owned());
    let experiment = plan::read(&text, "test.toml", &[], alone).unwrap_or_else(|e| panic!("{e:?}"));
    let hash = ContentHash::of(b"");
    let facts = CorpusFacts { hash, format: CorpusFormat::Demo, bytes: 1, documents: None };
    plan::plan(&experiment, |_| Ok::<_, String>(facts)).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The tasks of [`plan`].
pub fn tasks(extra: &str) -> Vec<Task> {
    tasks_of(&plan(extra))
}

/// The tasks of a plan.
pub fn tasks_of(plan: &Plan) -> Vec<Task> {
    sweep::tasks("test", &"valid/mlm_loss".parse().expect("a metric"), None, plan)
}

/// A planned run of the experiment with this seed.
pub fn new_run(store: &Store, seed: u64) -> RunDir {
    let spec = tasks(&format!("seed = {seed}\n")).remove(0).spec;
    let now = Timestamp::from_unix_millis(1_000);
    let provenance = Provenance::new(&spec, 1, &[], None, now);
    store.create_planned(&spec, &provenance.to_json(), now).expect("a new run")
}
