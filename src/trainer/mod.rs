//! The trainer: a `RunSpec` to recorded steps and weights. The only module that knows burn and tokenizers.
//!
//! Text becomes token files ([`corpus`], [`tokenizer`]), token files become masked batches ([`instance`], [`masking`],
//! [`batch`]), and the [`step_loop`] turns the batches of a stage ([`pretraining`], [`fine_tuning`]) into weights, telling a
//! [`recorder::Recorder`] what happens.

pub mod batch;
pub mod checkpoint;
pub mod corpus;
pub mod device;
pub mod evaluation;
mod facts;
pub mod fill_mask;
pub mod fine_tuning;
pub mod hugging_face;
pub mod instance;
pub mod kernels;
pub mod masking;
pub mod memorisation;
pub mod model;
mod neighbours;
pub mod optimizer;
pub mod pretraining;
mod probes;
pub mod recorder;
pub mod rng;
pub mod schedule;
pub mod sequences;
pub mod step_loop;
pub mod task;
pub mod tokenizer;
