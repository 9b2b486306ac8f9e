//! The trainer: a `RunSpec` to recorded steps and weights. The only module that knows burn and tokenizers.
//!
//! What serves every stage stands here: text becomes token files ([`corpus`], [`tokenizer`]), and the [`step_loop`] turns the
//! batches of a stage into the weights of a [`model`], telling a [`recorder::Recorder`] what happens. What belongs to one
//! stage is in its folder: [`pretraining`] makes and judges masked text, [`fine_tuning`] labelled examples. The [`kernels`]
//! know neither stages nor the model: they are fused operations with a contract on their bits.

pub mod checkpoint;
pub mod corpus;
pub mod device;
pub mod fine_tuning;
pub mod hugging_face;
pub mod kernels;
pub mod model;
pub mod optimizer;
pub mod pretraining;
pub mod recorder;
pub mod rng;
pub mod schedule;
pub mod sequences;
pub mod step_loop;
pub mod tokenizer;
