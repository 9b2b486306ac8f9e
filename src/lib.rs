//! `ablate`: an experiment workbench for small masked language models.
//!
//! The data goes one way, and the modules below are listed in that order:
//!
//! ```text
//! experiment (TOML) -> plan -> runner -> trainer -> store -> analysis -> plot -> report -> cli, server
//! ```
//!
//! They stand on `types` and on a ground floor that knows nothing of experiments: [`clock`], [`durable`] writes, fields of [`csv`], the
//! [`syntax`] of small languages, and what to [`suggest`].
//!
//! Text becomes an [`experiment::Experiment`] with every mistake reported at its span; a pure function expands it to a
//! [`plan::Plan`] of [`plan::RunSpec`]s; the runner executes each spec in a worker process; the trainer tells a
//! `Recorder` what happens; the store keeps it; analysis turns stored points into numbers; plot turns numbers into
//! figures; report turns both into values that a command
//! prints and a server sends. [`exchange`] reads and writes the formats of others, on the store alone. The trainer and the
//! store do not know each other. `tests/it/tidy.rs` holds the import rules.

pub mod types;

pub mod clock;
pub mod csv;
pub mod durable;
pub mod suggest;
pub mod syntax;

pub mod experiment;
pub mod plan;

pub mod trainer;

pub mod store;

pub mod exchange;

pub mod runner;

pub mod analysis;
pub mod plot;
pub mod report;

#[cfg(unix)]
pub mod server;

pub mod cli;

#[cfg(test)]
mod fuzzing;
