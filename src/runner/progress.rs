//! What a worker tells its parent while it runs: one JSON object a line on its standard output.
//!
//! The log in the run's folder is the record; these lines are only for people who watch, and may be lost.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// A line of a worker's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// What the worker does before its first step.
    Phase(String),
    /// Steps done of all steps, the loss of the last one (absent when it is not a number), and real tokens per second.
    Step { step: u64, steps: u64, loss: Option<f64>, tokens_per_s: f64 },
    /// The loss of an evaluation by which checkpoints are told better from worse.
    Evaluation { step: u64, loss: f64 },
    /// Something a person should know.
    Warning(String),
}

impl Progress {
    /// Writes the line. A parent that went away is no reason to stop: its closed pipe is ignored.
    pub fn tell(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}
