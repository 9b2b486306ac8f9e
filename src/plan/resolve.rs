//! The settings of a cell, the facts of its corpus and its luck, to a [`RunSpec`].
//!
//! A setting's key is the path of its field in the specification, so that resolving is reading: the settings become a
//! tree of JSON, and the tree becomes the specification. What is resolved beyond that is here, and short: the corpus, the
//! width of a head, the seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use super::estimate::{step_flops, training_flops};
use super::luck::{Luck, redrawing};
use super::run_spec::{
    CorpusFormat, DataSpec, DemoSpec, FinetuneSpec, ModelSpec, NUMERICS, ObjectiveSpec, OptimizerSpec, PretrainSpec,
    Role, RunSpec, SPEC_SCHEMA, ScheduleSpec, StageSpec, Start, Task, TaskSpec, TokenizerKind, TokenizerSpec,
    TrainLength, TrainSpec, Training, canonical_lines,
};
use crate::experiment::{Budget, Diagnostic, Setting, Settings, Value, keys, problem};
use crate::types::{ContentHash, ContentHasher, Seed, SpecHash};

/// A corpus as an experiment names it: all that its bytes depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorpusRef {
    /// `demo`, a path or a glob, as written.
    pub name: String,
    /// The format, unless it is to be found out from the text.
    pub format: Option<CorpusFormat>,
    /// The field of a JSON line that holds the text.
    pub text_field: String,
    /// Settings of the built-in corpus, when it is that.
    pub demo: Option<DemoSpec>,
}

/// What is known of a corpus once it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorpusFacts {
    /// The hash of its bytes (of the generator's settings for `demo`).
    pub hash: ContentHash,
    pub format: CorpusFormat,
    pub bytes: u64,
    /// How many documents it has, where they were counted.
    pub documents: Option<u64>,
}

/// Labelled examples as an experiment names them: all that their labels depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExamplesRef {
    pub task: Task,
    /// The file to learn from, as written.
    pub data: String,
    /// The file to be judged by at the end.
    pub test: Option<String>,
    pub text_column: String,
    pub pair_column: Option<String>,
    pub label_column: String,
}

/// What is known of labelled examples once they were looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExamplesFacts {
    /// The hash of the bytes to learn from.
    pub data_hash: ContentHash,
    /// The hash of the bytes to be judged by.
    pub test_hash: Option<ContentHash>,
    /// All labels, in the order of their numbers.
    pub labels: Vec<String>,
}

impl ExamplesRef {
    /// The examples of a cell, where it has a task.
    pub fn of(settings: &Settings<'_>) -> Option<Self> {
        let text = |key: &str| settings.text(key).map(str::to_owned);
        let known = "invariant: a released experiment names its examples";
        Some(Self {
            task: Task::of(settings)?,
            data: text("finetune.data").expect(known),
            test: text("finetune.test"),
            text_column: text("finetune.text_column").expect(known),
            pair_column: text("finetune.pair_column"),
            label_column: text("finetune.label_column").expect(known),
        })
    }
}

impl CorpusRef {
    /// The corpus of a cell.
    pub fn of(settings: &Settings<'_>) -> Self {
        let text =
            |key: &str| settings.text(key).expect("invariant: a released experiment names its corpus").to_owned();
        let number = |key: &str| settings.integer(key).map_or(0, i64::unsigned_abs);
        let name = text("data.corpus");
        let is_demo = name == "demo";
        let format = serde_json::from_value(json!(text("data.format"))).ok();
        let demo = DemoSpec { documents: number("data.demo_documents"), seed: number("data.demo_seed") };
        Self {
            name,
            format: if is_demo { Some(CorpusFormat::Demo) } else { format },
            text_field: text("data.text_field"),
            demo: is_demo.then_some(demo),
        }
    }
}

impl CorpusFacts {
    /// A corpus is cut into train and valid by document, so it needs two.
    pub(super) fn check(self) -> Result<Self, String> {
        match self.documents {
            Some(documents) if documents < 2 => {
                Err(format!("the corpus has {documents} document(s), and needs at least 2"))
            }
            _ if self.bytes == 0 => Err("the corpus is empty".to_owned()),
            _ => Ok(self),
        }
    }
}

/// An error at the place that names the corpus.
pub(super) fn blame_corpus(settings: &Settings<'_>, message: String) -> Diagnostic {
    let place = settings.get("data.corpus").and_then(|setting| setting.place.clone());
    Diagnostic::error(&problem::UNREADABLE_CORPUS, message).at(place.unwrap_or((0..0).into()), "this corpus")
}

