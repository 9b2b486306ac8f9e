//! Where the value of a key comes from: the answer of `plan --explain`.

use serde::Serialize;

use crate::experiment::{Experiment, Place};
use crate::plan;

/// A key and what each layer says of it.
#[derive(Clone, Debug, Serialize)]
pub struct ExplanationReport {
    format: &'static str,
    pub key: &'static str,
    pub doc: &'static str,
    pub cells: usize,
    /// Cells in which the key has no value.
    pub without_value: usize,
    pub layers: Vec<ExplainedLayer>,
}

/// What one layer says, and where.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedLayer {
    pub layer: String,
    pub value: String,
    pub cells: usize,
    #[serde(flatten)]
    pub place: Option<ExplainedPlace>,
}

/// A place in a file, or an argument of the command line.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ExplainedPlace {
    File { file: String, line: usize, column: usize },
    Argument { argument: String },
}

impl ExplanationReport {
    /// The report of `explanation`, whose places are in the files of `experiment`.
    pub fn of(experiment: &Experiment, explanation: &plan::Explanation) -> Self {
        let place = |place: &Place| match place {
            Place::File { file, start, .. } => {
                let source = experiment.source.get(*file);
                let (line, column) = source.position(*start);
                ExplainedPlace::File { file: source.name.clone(), line, column }
            }
            Place::Argument(argument) => ExplainedPlace::Argument { argument: argument.to_string() },
        };
        let layer = |layer: &plan::Layer| ExplainedLayer {
            layer: layer.name.clone(),
            value: layer.value.clone(),
            cells: layer.cells,
            place: layer.place.as_ref().map(place),
        };
        Self {
            format: "ablate-explain-1",
            key: explanation.key.name,
            doc: explanation.key.doc,
            cells: explanation.cells,
            without_value: explanation.absent,
            layers: explanation.layers.iter().map(layer).collect(),
        }
    }
}
