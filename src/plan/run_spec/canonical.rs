//! How a specification is written: as TOML beside its run, and as the canonical text whose hash is the identity of the run.
//!
//! The canonical form is one `key=value` line per leaf, sorted by key, with floats in one decimal spelling. Keys are those of
//! the experiment file, so that a run's leaves are what a person wrote: the variant of the stage is the key `stage`, and its
//! sections stand beside those that all runs have.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::leaves::{SpecError, StageName, collect_leaves, leaves_of, lines, refuse_unknown, to_json};
use super::sections::{DataSpec, ModelSpec, ObjectiveSpec, OptimizerSpec, ScheduleSpec, TokenizerSpec, TrainSpec};
use super::task::TaskSpec;
use super::v1::Original;
use super::{FinetuneSpec, ImportSpec, PretrainSpec, Role, RunSpec, SPEC_SCHEMA, Schema, StageSpec, Training};
use crate::experiment::{CodecError, keys, read_toml, write_toml};
use crate::types::{ContentHash, SpecHash};

/// The keys that name data for people; the identity of data is the hash of its bytes alone.
const LABEL_KEYS: [&str; 5] =
    ["data.corpus", "finetune.data", "finetune.test", "import.folder", "tokenizer.dictionary"];

/// The canonical value of every later key's default, by key: see [`keys::Key::is_later`].
static LATER_DEFAULTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut leaves = Vec::new();
    for (key, value) in keys::defaults().iter().filter(|(key, _)| key.is_later) {
        collect_leaves(key.name, &value.to_json().unwrap_or(Value::Null), &mut leaves);
    }
    leaves.into_iter().collect()
});

/// The file: every section that some stage has.
#[derive(Serialize, Deserialize)]
struct Written {
    schema: u32,
    numerics: u32,
    stage: StageName,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<DataSpec>,
    tokenizer: TokenizerSpec,
    model: ModelSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<ObjectiveSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimizer: Option<OptimizerSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<TrainSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finetune: Option<TaskSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<ImportSpec>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<Role, SpecHash>,
}

impl StageSpec {
    /// The stage by name.
    pub fn name(&self) -> StageName {
        match self {
            Self::Pretrain(_) => StageName::Pretrain,
            Self::Finetune(_) => StageName::Finetune,
            Self::Import(_) => StageName::Import,
        }
    }
}

impl Written {
    fn of(spec: &RunSpec) -> Self {
        let (mut objective, mut finetune, mut import) = (None, None, None);
        match &spec.stage {
            StageSpec::Pretrain(stage) => objective = Some(stage.objective.clone()),
            StageSpec::Finetune(stage) => finetune = Some(stage.task.clone()),
            StageSpec::Import(stage) => import = Some(stage.clone()),
        }
        let training = spec.training();
        Self {
            schema: SPEC_SCHEMA,
            numerics: spec.numerics,
            stage: spec.stage.name(),
            data: spec.data().cloned(),
            tokenizer: spec.tokenizer.clone(),
            model: spec.model.clone(),
            objective,
            optimizer: training.map(|training| training.optimizer.clone()),
            schedule: training.map(|training| training.schedule.clone()),
            train: training.map(|training| training.train.clone()),
            finetune,
            import,
            inputs: spec.inputs.clone(),
        }
    }

    /// The specification, if the file has the sections of its stage and no others.
    fn read(self) -> Result<RunSpec, SpecError> {
        let name = self.stage.as_str();
        let lacks = |table| SpecError::Stage { stage: name, problem: "needs", table };
        let training = match (self.optimizer, self.schedule, self.train) {
            (Some(optimizer), Some(schedule), Some(train)) => Ok(Training { optimizer, schedule, train }),
            (None, _, _) => Err(lacks("optimizer")),
            (_, None, _) => Err(lacks("schedule")),
            (_, _, None) => Err(lacks("train")),
        };
        let stage = match self.stage {
            StageName::Pretrain => StageSpec::Pretrain(Box::new(PretrainSpec {
                data: self.data.ok_or_else(|| lacks("data"))?,
                objective: self.objective.ok_or_else(|| lacks("objective"))?,
                training: training?,
            })),
            StageName::Finetune => {
                let training = training?;
                if !training.train.seq_len_warmup.is_empty() {
                    return Err(SpecError::UnknownKey { key: "train.seq_len_warmup".to_owned(), nearest: None });
                }
                let task = self.finetune.ok_or_else(|| lacks("finetune"))?;
                StageSpec::Finetune(Box::new(FinetuneSpec { data: self.data, task, training }))
            }
            StageName::Import => StageSpec::Import(self.import.ok_or_else(|| lacks("import"))?),
        };
        let Self { numerics, tokenizer, model, inputs, .. } = self;
        Ok(RunSpec { schema: Schema::Second, numerics, tokenizer, model, stage, inputs })
    }
}

/// A run's specification as it was stored, whichever schema it has.
impl Serialize for RunSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.schema {
            Schema::First(original) => original.json().serialize(serializer),
            Schema::Second => Written::of(self).serialize(serializer),
        }
    }
}

impl RunSpec {
    /// The specification as TOML, as it is kept beside a run.
    ///
    /// # Errors
    /// When a number is beyond TOML's: a seed or a count above 2^63 - 1.
    pub fn to_toml(&self) -> Result<String, CodecError> {
        match &self.schema {
            Schema::First(original) => Ok(original.text().to_owned()),
            Schema::Second => write_toml(&Written::of(self)),
        }
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote, in any order of its keys.
    ///
    /// # Errors
    /// When the text is no specification, is one of a later version, or has a key that would be ignored: a run that
    /// leaves something out of its specification would not be the same run.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        #[derive(Deserialize)]
        struct Header {
            schema: u32,
        }
        let Header { schema } = read_toml(text)?;
        match schema {
            ..=1 => Original::read(text),
            SPEC_SCHEMA => {
                let spec = read_toml::<Written>(text)?.read()?;
                refuse_unknown(text, &spec.leaves())?;
                Ok(spec)
            }
            found => Err(SpecError::FromTheFuture { found }),
        }
    }

    /// The identity of the run: the hash of [`canonical`](Self::canonical).
    pub fn hash(&self) -> SpecHash {
        SpecHash(ContentHash::of(self.canonical().as_bytes()))
    }

    /// One `key=value` line per leaf, sorted by key: the same text for the same science, on every machine.
    ///
    /// Floats are written as the shortest decimal that reads back the same, in scientific notation (`1e-4`), so that
    /// `0.10` and `0.1` agree; integers and floats of one value stay apart. Labels are left out, and so are the
    /// settings that came after the first schema where they have their default.
    pub fn canonical(&self) -> String {
        match &self.schema {
            Schema::First(original) => original.canonical(),
            Schema::Second => canonical_lines("", &to_json(&Written::of(self))),
        }
    }

    /// Every leaf as a dotted key and its canonical value, in the order of the fields: what `diff` compares.
    pub fn leaves(&self) -> Vec<(String, String)> {
        match &self.schema {
            Schema::First(original) => original.leaves().to_vec(),
            Schema::Second => leaves_of(&to_json(&Written::of(self))),
        }
    }
}

/// The canonical lines of the part of a specification below `key`.
pub(in crate::plan) fn canonical_lines(key: &str, part: &Value) -> String {
    let mut leaves = Vec::new();
    collect_leaves(key, part, &mut leaves);
    leaves.retain(|(key, value)| !LABEL_KEYS.contains(&key.as_str()) && LATER_DEFAULTS.get(key) != Some(value));
    lines(leaves)
}