/// An error at the place that names the labelled examples.
pub(super) fn blame_examples(settings: &Settings<'_>, message: String) -> Diagnostic {
    let place = settings.get("finetune.data").and_then(|setting| setting.place.clone());
    Diagnostic::error(&problem::UNREADABLE_EXAMPLES, message).at(place.unwrap_or((0..0).into()), "these examples")
}

/// An error at the place that names the dictionary.
pub(super) fn blame_dictionary(settings: &Settings<'_>, message: String) -> Diagnostic {
    let place = settings.get("tokenizer.dictionary").and_then(|setting| setting.place.clone());
    Diagnostic::error(&problem::UNREADABLE_DICTIONARY, message).at(place.unwrap_or((0..0).into()), "this dictionary")
}

/// An error at the place that names the run to start from: `key`.
pub(super) fn blame_run(settings: &Settings<'_>, key: &str, message: String) -> Diagnostic {
    at_run(settings, key, Diagnostic::error(&problem::UNREADABLE_RUN, message))
}

fn at_run(settings: &Settings<'_>, key: &str, problem: Diagnostic) -> Diagnostic {
    let place = settings.get(key).and_then(|setting| setting.place.clone());
    problem.at(place.unwrap_or((0..0).into()), "this run")
}

/// An error where sequences of the stage whose keys begin with `stage` may be longer than the stored run named under `key` has
/// positions for.
pub(super) fn blame_length(settings: &Settings<'_>, stage: &str, key: &str, stored: &RunSpec) -> Option<Diagnostic> {
    let section = format!("{stage}train");
    let (length, positions) = (settings.integer(&format!("{section}.seq_len"))?, stored.model.max_position_embeddings);
    if length.unsigned_abs() <= positions as u64 {
        return None;
    }
    let message = format!("`{section}.seq_len` {length} is longer than that run has positions for: {positions}");
    let problem = at_run(settings, key, Diagnostic::error(&problem::SEQUENCE_TOO_LONG, message));
    Some(problem.help(format!("write seq_len = {positions} under [{section}], or less")))
}

/// An error where merges of a stored run's tokenizer are to be left out, and it has none.
pub(super) fn blame_tokenizer(settings: &Settings<'_>, key: &str, stored: &RunSpec) -> Option<Diagnostic> {
    let (dropout, kind) = (settings.float("finetune.bpe_dropout")?, stored.tokenizer.kind);
    if dropout == 0.0 || kind == TokenizerKind::Bpe {
        return None;
    }
    let message = format!("`finetune.bpe_dropout` {dropout} leaves out merges, and that run's tokenizer has none");
    let problem = at_run(settings, key, Diagnostic::error(&problem::NO_MERGES, message));
    Some(problem.help("take bpe_dropout out, or name a run whose `tokenizer.kind` is bpe"))
}

/// An error where a stored run has no head that pretraining goes on with.
pub(super) fn blame_stage(settings: &Settings<'_>, stored: &RunSpec) -> Option<Diagnostic> {
    stored.task()?;
    let message = "that run was fine-tuned, and has no head that predicts tokens".to_owned();
    Some(blame_run(settings, "train.run", message).help("name the run that it was fine-tuned from"))
}

/// The steps of a run that a budget pays for.
fn steps_for(budget: &Budget, spec: &RunSpec, train: &TrainSpec) -> u64 {
    let tokens = train.positions_a_step() as f64;
    let steps = budget.steps(tokens, step_flops(spec, train));
    if train.seq_len_warmup.is_empty() {
        return steps;
    }
    // Lengths change at whole steps, so that a run costs a little more or less than so many steps of the mean.
    const NEAR: u64 = 16;
    let mut spec = spec.clone();
    let mut is_paid = |steps: u64| {
        if let Some(training) = spec.training_mut() {
            training.train.length = TrainLength::Steps(steps);
        }
        budget.steps(tokens * steps as f64, training_flops(&spec, steps)) > 0
    };
    let near = steps.saturating_sub(NEAR)..=steps.saturating_add(NEAR);
    near.rev().find(|&steps| is_paid(steps)).unwrap_or(steps)
}

/// An error where a budget does not pay for one step.
pub(super) fn blame_budget(settings: &Settings<'_>, spec: &RunSpec) -> Option<Diagnostic> {
    let setting = settings.get("train.budget")?;
    let Value::Budget(budget) = &setting.value else { return None };
    let train = &spec.training()?.train;
    if steps_for(budget, spec, train) > 0 {
        return None;
    }
    let problem =
        Diagnostic::error(&problem::BUDGET_TOO_SMALL, format!("`train.budget` {budget} does not pay for one step"));
    let tokens = train.positions_a_step();
    let help = format!("a step takes {tokens} tokens and {:.2e} FLOPs", step_flops(spec, train));
    Some(problem.at(setting.place.clone().unwrap_or((0..0).into()), "this budget").help(help))
}

