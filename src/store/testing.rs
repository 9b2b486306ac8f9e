//! Runs, logs and stores for the tests of this module.

use proptest::prelude::*;

use std::collections::BTreeMap;

use super::event::{ChainDigest, Event, LoggedPoint, Metrics, RunState};
use super::event_log::{Binding, EventLog};
use super::frame::Writer;
use super::{RunDir, RunQuery, Store, StoreError};
use crate::plan::RunSpec;
use crate::types::{ContentHash, MetricName, Seed, Step, Timestamp};

/// An empty store in a folder that goes with the test.
pub fn new_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().join("runs")).expect("an empty store");
    (folder, store)
}

/// A store of three runs: planned, with a life, and a guest's parameters and points in it.
pub fn store_of_samples() -> (tempfile::TempDir, Store) {
    let (folder, store) = new_store();
    for seed in 1..=3 {
        let provenance = serde_json::json!({ "experiment": "pilot", "cpu": "x", "git": { "dirty": true } });
        let run = create(&store, &spec(seed, 0.3), &provenance, at(0)).expect("a planned run");
        let mut log = run.open_log(&run.acquire_lease().expect("nobody has it")).expect("its log");
        for event in sample_events().into_iter().skip(1) {
            log.append(&event).expect("an appended record");
        }
    }
    (folder, store)
}

/// The lines of a log, each with its seal, whatever they say.
pub fn sealed(lines: &[Vec<u8>]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("events.log");
    let mut log = Writer::create(&path).expect("a new log");
    for (number, line) in lines.iter().enumerate() {
        if number == 0 { log.header(line) } else { log.append(line) }.expect("an appended line");
    }
    std::fs::read(&path).expect("the log")
}

/// Makes a planned run that stands on no other.
pub fn create(
    store: &Store,
    spec: &RunSpec,
    provenance: &serde_json::Value,
    now: Timestamp,
) -> Result<RunDir, StoreError> {
    store.create_planned(spec, provenance, now)
}

pub fn metric(name: &str) -> MetricName {
    name.parse().expect("a valid metric name")
}

/// A query, typed at the beginning of 1970.
pub fn asked(text: &str) -> RunQuery {
    RunQuery::parse(text, at(0)).unwrap_or_else(|error| panic!("{error}"))
}

pub fn at(unix_millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(unix_millis)
}

pub fn state(state: RunState, unix_millis: i64) -> Event {
    Event::State { state, reason: None, at: at(unix_millis) }
}

pub fn step(step: u64, loss: f64) -> Event {
    let metrics = Metrics(vec![(metric("train/loss"), loss), (metric("train/lr"), 1e-4)]);
    Event::Step { step: Step(step), chain: ChainDigest(step ^ loss.to_bits()), metrics }
}

pub fn evaluation(step: u64, loss: f64) -> Event {
    Event::Evaluation { step: Step(step), metrics: Metrics(vec![(metric("valid/mlm_loss"), loss)]) }
}

pub fn checkpoint(step: u64) -> Event {
    let weights = ContentHash::of(&step.to_le_bytes());
    Event::Checkpoint { step: Step(step), file: format!("step-{step:08}.safetensors"), weights }
}

pub fn fact(name: &str, value: impl Into<serde_json::Value>) -> Event {
    Event::Fact { name: name.to_owned(), value: value.into() }
}

/// A short life with one of each kind of record; no value is NaN, so that events can be compared.
pub fn sample_events() -> Vec<Event> {
    vec![
        state(RunState::Planned, 1_000),
        state(RunState::Running, 2_000),
        fact("parameters", 1_052_256),
        step(1, 9.0625),
        step(2, f64::INFINITY),
        evaluation(2, 0.1 + 0.2),
        checkpoint(2),
        step(3, -0.0),
        Event::Warning { text: "손실이 커졌다".to_owned() },
        Event::State { state: RunState::Interrupted, reason: Some("Ctrl-C at step 3".to_owned()), at: at(5_000) },
        Event::Resumed { step: Step(2), at: at(6_000) },
        Event::Parameters { parameters: BTreeMap::from([("lr".to_owned(), 1e-4.into())]) },
        Event::Points { points: vec![point("accuracy", -1, -0.0), point("Loss (한국어)", 3, f64::NEG_INFINITY)] },
        state(RunState::Finished, 9_000),
    ]
}

/// What a guest measured at a time of its own.
pub fn point(key: &str, step: i64, value: f64) -> LoggedPoint {
    LoggedPoint { key: metric(key), step, at: (step > 0).then(|| at(step)), value }
}

/// What the log of [`sample_events`] is bound to.
pub fn sample_binding() -> Binding {
    let run = "7h2kq9xw".parse().expect("a run id");
    Binding { run, spec: None, files: BTreeMap::from([("params.json".to_owned(), ContentHash::of(b"{}"))]) }
}

/// The bytes of the log of [`sample_events`].
pub fn sample_log() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("events.log");
    let mut log = EventLog::create(&path, &sample_binding()).expect("a new log");
    for event in sample_events() {
        log.append(&event).expect("an appended record");
    }
    std::fs::read(&path).expect("the log")
}

/// Up to `max` records of the kinds that the resume rule is about, in any order.
pub fn any_events(max: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = (0..5u8, 0..8u64, -3..3i8).prop_map(|(kind, at_step, value)| match kind {
        0 | 1 => step(at_step, f64::from(value)),
        2 => evaluation(at_step, f64::from(value)),
        3 => checkpoint(at_step),
        _ => Event::Resumed { step: Step(at_step), at: at(0) },
    });
    prop::collection::vec(event, 0..max)
}

/// A specification that differs from others by its seed and mask ratio.
pub fn spec(seed: u64, mask_ratio: f64) -> RunSpec {
    let mut spec = RunSpec::from_toml(SPEC).expect("a valid specification");
    spec.train_mut().seed = Seed(seed);
    spec.objective_mut().mask_ratio = mask_ratio;
    spec
}

const SPEC: &str = r#"
schema = 2
numerics = 2
stage = "pretrain"
data = { corpus = "demo", corpus_hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", format = "demo", text_field = "text", valid_fraction = 0.05, demo = { documents = 2000, seed = 0 } }
tokenizer = { kind = "wordpiece", vocab_size = 8007, min_frequency = 2, limit_alphabet = 6000, lowercase = false }
objective = { mask_ratio = 0.15, mask_token_prob = 0.8, random_token_prob = 0.1, masking = { copies = 10 }, nsp = "random", nsp_negative_prob = 0.5, short_seq_prob = 0.1 }
optimizer = { kind = "adamw", lr = 1e-4, betas = [0.9, 0.999], eps = 1e-12, weight_decay = 0.01 }
schedule = { kind = "linear", warmup_ratio = 0.1 }

[model]
hidden_size = 64
num_hidden_layers = 2
num_attention_heads = 4
attention_head_size = 16
intermediate_size = 256
max_position_embeddings = 128
type_vocab_size = 2
hidden_act = "gelu"
hidden_dropout_prob = 0.1
attention_probs_dropout_prob = 0.1
initializer_range = 0.02
layer_norm_eps = 1e-12
position_embedding_type = "absolute"
norm_position = "post"
embedding_layer_norm = true
tie_word_embeddings = true
mlm_head_transform = true
mlm_head_bias = true
nsp_head_bias = true

[train]
steps = 300
batch_size = 16
seq_len = 64
eval_every = 100
eval_instances = 64
checkpoint_every = 100
keep_checkpoints = 2
seed = 1
device = "flex"
isa = "native"
"#;
