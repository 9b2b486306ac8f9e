//! The runner: executes, resumes and reproduces runs, each by a worker of its own.
//!
//! [`sweep`] makes tasks of a plan; [`execute`] decides what is missing and has it executed by a [`launch::Launcher`], and
//! reads from the runs' folders how they get on ([`progress`]). [`worker`] is the other side: it adapts the trainer's
//! `Recorder` to the store. [`continuation`] lets a run resume where a shorter one ends; [`queue`] says what may be executed
//! when, and `halving` which cells are worth their last steps. [`upkeep`] keeps a store in order.

pub mod announcement;
pub mod bench;
pub mod continuation;
pub mod corpora;
pub mod data_sources;
pub mod examples;
pub mod execute;
mod halving;
pub mod import;
pub mod launch;
pub mod progress;
pub mod provenance;
pub mod queue;
pub mod reproduce;
pub mod self_test;
mod standstill;
pub mod stop;
pub mod sweep;
#[cfg(test)]
pub(crate) mod testing;
pub mod trained;
pub mod upkeep;
pub mod worker;
