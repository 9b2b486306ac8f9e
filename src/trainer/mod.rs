//! The trainer: a `RunSpec` to recorded steps and weights. The only module that knows burn and tokenizers.

pub mod corpus;
pub mod kernels;
pub mod model;
pub mod optimizer;
pub mod rng;
pub mod schedule;
pub mod tokenizer;
