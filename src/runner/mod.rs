//! The runner: executes, resumes and reproduces runs, each in a worker process of its own.
//!
//! [`execute`] is the parent's side: it decides what is missing, starts workers, and watches them. [`worker`] is the
//! child's: it adapts the trainer's `Recorder` to the store. The two talk over pipes: [`progress`] lines one way, and the
//! end of standard input, which means "stop", the other. [`continuation`] lets a run go on where a shorter one ends;
//! [`queue`] says what may be executed when, and `halving` which cells are worth their last steps.

pub mod bench;
pub mod clock;
pub mod continuation;
pub mod corpora;
pub mod data_sources;
pub mod examples;
pub mod execute;
mod halving;
pub mod import;
pub mod progress;
pub mod provenance;
pub mod queue;
pub mod reproduce;
pub mod self_test;
pub mod stop;
pub mod sweep;
pub mod trained;
pub mod worker;