/// Makes specifications, section by section.
///
/// The cells of a large sweep differ in few settings, so most sections of most cells have been made before: they are
/// kept, with their lines of the canonical form, under the settings in which cells differ.
#[derive(Default)]
pub(super) struct Resolver {
    data: Memo<DataSpec>,
    tokenizer: Memo<TokenizerSpec>,
    model: Memo<ModelSpec>,
    objective: Memo<ObjectiveSpec>,
    optimizer: Memo<OptimizerSpec>,
    schedule: Memo<ScheduleSpec>,
    train: Memo<TrainSpec>,
}

type Memo<T> = BTreeMap<String, Part<T>>;

struct Part<T> {
    value: T,
    canonical: String,
    /// The lines of it that re-draw luck.
    redrawing: String,
}

/// What [train] holds before luck is known.
const NO_SEED: Seed = Seed(0);

impl Resolver {
    /// The specification of one run, and its identity; `dictionary` is the hash of the tokenizer's.
    pub(super) fn spec(
        &mut self,
        settings: &Settings<'_>,
        facts: &CorpusFacts,
        dictionary: Option<ContentHash>,
        luck: Luck,
    ) -> (RunSpec, SpecHash) {
        let data = part(&mut self.data, "data", settings, "", |fields| {
            fields.insert("corpus_hash".to_owned(), json!(facts.hash));
            fields.insert("format".to_owned(), json!(facts.format));
            if let Some(demo) = CorpusRef::of(settings).demo {
                fields.insert("demo".to_owned(), json!(demo));
            }
        });
        let model = part(&mut self.model, "model", settings, "", |fields| {
            let width = |key| settings.integer(key).unwrap_or(1);
            let of_one_head = width("model.hidden_size") / width("model.num_attention_heads");
            fields.entry("attention_head_size").or_insert(json!(of_one_head));
        });
        let nothing = |_: &mut Map<String, Json>| ();
        let objective = part(&mut self.objective, "objective", settings, "", nothing);
        let optimizer = part(&mut self.optimizer, "optimizer", settings, "", nothing);
        let schedule = part(&mut self.schedule, "schedule", settings, "", nothing);
        let tokenizer = part(&mut self.tokenizer, "tokenizer", settings, "", |fields| {
            fields.extend(dictionary.map(|hash| ("dictionary_hash".to_owned(), json!(hash))));
        });
        let train = part(&mut self.train, "train", settings, "", |fields| {
            fields.insert("seed".to_owned(), json!(NO_SEED));
            fields.remove("run");
            if fields.remove("budget").is_some() {
                fields.insert("steps".to_owned(), json!(1));
            }
        });
        let has_budget = settings.get("train.budget").is_some();
        let plot = [&data.redrawing, &model.redrawing, &objective.redrawing, &tokenizer.redrawing, &train.redrawing];
        let seed = luck.seed(|| plot.map(String::as_str).concat());
        let seed_line = |seed: Seed| canonical_lines("train", &json!({ "seed": seed }));
        let train_lines = train.canonical.replacen(&seed_line(NO_SEED), &seed_line(seed), 1);
        let train = TrainSpec { seed, ..train.value.clone() };
        let head = canonical_lines("", &json!({ "schema": SPEC_SCHEMA, "stage": "pretrain" }));
        let mut hasher = ContentHasher::new();
        let training =
            Training { optimizer: optimizer.value.clone(), schedule: schedule.value.clone(), train: train.clone() };
        let (data_spec, objective_spec) = (data.value.clone(), objective.value.clone());
        let pretrain = PretrainSpec { data: data_spec, objective: objective_spec, training };
        let stage = StageSpec::Pretrain(Box::new(pretrain));
        let mut spec = RunSpec::new(tokenizer.value.clone(), model.value.clone(), stage, BTreeMap::new());
        if has_budget {
            spend(settings, &mut spec);
            let hash = spec.hash();
            return (spec, hash);
        }
        let numerics = canonical_lines("", &json!({ "numerics": NUMERICS }));
        for lines in [&data.canonical, &model.canonical, &numerics, &objective.canonical, &optimizer.canonical] {
            hasher.update(lines.as_bytes());
        }
        for lines in [&schedule.canonical, &head, &tokenizer.canonical, &train_lines] {
            hasher.update(lines.as_bytes());
        }
        (spec, SpecHash(hasher.finish()))
    }

