//! The plan: what an experiment amounts to, as an ordered list of fully resolved run specifications.
//!
//! Pure: no clock, no disk, no randomness. Whatever must be looked up (the corpus) is looked up before and handed in.

mod run_spec;

pub use run_spec::{
    Activation, CorpusFormat, DataSpec, DemoSpec, DeviceKind, Isa, Masking, ModelSpec, NormPosition, Nsp,
    ObjectiveSpec, OptimizerKind, OptimizerSpec, PositionEmbedding, RunSpec, SPEC_SCHEMA, ScheduleKind, ScheduleSpec,
    Stage, TokenizerKind, TokenizerSpec, TrainLength, TrainSpec, Warmup,
};
