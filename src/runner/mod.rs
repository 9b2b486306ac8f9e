//! The runner: executes, resumes and reproduces runs, each in a worker process of its own.
//!
//! [`execute`] is the parent's side: it decides what is missing, starts workers, and watches them. [`worker`] is the
//! child's: it adapts the trainer's `Recorder` to the store. The two talk over pipes: [`progress`] lines one way, and the
//! end of standard input, which means "stop", the other.

pub mod clock;
pub mod corpora;
pub mod execute;
pub mod progress;
pub mod provenance;
pub mod reproduce;
pub mod stop;
pub mod trained;
pub mod worker;
