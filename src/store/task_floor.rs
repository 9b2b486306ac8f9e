//! The fact that holds the floors of a task: what costs no learning, measured by the run on its own data.

use serde::{Deserialize, Serialize};

/// The name of the fact.
pub const FLOORS_FACT: &str = "floors";

/// What costs no learning of a task: how far a guess gets that understands nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFloor {
    /// The metric that it is a floor of.
    pub metric: String,
    pub label: String,
    pub value: f64,
    pub explanation: String,
}