    /// The specification of pretraining that goes on from what `before` is, and its identity.
    pub(super) fn pretrain_further(
        &mut self,
        settings: &Settings<'_>,
        facts: &CorpusFacts,
        before: &RunSpec,
        luck: Luck,
    ) -> (RunSpec, SpecHash) {
        let (mut spec, _) = self.spec(settings, facts, None, Luck::Given(NO_SEED));
        spec.tokenizer.clone_from(&before.tokenizer);
        spec.model.clone_from(&before.model);
        spec.inputs = BTreeMap::from([(Role::Weights, before.hash())]);
        // A step of that model has a price of its own.
        spend(settings, &mut spec);
        let seed = luck.seed(|| redrawing(&spec.canonical()));
        if let Some(training) = spec.training_mut() {
            training.train.seed = seed;
        }
        let hash = spec.hash();
        (spec, hash)
    }

    /// The specification of fine-tuning what `before` is, and its identity.
    pub(super) fn finetune(
        &mut self,
        settings: &Settings<'_>,
        examples: &ExamplesFacts,
        before: &RunSpec,
        before_hash: SpecHash,
        luck: Luck,
    ) -> (RunSpec, SpecHash) {
        const STAGE: &str = "finetune";
        let nothing = |_: &mut Map<String, Json>| ();
        let mut fields = fields(settings, STAGE);
        fields.remove("run");
        fields.insert("data_hash".to_owned(), json!(examples.data_hash));
        fields.insert("labels".to_owned(), json!(examples.labels));
        if let Some(hash) = examples.test_hash {
            fields.insert("test_hash".to_owned(), json!(hash));
        }
        let task: TaskSpec = read(fields);
        let (optimizer, schedule) = ("finetune.optimizer", "finetune.schedule");
        let optimizer = part(&mut self.optimizer, optimizer, settings, STAGE, nothing).value.clone();
        let schedule = part(&mut self.schedule, schedule, settings, STAGE, nothing).value.clone();
        // What both stages have in common is said once, under [train].
        let mut shared = self::fields(settings, "train");
        shared.retain(|leaf, _| keys::SHARED_BY_STAGES.contains(&leaf.as_str()));
        shared.insert("seed".to_owned(), json!(NO_SEED));
        let its = format!("{STAGE} {}", json!(shared));
        let train = part(&mut self.train, "finetune.train", settings, &its, |fields| fields.extend(shared));
        let training = Training { optimizer, schedule, train: train.value.clone() };
        let inputs = match task.start {
            Start::Pretrained => BTreeMap::from([(Role::Weights, before_hash)]),
            // Whatever pretraining would have been, it is none of this run.
            Start::Random => BTreeMap::new(),
        };
        let stage = StageSpec::Finetune(Box::new(FinetuneSpec { data: before.data().cloned(), task, training }));
        let mut spec = RunSpec::new(before.tokenizer.clone(), before.model.clone(), stage, inputs);
        let seed = luck.seed(|| redrawing(&spec.canonical()));
        if let Some(training) = spec.training_mut() {
            training.train.seed = seed;
        }
        let hash = spec.hash();
        (spec, hash)
    }
}

/// Gives a run the steps that its budget pays for, where it has one.
fn spend(settings: &Settings<'_>, spec: &mut RunSpec) {
    let Some(Value::Budget(budget)) = settings.get("train.budget").map(|setting| &setting.value) else { return };
    let steps = steps_for(budget, spec, spec.train()).max(1);
    if let Some(training) = spec.training_mut() {
        training.train.length = TrainLength::Steps(steps);
    }
}

/// What the settings say of a section, as a tree.
fn fields(settings: &Settings<'_>, section: &str) -> Map<String, Json> {
    let all = settings.iter().filter(|(name, _)| keys::split(name).0 == section);
    let field = |(name, setting): (&str, &Setting)| Some((keys::split(name).1.to_owned(), setting.value.to_json()?));
    all.filter_map(field).collect()
}

fn read<T: DeserializeOwned>(fields: Map<String, Json>) -> T {
    serde_json::from_value(Json::Object(fields)).expect("invariant: the key table and the specification agree")
}

/// A section of the specification, `complete`d with what is no setting; `more` tells sections apart that differ in that.
fn part<'m, T: Serialize + DeserializeOwned>(
    memo: &'m mut Memo<T>,
    section: &str,
    settings: &Settings<'_>,
    more: &str,
    complete: impl FnOnce(&mut Map<String, Json>),
) -> &'m Part<T> {
    let mut own = more.to_owned();
    for (name, setting) in settings.own().filter(|(name, _)| keys::split(name).0 == section) {
        let _ = write!(own, "\n{name}={}", setting.value);
    }
    memo.entry(own).or_insert_with(|| {
        let mut fields = fields(settings, section);
        complete(&mut fields);
        let value: T = read(fields);
        let tree = serde_json::to_value(&value).expect("invariant: a spec holds only finite numbers and string keys");
        let canonical = canonical_lines(section, &tree);
        Part { redrawing: redrawing(&canonical), canonical, value }
    })
}
