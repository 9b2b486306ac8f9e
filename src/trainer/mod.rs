//! The trainer: a `RunSpec` to recorded steps and weights. The only module that knows burn and tokenizers.

pub mod corpus;
pub mod rng;
pub mod tokenizer;
