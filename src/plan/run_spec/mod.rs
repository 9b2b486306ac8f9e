//! `RunSpec`: the fully resolved configuration of one run.
//!
//! Everything that shapes the numbers of a run is in here and nothing else is: no path of a machine, no thread count. What all
//! runs have stands in [`RunSpec`], what only a stage has in its variant of [`StageSpec`], and what a run is made from is named
//! by role and hash in [`RunSpec::inputs`]. How it is written, and what its identity is, stands in `canonical`; how runs were
//! written before, in `v1`.

mod canonical;
pub mod later;
mod leaves;
mod lengths;
mod recipe;
mod sections;
mod task;
mod v1;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use canonical::canonical_lines;
pub use leaves::SpecError;
pub use lengths::LengthStage;
pub use recipe::Recipe;
pub use sections::{
    Activation, Architecture, BiasInit, ClipScope, CorpusFormat, DataSpec, DecayExempt, DemoSpec, DeviceKind, Isa,
    MaskDice, Masking, MlmMean, ModelSpec, NormPosition, NormType, Nsp, ObjectiveSpec, OptimizerKind, OptimizerSpec,
    Packing, PositionEmbedding, ScheduleKind, ScheduleSpec, TokenizerKind, TokenizerSpec, TrainLength, TrainSpec,
    Warmup,
};
pub use task::{Answers, Encoder, Fold, HeadKind, Pooling, Start, Task, TaskSpec};

use crate::types::{ContentHash, Seed, SpecHash};

/// The version of the specification's shape. Readers accept every version up to this one; writers write this one.
pub const SPEC_SCHEMA: u32 = 2;

/// The version of the arithmetic: the partitions, the orders of sums and the numbering of random draws that the bits of a run
/// rest on. It is raised whenever the same specification would come out with other bits, so that old results are never
/// taken for new ones. 1: sequences padded to the longest of the batch; 2: sequences end to end.
pub const NUMERICS: u32 = 2;

/// The fully resolved configuration of one run: no defaults left to fill.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec {
    /// What it is written as, and what its identity is the hash of.
    pub schema: Schema,
    /// [`NUMERICS`] of the program that planned the run.
    pub numerics: u32,
    pub tokenizer: TokenizerSpec,
    pub model: ModelSpec,
    pub stage: StageSpec,
    /// The runs that this one is made from, by what they are to it.
    pub inputs: BTreeMap<Role, SpecHash>,
}

/// The shape that a specification is written in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Schema {
    /// As it was stored under schema 1: its text is its identity for ever.
    First(Arc<v1::Original>),
    /// [`SPEC_SCHEMA`].
    #[default]
    Second,
}

/// What a run does with its model, and all that only such a run has.
#[derive(Clone, Debug, PartialEq)]
pub enum StageSpec {
    /// Masked-language-model pretraining from random weights.
    Pretrain(Box<PretrainSpec>),
    /// Training for a task, from another run's weights or from random ones.
    Finetune(Box<FinetuneSpec>),
    /// A model from elsewhere, taken in as it is.
    Import(ImportSpec),
}

/// What a run is to one that is made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its last weights are the first of the other, which reads with its tokenizer.
    Weights,
}

/// Masked-language-model pretraining.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainSpec {
    pub data: DataSpec,
    pub objective: ObjectiveSpec,
    pub training: Training,
}

/// Training for a task.
#[derive(Clone, Debug, PartialEq)]
pub struct FinetuneSpec {
    /// The corpus that the tokenizer is trained on; absent where the tokenizer was imported.
    pub data: Option<DataSpec>,
    pub task: TaskSpec,
    pub training: Training,
}

/// A model from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// The name of the folder that it came in. A label: not part of the identity.
    pub folder: String,
    /// The hash of the folder's files.
    pub hash: ContentHash,
    /// Whether it has a head for next-sentence prediction.
    pub nsp_head: bool,
}

/// How a stage trains.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub optimizer: OptimizerSpec,
    pub schedule: ScheduleSpec,
    pub train: TrainSpec,
}

impl RunSpec {
    /// A specification that is planned by this program.
    pub fn new(tokenizer: TokenizerSpec, model: ModelSpec, stage: StageSpec, inputs: BTreeMap<Role, SpecHash>) -> Self {
        Self { schema: Schema::Second, numerics: NUMERICS, tokenizer, model, stage, inputs }
    }

    /// How the run trains, if it does.
    pub fn training(&self) -> Option<&Training> {
        match &self.stage {
            StageSpec::Pretrain(stage) => Some(&stage.training),
            StageSpec::Finetune(stage) => Some(&stage.training),
            StageSpec::Import(_) => None,
        }
    }

    /// [`training`](Self::training), to be changed: the specification is then of the newest schema.
    pub fn training_mut(&mut self) -> Option<&mut Training> {
        self.schema = Schema::Second;
        match &mut self.stage {
            StageSpec::Pretrain(stage) => Some(&mut stage.training),
            StageSpec::Finetune(stage) => Some(&mut stage.training),
            StageSpec::Import(_) => None,
        }
    }

    /// What the run pretrains on and for, if it does.
    pub fn pretraining(&self) -> Option<&PretrainSpec> {
        match &self.stage {
            StageSpec::Pretrain(stage) => Some(stage),
            StageSpec::Finetune(_) | StageSpec::Import(_) => None,
        }
    }

    /// The task that the run is fine-tuned for, if it is.
    pub fn task(&self) -> Option<&TaskSpec> {
        match &self.stage {
            StageSpec::Finetune(stage) => Some(&stage.task),
            StageSpec::Pretrain(_) | StageSpec::Import(_) => None,
        }
    }

    /// The corpus that the tokenizer is trained on, and the model where it is pretrained.
    pub fn data(&self) -> Option<&DataSpec> {
        match &self.stage {
            StageSpec::Pretrain(stage) => Some(&stage.data),
            StageSpec::Finetune(stage) => stage.data.as_ref(),
            StageSpec::Import(_) => None,
        }
    }

    /// The hash of what the run stands on outside of the store: its corpus, the folder of an import, or the examples of
    /// fine-tuning where neither is its own.
    pub fn corpus_hash(&self) -> ContentHash {
        match (&self.schema, &self.stage) {
            (Schema::First(original), _) => original.corpus_hash(),
            (_, StageSpec::Pretrain(stage)) => stage.data.corpus_hash,
            (_, StageSpec::Finetune(stage)) => {
                stage.data.as_ref().map_or(stage.task.data_hash, |data| data.corpus_hash)
            }
            (_, StageSpec::Import(stage)) => stage.hash,
        }
    }

    /// How the run trains, for what trains it.
    ///
    /// # Panics
    /// If it trains nothing, but is an import.
    pub fn train(&self) -> &TrainSpec {
        &self.trained().train
    }

    /// The seed of its random draws; 0 for a model that was imported, which draws nothing.
    pub fn seed(&self) -> Seed {
        self.training().map_or(Seed(0), |training| training.train.seed)
    }

    /// The optimizer of [`train`](Self::train).
    ///
    /// # Panics
    /// If it trains nothing, but is an import.
    pub fn optimizer(&self) -> &OptimizerSpec {
        &self.trained().optimizer
    }

    /// The schedule of [`train`](Self::train).
    ///
    /// # Panics
    /// If it trains nothing, but is an import.
    pub fn schedule(&self) -> &ScheduleSpec {
        &self.trained().schedule
    }

    fn trained(&self) -> &Training {
        self.training().expect("invariant: nobody trains an import")
    }

    /// What the run pretrains for, for what pretrains it.
    ///
    /// # Panics
    /// If it is a run of another stage.
    pub fn objective(&self) -> &ObjectiveSpec {
        &self.pretraining().expect("invariant: only pretraining has the objective").objective
    }

    /// Whether the model predicts which sentence follows.
    pub fn has_nsp_head(&self) -> bool {
        match &self.stage {
            StageSpec::Pretrain(stage) => stage.objective.nsp != Nsp::Off,
            StageSpec::Import(stage) => stage.nsp_head,
            StageSpec::Finetune(_) => false,
        }
    }
}

#[cfg(test)]
impl RunSpec {
    /// [`train`](Self::train), to be changed.
    pub fn train_mut(&mut self) -> &mut TrainSpec {
        &mut self.training_mut().expect("a run that trains").train
    }

    /// [`objective`](Self::objective), to be changed.
    pub fn objective_mut(&mut self) -> &mut ObjectiveSpec {
        let StageSpec::Pretrain(stage) = &mut self.stage else { panic!("a run that is pretrained") };
        &mut stage.objective
    }
}
